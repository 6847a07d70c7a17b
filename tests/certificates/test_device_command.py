"""Pins `azureiot device`: the files of a device, the password's ways, renewal that loses nothing."""

from __future__ import annotations

import getpass
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .support import Outcome, mode, tree

Run = Callable[..., Outcome]


def test_create(with_authority: Run, openssl: Callable[..., str]) -> None:
    done = with_authority("device", "create", "mydevice001")
    assert done.code == 0, done.err
    assert "next: azureiot pfx convert certs/mydevice001.pfx" in done.out
    assert "s3cret" not in done.out
    files = {suffix: Path(f"certs/mydevice001.{suffix}") for suffix in ("crt", "key", "pfx")}
    assert [mode(path) for path in files.values()] == [0o644, 0o600, 0o600]
    assert (
        openssl(
            "verify", "-purpose", "sslclient", "-CAfile", "certs/ca/root.crt", "-untrusted", files["crt"], files["crt"]
        )
        .strip()
        .endswith("OK")
    )
    assert files["crt"].read_text().count("BEGIN CERTIFICATE") == 2
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(files["crt"], files["key"])  # as devices on CPython do
    inside = openssl("pkcs12", "-in", files["pfx"], "-passin", "pass:s3cret", "-noenc", "-nocerts")
    assert files["key"].read_text() in inside


def test_create_many_with_one_password(with_authority: Run) -> None:
    done = with_authority("device", "create", "one", "two", "--days", "10", "--key-type", "rsa-2048", "--json")
    assert [entry["device_id"] for entry in done.json] == ["one", "two"]
    assert {entry["key_type"] for entry in done.json} == {"rsa-2048"}
    assert {entry["days_left"] for entry in done.json} == {10}
    assert done.json[1]["files"]["pfx"] == "certs/two.pfx"


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("fine", "not fine"), "holds ' '"),
        (("fine", "fine"), "is given twice"),
        (("fine", "FINE"), '"FINE" and "fine" are the same to DPS'),
        (("fine", "some.old"), 'ending in ".old"'),
        (("fine", "taken"), "certs/taken.key exists already"),
        (("fine", "a/b"), "holds '/'"),
    ],
)
def test_one_bad_id_and_no_device_is_made(with_authority: Run, ids: tuple[str, ...], words: str) -> None:
    Path("certs/taken.key").write_text("precious")
    before = tree(Path("certs"))
    done = with_authority("device", "create", *ids)
    assert done.code == 1
    assert words in done.err
    assert done.err.count("\n") == 1
    assert tree(Path("certs")) == before


def test_a_second_spelling_of_a_known_device(with_authority: Run) -> None:
    assert with_authority("device", "create", "Pump").code == 0
    assert "are the same to DPS" in with_authority("device", "create", "pump", "--force").err
    assert "certs/Pump.crt exists already" in with_authority("device", "create", "Pump").err
    before = tree(Path("certs"))
    assert with_authority("device", "create", "Pump", "--force").code == 0
    assert tree(Path("certs"))["Pump.key"] != before["Pump.key"]


def test_without_an_authority(azureiot: Run) -> None:
    done = azureiot("device", "create", "mydevice001")
    assert done.code == 1
    assert "Make one: azureiot ca create" in done.err
    assert not Path("certs").exists()


def test_password_from_a_file(with_authority: Run, openssl: Callable[..., str]) -> None:
    Path("pw.txt").write_text("from the file\nnot this\n")
    assert with_authority("device", "create", "d", "--password-file", "pw.txt").code == 0
    openssl("pkcs12", "-in", "certs/d.pfx", "-passin", "pass:from the file", "-noout")


def test_password_is_asked_twice_without_echo(
    with_authority: Run, openssl: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZUREIOT_PFX_PASSWORD")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked: list[str] = []
    answers = iter(["typed", "typed", "typed", "mistyped"])

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr(getpass, "getpass", ask)
    assert with_authority("device", "create", "d").code == 0
    assert asked == ["Password of the new PFX: ", "Password of the new PFX (again): "]
    openssl("pkcs12", "-in", "certs/d.pfx", "-passin", "pass:typed", "-noout")
    assert "The two passwords differ" in with_authority("device", "create", "e").err
    assert not Path("certs/e.key").exists()


@pytest.mark.parametrize("where", ["environment", "file"])
def test_an_empty_password_is_refused(with_authority: Run, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    Path("empty.txt").write_text("\n")
    monkeypatch.setenv("AZUREIOT_PFX_PASSWORD", "")
    options = ("--password-file", "empty.txt") if where == "file" else ()
    assert "cannot be empty" in with_authority("device", "create", "d", *options).err
    assert not Path("certs/d.key").exists()


@pytest.mark.parametrize(
    "command",
    [("device", "create", "d"), ("device", "renew", "d"), ("pfx", "convert", "d.pfx"), ("cert", "show", "d.pfx")],
)
def test_there_is_no_option_for_the_password_itself(azureiot: Run, command: tuple[str, ...]) -> None:
    assert azureiot(*command, "--password", "s3cret").code == 2


def test_renew_keeps_the_old_ones_until_the_next_renewal(with_authority: Run, openssl: Callable[..., str]) -> None:
    assert with_authority("device", "create", "d", "--key-type", "ec-p384").code == 0
    first = tree(Path("certs"))
    done = with_authority("device", "renew", "d")
    assert done.code == 0, done.err
    assert "registers again, so that the hub learns the new certificate" in done.out
    second = tree(Path("certs"))
    assert all(second[f"d.old.{suffix}"] == first[f"d.{suffix}"] for suffix in ("crt", "key", "pfx"))
    assert all(second[f"d.{suffix}"] != first[f"d.{suffix}"] for suffix in ("crt", "key", "pfx"))
    assert mode(Path("certs/d.old.key")) == mode(Path("certs/d.old.pfx")) == mode(Path("certs/d.key")) == 0o600
    text = openssl("x509", "-in", "certs/d.crt", "-noout", "-text")
    assert "Subject: CN = d\n" in text
    assert "secp384r1" in text  # the key type stays
    assert with_authority("device", "renew", "d", "--key-type", "ec-p256").code == 0
    third = tree(Path("certs"))
    assert all(third[f"d.old.{suffix}"] == second[f"d.{suffix}"] for suffix in ("crt", "key", "pfx"))


def test_renew_says_that_the_files_for_the_board_are_old(with_authority: Run) -> None:
    with_authority("device", "create", "d")
    with_authority("pfx", "convert", "certs/d.pfx")
    assert "azureiot pfx convert certs/d.pfx --force" in with_authority("device", "renew", "d").out


def test_renew_of_an_unknown_device(with_authority: Run) -> None:
    assert 'There is no device "nobody" in certs.' in with_authority("device", "renew", "nobody").err


def test_list_passes_over_what_is_no_device(with_authority: Run) -> None:
    assert "No devices in certs" in with_authority("device", "list").out
    with_authority("device", "create", "b", "a")
    with_authority("device", "renew", "a")
    Path("certs/copy-of-a.crt").write_bytes(Path("certs/a.crt").read_bytes())
    Path("certs/broken.crt").write_text("nothing")
    data = with_authority("device", "list", "--json").json
    assert [entry["device_id"] for entry in data] == ["a", "b"]
    assert data[0]["days_left"] == 365
    assert "365" in with_authority("device", "list").out


def test_a_leaf_never_outlives_the_authority(azureiot: Run) -> None:
    azureiot("ca", "create", "--days", "30")
    assert azureiot("device", "create", "d", "--json").json[0]["days_left"] == 30
