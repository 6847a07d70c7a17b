"""Pins `azureiot cert show`: what it reports must agree with openssl, and keys and chains be matched across files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from azureiot_tools.certificates import authority, inspect, pfx
from azureiot_tools.certificates.credential import key_to_pem, to_der, to_pem

from .support import Family, Outcome

Run = Callable[..., Outcome]


@pytest.fixture
def files(azureiot: Run, family: Family) -> None:
    Path("d.crt").write_bytes(to_pem(family.device.certificates))
    Path("d.key").write_bytes(key_to_pem(family.device.key))
    Path("root.der").write_bytes(to_der(family.root)[0])


@pytest.mark.usefixtures("files")
def test_it_agrees_with_openssl(azureiot: Run, openssl: Callable[..., str]) -> None:
    shown = azureiot("cert", "show", "d.crt", "--json").json[0]["certificates"][0]
    for algorithm in ("sha1", "sha256"):
        said = openssl("x509", "-in", "d.crt", "-noout", "-fingerprint", f"-{algorithm}")
        assert said.partition("=")[2].strip().replace(":", "") == shown[algorithm]
    assert openssl("x509", "-in", "d.crt", "-noout", "-serial").strip().removeprefix("serial=") == shown["serial"]
    assert shown["subject"] == "CN=mydevice001"
    assert shown["extended_key_usage"] == ["clientAuth"]
    assert (shown["key_type"], shown["authority"], shown["status"]) == ("ec-p256", False, "valid")


@pytest.mark.usefixtures("files")
def test_keys_and_chains_are_matched_across_files(azureiot: Run) -> None:
    alone = azureiot("cert", "show", "d.crt", "--json").json[0]["certificates"][0]
    assert alone["private_key"] is None
    assert alone["chain"] == ["CN=Test intermediate"]
    assert alone["missing_issuer"] == "CN=Test root"
    certificate, key, _ = azureiot("cert", "show", "d.crt", "d.key", "root.der", "--json").json
    assert certificate["certificates"][0]["private_key"] == "d.key"
    assert certificate["certificates"][0]["chain"] == ["CN=Test intermediate", "CN=Test root"]
    assert certificate["certificates"][0]["missing_issuer"] is None
    assert key["private_keys"] == [{"fits": "mydevice001"}]
    text = azureiot("cert", "show", "d.key", "root.der").out
    assert "fits no certificate here" in text
    assert "self-signed" in text


def test_a_pfx(azureiot: Run, family: Family) -> None:
    Path("d.pfx").write_bytes(pfx.serialize(family.device, "s3cret", "a name"))
    text = azureiot("cert", "show", "d.pfx").out
    assert "d.pfx: PFX, 2 certificates and a private key" in text
    assert "a name" in text
    assert "yes, in d.pfx" in text


def test_a_server_certificate_shows_its_names(azureiot: Run, family: Family) -> None:
    server = authority.issue_server(family.root, ["localhost"], ["127.0.0.1"])
    Path("server.crt").write_bytes(to_pem(server.certificates))
    assert "DNS:localhost, IP:127.0.0.1" in azureiot("cert", "show", "server.crt").out


def test_requests_and_encrypted_keys(azureiot: Run, family: Family) -> None:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=wanted"))
        .sign(family.device.key, hashes.SHA256())
    )
    secret = family.device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    Path("both.pem").write_bytes(request.public_bytes(Encoding.PEM) + secret)
    Path("request.der").write_bytes(request.public_bytes(Encoding.DER))
    text = azureiot("cert", "show", "both.pem", "request.der").out
    assert text.count("CN=wanted, ec-p256, signature valid") == 2
    assert "encrypted, so it cannot be compared" in text


@pytest.mark.parametrize(("serial", "shown"), [(0x9DF, "09DF"), (0xAB, "AB")])
def test_serials_are_whole_bytes(family: Family, serial: int, shown: str) -> None:
    name = family.root.certificate.subject
    times = (family.root.certificate.not_valid_before_utc, family.root.certificate.not_valid_after_utc)
    certificate = x509.CertificateBuilder(name, name, family.root.key.public_key(), serial, *times).sign(
        family.root.key, hashes.SHA256()
    )
    assert inspect.describe(certificate)["serial"] == shown


def test_dates_in_words(family: Family) -> None:
    certificate = family.device.certificate
    moments = [
        (certificate.not_valid_before_utc - timedelta(days=1), "not yet valid"),
        (certificate.not_valid_after_utc - timedelta(days=3), "3 days left"),
        (certificate.not_valid_after_utc + timedelta(days=1), "expired"),
    ]
    for now, words in moments:
        assert f"({words})" in inspect.validity(inspect.describe(certificate, now))


def test_a_name_with_control_characters_is_escaped(azureiot: Run) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\x1b[2Jb")])
    root = authority.create_root("Any")
    times = (root.certificate.not_valid_before_utc, root.certificate.not_valid_after_utc)
    evil = x509.CertificateBuilder(name, name, root.key.public_key(), 1, *times).sign(root.key, hashes.SHA256())
    Path("evil.crt").write_bytes(to_pem([evil]))
    assert "\x1b" not in azureiot("cert", "show", "evil.crt").out


@pytest.mark.usefixtures("files")
def test_one_bad_file_among_good_ones(azureiot: Run) -> None:
    done = azureiot("cert", "show", "d.crt", "missing.crt")
    assert (done.code, done.out) == (1, "")
    assert done.err == "azureiot: missing.crt cannot be read: No such file or directory.\n"
