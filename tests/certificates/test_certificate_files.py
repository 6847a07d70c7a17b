"""Pins reading of PEM and DER files: boards and SDKs write them in many ways, and bad ones need one clear sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.certificates import authority, formats
from azureiot_tools.certificates.credential import key_to_pem, to_der, to_pem
from azureiot_tools.console import UserError

from .support import Family


@pytest.fixture
def pair(family: Family, tmp_path: Path) -> tuple[Path, Path]:
    """The device's certificate file and key file."""
    certificate, key = tmp_path / "d.crt", tmp_path / "d.key"
    certificate.write_bytes(to_pem(family.device.certificates))
    key.write_bytes(key_to_pem(family.device.key))
    return certificate, key


def refusal(certificate: Path, key: Path) -> str:
    with pytest.raises(UserError) as caught:
        formats.load_pair(certificate, key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pem(pair: tuple[Path, Path], family: Family) -> None:
    assert formats.load_pair(*pair).certificates == family.device.certificates


def test_pem_with_windows_line_ends_and_words_around(pair: tuple[Path, Path], family: Family) -> None:
    pair[0].write_bytes(b"subject=CN = mydevice001\r\n" + to_pem(family.device.certificates).replace(b"\n", b"\r\n"))
    assert formats.load_pair(*pair).certificates == family.device.certificates


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_der_as_boards_have_it(family: Family, openssl: Callable[..., str], key_type: str, tmp_path: Path) -> None:
    device = authority.issue_device(family.intermediate, "board", key_type=key_type)
    certificates, key = to_der(device)
    (tmp_path / "d.crt.der").write_bytes(certificates)
    (tmp_path / "d.key.der").write_bytes(key)
    assert formats.load_pair(tmp_path / "d.crt.der", tmp_path / "d.key.der").certificates == device.certificates
    # SEC1 is version 1, then octets; PKCS#1 is version 0, then the modulus; PKCS#8 would be version 0, then a sequence.
    elements = openssl("asn1parse", "-inform", "DER", "-in", tmp_path / "d.key.der").splitlines()
    rsa = key_type.startswith("rsa")
    assert ("INTEGER           :00" if rsa else "INTEGER           :01") in elements[1]
    assert ("INTEGER" if rsa else "OCTET STRING") in elements[2]
    assert key_to_pem(device.key).decode() in openssl("pkey", "-inform", "DER", "-in", tmp_path / "d.key.der")
    assert "CN = board" in openssl("x509", "-inform", "DER", "-in", tmp_path / "d.crt.der", "-noout", "-subject")


def test_a_chain_in_the_wrong_order_with_the_root_is_put_right(pair: tuple[Path, Path], family: Family) -> None:
    pair[0].write_bytes(to_pem([family.root.certificate, family.intermediate.certificate, family.device.certificate]))
    assert formats.load_pair(*pair).certificates == family.device.certificates


def test_the_key_of_another_certificate(pair: tuple[Path, Path], family: Family) -> None:
    pair[1].write_bytes(key_to_pem(authority.issue_device(family.intermediate, "other").key))
    assert 'does not belong to the certificate of "mydevice001"' in refusal(*pair)


def test_an_encrypted_key(pair: tuple[Path, Path], family: Family) -> None:
    for encoding, form in [
        (Encoding.PEM, PrivateFormat.PKCS8),
        (Encoding.PEM, PrivateFormat.TraditionalOpenSSL),
        (Encoding.DER, PrivateFormat.PKCS8),
    ]:
        pair[1].write_bytes(family.device.key.private_bytes(encoding, form, BestAvailableEncryption(b"pw")))
        assert "is encrypted" in refusal(*pair)


def test_the_two_files_swapped_or_a_pfx(pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    assert "d.key holds no certificate but a private key" in refusal(key, certificate)
    assert "d.crt holds no private key but 2 certificates" in refusal(certificate, certificate)
    certificate.write_bytes(b"\x30\x82\x01\x00\x02\x01\x03\x30")
    assert "is a PFX. Convert it first: azureiot pfx convert" in refusal(certificate, key)


def test_damaged_pem(pair: tuple[Path, Path]) -> None:
    good = pair[0].read_bytes()
    pair[0].write_bytes(good[:-30])
    assert "a PEM block in it has no end" in refusal(*pair)
    pair[0].write_bytes(good.replace(b"MII", b"XII", 1))
    assert "block 1 (CERTIFICATE) cannot be read" in refusal(*pair)


@given(
    st.binary(max_size=200)
    | st.binary(max_size=40).map(lambda rest: b"0\x20" + rest)
    | st.binary(max_size=60).map(lambda body: b"-----BEGIN PRIVATE KEY-----" + body + b"-----END PRIVATE KEY-----")
)
def test_any_bytes_end_in_contents_or_one_sentence(data: bytes) -> None:
    formats.is_pfx(data)
    with contextlib.suppress(UserError):
        assert isinstance(formats.parse(data, Path("some.file")), formats.Contents)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_der_is_split_at_its_lengths(bodies: list[bytes]) -> None:
    def sequence(body: bytes) -> bytes:
        size = len(body)
        long_form = b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
        return b"\x30" + (bytes([size]) if size < 128 else long_form) + body

    parts = [sequence(body) for body in bodies]
    assert formats.split_der(b"".join(parts)) == parts


@pytest.mark.parametrize(
    "data", [b"\x30", b"\x30\x05abc", b"\x30\x80\x00\x00", b"\x30\x00x", b"\x30\x84\xff\xff\xff\xff"]
)
def test_der_that_does_not_add_up(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"sequence|cut short"):
        formats.split_der(data)
