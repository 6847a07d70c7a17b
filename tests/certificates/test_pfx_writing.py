"""Pins what a PFX of ours holds and how it is protected, by openssl's reading of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azureiot_tools.certificates import authority, pfx
from azureiot_tools.certificates.credential import key_to_pem, to_pem
from azureiot_tools.console import UserError

from .support import Family


@pytest.fixture(scope="module")
def written(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pfx") / "mydevice001.pfx"
    path.write_bytes(pfx.serialize(family.device, "pässword", "mydevice001"))
    return path


def test_openssl_opens_it_and_finds_leaf_chain_and_key(
    written: Path, family: Family, openssl: Callable[..., str]
) -> None:
    def content(*selection: str) -> str:
        return openssl("pkcs12", "-in", written, "-passin", "pass:pässword", "-noenc", *selection)

    leaf = to_pem([family.device.certificate]).decode()
    intermediate = to_pem([family.intermediate.certificate]).decode()
    assert leaf in content("-clcerts", "-nokeys")
    assert intermediate in content("-cacerts", "-nokeys")
    assert key_to_pem(family.device.key).decode() in content("-nocerts")
    assert "friendlyName: mydevice001" in content()
    assert to_pem([family.root.certificate]).decode() not in content()


def test_it_is_encrypted_as_is_right_today(written: Path, openssl: Callable[..., str]) -> None:
    said = openssl("pkcs12", "-in", written, "-passin", "pass:pässword", "-info", "-noout")
    assert "MAC: sha256" in said
    assert said.count("PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256") == 2  # certificates, key
    assert "RC2" not in said
    assert "TripleDES" not in said


def test_neither_key_nor_password_is_readable_in_it(written: Path, family: Family) -> None:
    data = written.read_bytes()
    secret = family.device.key.private_numbers().private_value  # pyright: ignore[reportAttributeAccessIssue]
    assert secret.to_bytes(32, "big") not in data
    assert "pässword".encode() not in data
    assert "pässword".encode("utf-16-be") not in data


@pytest.mark.parametrize("key_type", ["ec-p384", "rsa-2048"])
def test_it_comes_back_as_it_was(family: Family, key_type: str, tmp_path: Path) -> None:
    device = authority.issue_device(family.intermediate, "there-and-back", key_type=key_type)
    (tmp_path / "it.pfx").write_bytes(pfx.serialize(device, "pw", "there-and-back"))
    back = pfx.load_pfx(tmp_path / "it.pfx", lambda: "pw")
    assert back.certificates == device.certificates
    assert key_to_pem(back.key) == key_to_pem(device.key)


def test_an_empty_password_protects_nothing(family: Family) -> None:
    with pytest.raises(UserError, match="cannot be empty"):
        pfx.serialize(family.device, "", "mydevice001")
