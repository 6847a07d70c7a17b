"""Pins `azureiot pfx convert`: what it finds, what it writes for desktop and board; bad input leaves nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from azureiot_tools.certificates import pfx
from azureiot_tools.certificates.credential import Credential, to_der

from .support import Family, Outcome, mode, tree

Run = Callable[..., Outcome]
LEGACY = base64.b64decode((Path(__file__).parent / "legacy.pfx.base64").read_bytes())
NAMES = {"mydevice001.crt", "mydevice001.key", "mydevice001.crt.der", "mydevice001.key.der"}


@pytest.fixture
def exported(azureiot: Run, family: Family) -> Path:
    """A PFX as one gets it from somebody."""
    path = Path("mydevice001.pfx")
    path.write_bytes(pfx.serialize(family.device, "s3cret", "mydevice001"))
    return path


def test_what_it_finds_and_writes(azureiot: Run, exported: Path, family: Family, openssl: Callable[..., str]) -> None:
    done = azureiot("pfx", "convert", exported)
    assert done.code == 0, done.err
    for words in (
        "CN=mydevice001",
        "CN=Test intermediate",
        "365 days left",
        "clientAuth",
        "yes, and it fits",
        "issued by CN=Test root (not here)",
        "Wrote mydevice001.key.der",
        "next: azureiot provision",
    ):
        assert words in done.out
    fingerprint = openssl("x509", "-in", "mydevice001.crt", "-noout", "-fingerprint", "-sha256").partition("=")[2]
    assert fingerprint.strip().replace(":", "") in done.out
    assert set(tree(Path())) == NAMES | {"mydevice001.pfx"}
    assert [mode(Path(name)) for name in sorted(NAMES)] == [0o644, 0o644, 0o600, 0o600]
    assert (Path("mydevice001.crt.der").read_bytes(), Path("mydevice001.key.der").read_bytes()) == to_der(family.device)
    assert "BEGIN PRIVATE KEY" in Path("mydevice001.key").read_text()


def test_again_changes_nothing(azureiot: Run, exported: Path) -> None:
    azureiot("pfx", "convert", exported)
    before = tree(Path())
    done = azureiot("pfx", "convert", exported, "--json")
    assert done.json["written"] == []
    assert set(done.json["unchanged"]) == NAMES
    assert tree(Path()) == before


def test_beside_the_files_of_device_create(with_authority: Run) -> None:
    with_authority("device", "create", "d")
    done = with_authority("pfx", "convert", "certs/d.pfx", "--json")
    assert done.json["written"] == ["certs/d.crt.der", "certs/d.key.der"]
    assert done.json["unchanged"] == ["certs/d.crt", "certs/d.key"]


def test_another_directory_and_name(azureiot: Run, exported: Path) -> None:
    done = azureiot("pfx", "convert", exported, "--out", "board/files", "--name", "device", "--json")
    assert set(tree(Path("board/files"))) == {"device.crt", "device.key", "device.crt.der", "device.key.der"}
    assert done.json["private_key"] is True


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_that_leads_elsewhere(azureiot: Run, exported: Path, name: str) -> None:
    assert "cannot be the name of a file" in azureiot("pfx", "convert", exported, "--name", name).err
    assert set(tree(Path())) == {"mydevice001.pfx"}


def test_one_file_in_the_way(azureiot: Run, exported: Path) -> None:
    Path("mydevice001.key").write_text("precious")
    before = tree(Path())
    assert "mydevice001.key exists already and nothing was written" in azureiot("pfx", "convert", exported).err
    assert tree(Path()) == before
    assert azureiot("pfx", "convert", exported, "--force").code == 0
    assert mode(Path("mydevice001.key")) == 0o600


def test_a_root_inside_is_left_out_and_said_so(azureiot: Run) -> None:
    Path("old.pfx").write_bytes(LEGACY)
    Path("pw").write_text("legacy")
    done = azureiot("pfx", "convert", "old.pfx", "--password-file", "pw")
    assert "the root is left out" in done.out
    assert Path("old.crt").read_text().count("BEGIN") == 2


def test_an_intermediate_missing_is_said(azureiot: Run, family: Family) -> None:
    lone = Credential(family.device.certificate, family.device.key)
    Path("lone.pfx").write_bytes(pfx.serialize(lone, "s3cret", "lone"))
    done = azureiot("pfx", "convert", "lone.pfx")
    assert done.code == 0
    assert "its issuer CN=Test intermediate is not here" in done.out
    assert "401002" in done.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LEGACY, "The password does not open bad.pfx"),
        (b"", "bad.pfx is empty"),
        (b"-----BEGIN CERTIFICATE-----", "bad.pfx is damaged"),
        (b"just words", "bad.pfx holds text"),
        (LEGACY[:100], "bad.pfx begins like a PFX but cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(azureiot: Run, content: bytes, words: str) -> None:
    Path("bad.pfx").write_bytes(content)
    done = azureiot("pfx", "convert", "bad.pfx", "--out", "new")
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.count("\n") == 1
    assert "s3cret" not in done.err
    assert set(tree(Path())) == {"bad.pfx"}


def test_a_file_that_is_no_pfx_asks_for_no_password(azureiot: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZUREIOT_PFX_PASSWORD")
    Path("bad.pfx").write_text("just words")
    assert "bad.pfx holds text" in azureiot("pfx", "convert", "bad.pfx").err


def test_nobody_to_ask_for_the_password(azureiot: Run, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZUREIOT_PFX_PASSWORD")
    done = azureiot("pfx", "convert", exported)
    assert done.code == 1
    assert "--password-file FILE" in done.err
