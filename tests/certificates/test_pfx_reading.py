"""Pins reading of PFX files that others wrote: old encryption, any order, strangers; a sentence for each bad one."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from azureiot_tools.certificates import authority, inspect, pfx
from azureiot_tools.certificates.credential import common_name, key_to_pem, to_der, to_pem
from azureiot_tools.certificates.formats import MAX_FILE_BYTES
from azureiot_tools.console import UserError

from .support import Family

# Made with openssl as older Windows writes it: certificates RC2-40, key 3DES, MAC SHA-1, the root inside.
LEGACY = base64.b64decode((Path(__file__).parent / "legacy.pfx.base64").read_bytes())


def bundle(
    path: Path,
    key: object,
    certificate: x509.Certificate | None,
    others: Sequence[x509.Certificate],
    password: bytes = b"pw",
) -> Path:
    """A PFX with anything in it; certificate, if any, is marked as the key's."""
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"any", key, certificate, others, BestAvailableEncryption(password))
    )  # pyright: ignore[reportArgumentType]
    return path


def test_legacy_encryption(tmp_path: Path) -> None:
    (tmp_path / "old.pfx").write_bytes(LEGACY)
    found = pfx.read(tmp_path / "old.pfx", lambda: "legacy")
    assert [common_name(one) for one in found.credential.certificates] == ["legacy001", "Legacy intermediate"]
    assert found.root is not None
    assert common_name(found.root) == "Legacy root"
    assert inspect.read_contents(tmp_path / "old.pfx", lambda: "legacy").friendly_name == "te-1234"


def test_what_openssl_exports(family: Family, openssl: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(key_to_pem(family.device.key))
    (tmp_path / "certificates").write_bytes(to_pem(family.device.certificates))
    openssl(
        "pkcs12",
        "-export",
        "-inkey",
        tmp_path / "key",
        "-in",
        tmp_path / "certificates",
        "-passout",
        "pass:",
        "-out",
        tmp_path / "it.pfx",
    )
    assert pfx.load_pfx(tmp_path / "it.pfx", lambda: "").certificates == family.device.certificates


def test_order_strangers_and_a_root_inside(family: Family, tmp_path: Path) -> None:
    stranger = authority.create_root("Stranger").certificate
    path = bundle(
        tmp_path / "it.pfx",
        family.device.key,
        None,
        [stranger, family.root.certificate, family.intermediate.certificate, family.device.certificate],
    )
    found = pfx.read(path, lambda: "pw")
    assert found.credential.certificates == family.device.certificates
    assert found.root == family.root.certificate
    assert found.strangers == (stranger,)


def test_a_self_signed_device_certificate_is_kept(family: Family, tmp_path: Path) -> None:
    path = bundle(tmp_path / "it.pfx", family.root.key, family.root.certificate, [])
    assert pfx.load_pfx(path, lambda: "pw").certificates == (family.root.certificate,)


def test_junk_after_the_end_is_read_without_a_warning(
    family: Family, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = bundle(tmp_path / "it.pfx", family.device.key, family.device.certificate, [])
    path.write_bytes(path.read_bytes() + b"\r\n")
    assert pfx.load_pfx(path, lambda: "pw").certificate == family.device.certificate
    assert not recwarn.list


def refusal(path: Path, password: str = "pw") -> str:
    with pytest.raises(UserError) as caught:
        pfx.read(path, lambda: password)
    said = str(caught.value)
    assert path.name in said
    assert "\n" not in said
    assert "wrong-s3cret" not in said
    return said


def test_wrong_password(tmp_path: Path) -> None:
    (tmp_path / "it.pfx").write_bytes(LEGACY)
    assert "The password does not open" in refusal(tmp_path / "it.pfx", "wrong-s3cret")


def test_no_private_key(family: Family, tmp_path: Path) -> None:
    path = bundle(tmp_path / "it.pfx", None, None, [family.device.certificate, family.intermediate.certificate])
    assert 'holds no private key, only 2 certificates ("mydevice001", "Test intermediate")' in refusal(path)


def test_no_certificate(family: Family, tmp_path: Path) -> None:
    assert "holds a private key and no certificate" in refusal(bundle(tmp_path / "it.pfx", family.device.key, None, []))


def test_the_key_of_another_certificate(family: Family, tmp_path: Path) -> None:
    other = authority.issue_device(family.intermediate, "other")
    path = bundle(tmp_path / "it.pfx", other.key, None, [family.device.certificate, family.intermediate.certificate])
    assert 'does not belong to the certificate of "mydevice001", "Test intermediate"' in refusal(path)


def test_a_key_azure_does_not_take(family: Family, tmp_path: Path) -> None:
    path = bundle(tmp_path / "it.pfx", ed25519.Ed25519PrivateKey.generate(), None, [family.device.certificate])
    assert "of type Ed25519; Azure takes RSA and EC keys only" in refusal(path)


def test_files_that_are_no_pfx_are_named_for_what_they_are(family: Family, tmp_path: Path) -> None:
    certificates, key = to_der(family.device)
    for content, words in [
        (b"", "is empty"),
        (to_pem(family.device.certificates), "it is PEM with 2 certificates"),
        (key_to_pem(family.device.key), "it is PEM with a private key"),
        (certificates, "it is DER with 2 certificates"),
        (key, "it is DER with a private key"),
        (b"hello", "holds text: no PEM, DER or PFX"),
        (b"\x89PNG\r\n", "holds binary data: no PEM, DER or PFX"),
        (b"\x30\x03\x02\x01\x05", "begins like DER, but is no certificate"),
    ]:
        (tmp_path / "it.pfx").write_bytes(content)
        assert words in refusal(tmp_path / "it.pfx")


def test_damaged_cut_short_unreadable_too_big(tmp_path: Path) -> None:
    path = tmp_path / "it.pfx"
    path.write_bytes(LEGACY[:-40])
    assert "begins like a PFX but cannot be read" in refusal(path, "legacy")
    path.write_bytes(LEGACY[:300] + bytes([LEGACY[300] ^ 1]) + LEGACY[301:])
    assert "or the file is damaged" in refusal(path, "legacy")
    path.write_bytes(bytes(MAX_FILE_BYTES + 1))
    assert "is larger than 1000 kB" in refusal(path)
    assert "cannot be read: No such file or directory" in refusal(tmp_path / "missing.pfx")
    (tmp_path / "directory.pfx").mkdir()
    assert "cannot be read: Is a directory" in refusal(tmp_path / "directory.pfx")


def test_every_cut_and_many_flipped_bits_end_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "it.pfx"
    refusals = 0
    for position in range(1, len(LEGACY), 29):
        flipped = LEGACY[:position] + bytes([LEGACY[position] ^ 0x81]) + LEGACY[position + 1 :]
        for damaged in (LEGACY[:position], flipped):
            path.write_bytes(damaged)
            with contextlib.suppress(UserError):  # anything else is a traceback in front of a user
                pfx.read(path, lambda: "legacy")
                continue
            refusals += 1
    assert refusals > len(LEGACY) // 29


def test_control_characters_in_a_name_do_not_reach_the_terminal(family: Family, tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\x1b[2Jb")])
    times = (family.root.certificate.not_valid_before_utc, family.root.certificate.not_valid_after_utc)
    certificate = x509.CertificateBuilder(name, name, family.root.key.public_key(), 1, *times).sign(
        family.root.key, hashes.SHA256()
    )
    assert r'"a\x1b[2Jb"' in refusal(bundle(tmp_path / "it.pfx", None, None, [certificate]))
