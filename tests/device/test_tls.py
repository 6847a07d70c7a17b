"""Certificates, keys and roots from files and bytes; whatever is wrong is said with the file's name."""

import os

from azureiot.credentials import X509
from azureiot.tls import certificates, context, private_key, roots
from fakes import raises

CERTIFICATE = b"\x30\x03\x02\x01\x01"
ISSUER = b"\x30\x03\x02\x01\x03"
KEY = b"\x30\x03\x02\x01\x02"
PEM = b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"

FOLDER = "/tmp/azureiot-test-%d" % int.from_bytes(os.urandom(4), "big")


def folder_with(files):
    try:
        os.mkdir(FOLDER)
    except OSError:
        pass
    for name in os.listdir(FOLDER):
        os.remove(FOLDER + "/" + name)
    for name, data in files.items():
        with open(FOLDER + "/" + name, "wb") as file:
            file.write(data)
    return FOLDER


def test_bytes_and_files_pem_and_der():
    path = folder_with({"chain.der": CERTIFICATE + ISSUER, "leaf.pem": PEM, "key.der": KEY})
    assert certificates(CERTIFICATE) == [CERTIFICATE]
    assert certificates(bytearray(PEM)) == [CERTIFICATE]
    assert certificates(path + "/chain.der") == [CERTIFICATE, ISSUER]
    assert certificates(path + "/leaf.pem") == [CERTIFICATE]
    assert private_key(path + "/key.der") == KEY


def test_a_missing_file_is_named():
    error = raises(lambda: certificates("/nowhere/a.crt"), "credential")
    assert "/nowhere/a.crt cannot be read" in error.message and not error.retryable


def test_a_file_with_the_wrong_thing_is_named():
    path = folder_with({"swapped.key": PEM})
    error = raises(lambda: private_key(path + "/swapped.key"), "credential")
    assert error.message == path + "/swapped.key: no private key in it."
    raises(lambda: certificates(b""), "credential")


def test_roots_from_a_directory_take_each_certificate_once():
    path = folder_with(
        {"a.der": CERTIFICATE, "a.pem": PEM, "b.crt": b"\n" + PEM + PEM, "notes.txt": b"x", "README": b"x"}
    )
    assert list(roots(path, "h")) == [CERTIFICATE, CERTIFICATE, CERTIFICATE]


def test_roots_from_a_file_or_bytes():
    path = folder_with({"ca.pem": PEM})
    assert list(roots(path + "/ca.pem", "h")) == [CERTIFICATE]
    assert list(roots(CERTIFICATE + ISSUER, "h")) == [CERTIFICATE, ISSUER]
    error = raises(lambda: list(roots("/nowhere", "h")), "tls-roots")
    assert "/nowhere" in error.message


def test_a_certificate_that_cannot_be_used_is_an_error_of_ours():
    unusable = X509(b"\x30\x00", b"\x30\x04\x02\x01\x00\x00")
    raises(lambda: context(unusable, b"\x30\x00", "h"), "credential")
