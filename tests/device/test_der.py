"""PEM and DER as mbedTLS wants them; what is broken is said, not guessed at."""

import azureiot.der as der

CERTIFICATE = b"\x30\x03\x02\x01\x01"
LONG = b"\x30\x82\x01\x00" + b"\x05" * 256


def refuses(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("no ValueError")


def test_der_certificates_are_cut_apart_by_their_lengths():
    assert der.certificates(CERTIFICATE) == [CERTIFICATE]
    assert der.certificates(CERTIFICATE + LONG + CERTIFICATE) == [CERTIFICATE, LONG, CERTIFICATE]


def test_der_that_is_cut_off_or_followed_by_junk_is_refused():
    assert "cut off" in refuses(lambda: der.certificates(LONG[:-1]))
    assert "byte 5" in refuses(lambda: der.certificates(CERTIFICATE + b"junk"))
    assert "byte" in refuses(lambda: der.certificates(CERTIFICATE + b"\x30"))
    refuses(lambda: der.certificates(b"\x30\x82\x01"))


PEM = b"""Bag Attributes: some text before
-----BEGIN CERTIFICATE-----
MAMCAQE=
-----END CERTIFICATE-----
-----BEGIN EC PRIVATE KEY-----
MAMCAQI=
-----END EC PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MAMCAQM=
-----END CERTIFICATE-----
"""


def test_pem_bundles():
    assert der.certificates(PEM) == [b"\x30\x03\x02\x01\x01", b"\x30\x03\x02\x01\x03"]
    assert der.private_key(PEM) == b"\x30\x03\x02\x01\x02"
    assert der.certificates(PEM.replace(b"\n", b"\r\n")) == der.certificates(PEM)


def test_a_der_key_ends_where_it_ends():
    assert der.private_key(CERTIFICATE) == CERTIFICATE
    assert "byte" in refuses(lambda: der.private_key(b"\x30"))


def test_what_is_not_there_is_said():
    assert refuses(lambda: der.certificates(b"")) == "no certificate in it"
    assert refuses(lambda: der.certificates(b"hello")) == "no certificate in it"
    assert (
        refuses(lambda: der.private_key(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"))
        == "no private key in it"
    )
    assert "does not end" in refuses(lambda: der.certificates(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"))
    assert "does not end" in refuses(lambda: der.certificates(b"-----BEGIN CERTIFICATE"))


def test_encrypted_keys_are_named_as_such():
    assert "encrypted" in refuses(
        lambda: der.private_key(
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMCAQE=\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
    )
    headers = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"
    traditional = b"-----BEGIN EC PRIVATE KEY-----\n" + headers + b"MAMCAQE=\n-----END EC PRIVATE KEY-----\n"
    assert "encrypted" in refuses(lambda: der.private_key(traditional))
