"""Pins `azureiot ca`: what it writes, prints and refuses, as scripts and the demo rely on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .support import Outcome, mode, tree

Run = Callable[..., Outcome]
CODE = "2FA7C3E8" * 6


def test_create_makes_four_files_that_openssl_accepts(azureiot: Run, openssl: Callable[..., str]) -> None:
    done = azureiot("ca", "create", "--name", "Plant 7", "--key-type", "ec-p384", "--days", "100")
    assert done.code == 0, done.err
    assert "Made Plant 7 root (ec-p384): certs/ca/root.crt" in done.out
    assert "100 days left" in done.out
    assert "next: upload certs/ca/root.crt to DPS" in done.out
    assert set(tree(Path("certs"))) == {
        f"ca/{name}.{suffix}" for name in ("root", "intermediate") for suffix in ("crt", "key")
    }
    for level in ("root", "intermediate"):
        assert mode(Path(f"certs/ca/{level}.key")) == 0o600
        assert mode(Path(f"certs/ca/{level}.crt")) == 0o644
    said = openssl("verify", "-x509_strict", "-CAfile", "certs/ca/root.crt", "certs/ca/intermediate.crt")
    assert said.strip().endswith("OK")


def test_create_does_not_replace_an_authority_unless_forced(with_authority: Run) -> None:
    before = tree(Path("certs"))
    done = with_authority("ca", "create")
    assert done.code == 1
    assert done.err.startswith("azureiot: certs/ca/root.crt exists already and nothing was written.")
    assert done.err.count("\n") == 1
    assert tree(Path("certs")) == before
    assert with_authority("ca", "create", "--force").code == 0
    after = tree(Path("certs"))
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)


def test_one_file_in_the_way_is_enough(azureiot: Run) -> None:
    Path("certs/ca").mkdir(parents=True)
    Path("certs/ca/intermediate.key").write_text("precious")
    assert azureiot("ca", "create").code == 1
    assert tree(Path("certs")) == {"ca/intermediate.key": b"precious"}


@pytest.mark.parametrize("arguments", [("--key-type", "dsa"), ("--days", "0"), ("--name", "x" * 60)])
def test_create_with_impossible_settings_writes_nothing(azureiot: Run, arguments: tuple[str, str]) -> None:
    done = azureiot("ca", "create", *arguments)
    assert (done.code, done.out) == (1, "")
    assert not Path("certs").exists()


def test_prove(with_authority: Run, openssl: Callable[..., str]) -> None:
    done = with_authority("ca", "prove", f" {CODE}\n")  # pasted with white space around it
    assert done.code == 0, done.err
    assert "Made certs/ca/verification-2FA7C3E8.crt" in done.out
    proof = "certs/ca/verification-2FA7C3E8.crt"
    assert f"CN = {CODE}" in openssl("x509", "-in", proof, "-noout", "-subject")
    assert openssl("verify", "-CAfile", "certs/ca/root.crt", proof).strip().endswith("OK")


def test_prove_by_the_intermediate_to_a_file_of_choice(with_authority: Run, openssl: Callable[..., str]) -> None:
    done = with_authority("ca", "prove", CODE, "--by", "intermediate", "--out", "proof.pem", "--json")
    assert done.json["file"] == "proof.pem"
    assert done.json["common_name"] == CODE
    said = openssl("verify", "-partial_chain", "-CAfile", "certs/ca/intermediate.crt", "proof.pem")
    assert said.strip().endswith("OK")


@pytest.mark.parametrize("typed", [CODE.lower(), CODE.title()])
def test_prove_writes_the_code_as_dps_does(with_authority: Run, openssl: Callable[..., str], typed: str) -> None:
    """DPS compares with its own upper-case hex: a code in another case would be refused there."""
    assert f"common name {CODE}," in with_authority("ca", "prove", typed, "--out", "proof").out
    assert f"CN = {CODE}" in openssl("x509", "-in", "proof", "-noout", "-subject")


@pytest.mark.parametrize("typed", ["CODE", "2FA7C3E8", CODE[:-1] + "G", f"{CODE[:24]} {CODE[24:]}", "F" * 65])
def test_prove_refuses_placeholders_and_half_a_code(with_authority: Run, typed: str) -> None:
    done = with_authority("ca", "prove", typed)
    assert (done.code, done.out) == (1, "")
    assert "is not a verification code: one has 48 hex digits. Copy the code that DPS shows" in done.err
    assert "azureiot service cert code NAME" in done.err
    assert not list(Path("certs/ca").glob("verification-*"))


def test_prove_refuses_what_is_no_code_and_says_when_there_is_no_authority(azureiot: Run) -> None:
    assert "is not a verification code" in azureiot("ca", "prove", "../../x").err
    done = azureiot("ca", "prove", CODE)
    assert done.code == 1
    assert "There is no certificate authority in certs" in done.err
    assert "azureiot ca create" in done.err


def test_list_and_its_json(with_authority: Run) -> None:
    assert "CN=azureiot intermediate" in with_authority("ca", "list").out
    data = with_authority("ca", "list", "--json").json
    assert list(data) == ["root", "intermediate"]
    assert data["root"]["authority"] is True
    assert data["intermediate"]["issuer"] == "CN=azureiot root"
    assert data["root"]["days_left"] == 3650


def test_export(with_authority: Run, openssl: Callable[..., str]) -> None:
    assert with_authority("ca", "export").out == Path("certs/ca/root.crt").read_text()
    assert with_authority("ca", "export", "intermediate").out == Path("certs/ca/intermediate.crt").read_text()
    assert with_authority("ca", "export", "--der", "--out", "root.der").code == 0
    assert "CN = azureiot root" in openssl("x509", "-inform", "DER", "-in", "root.der", "-noout", "-subject")
    assert with_authority("ca", "export", "--der", "--out", "root.der").out == "Unchanged: root.der\n"
    assert "exists already" in with_authority("ca", "export", "--out", "root.der").err
    assert "--out FILE" in with_authority("ca", "export", "--der").err


def test_a_key_that_does_not_fit_its_certificate_is_noticed(with_authority: Run) -> None:
    Path("certs/ca/root.key").write_bytes(Path("certs/ca/intermediate.key").read_bytes())
    done = with_authority("ca", "prove", CODE)
    assert done.code == 1
    assert 'does not belong to the certificate of "azureiot root"' in done.err


def test_certs_directory_by_option_and_environment(azureiot: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert azureiot("ca", "create", "--certs", "here").code == 0
    monkeypatch.setenv("AZUREIOT_CERTS", "there")
    assert azureiot("ca", "create").code == 0
    assert set(tree(Path("here"))) == set(tree(Path("there")))
    assert not Path("certs").exists()
