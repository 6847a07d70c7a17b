"""Pins: what a stranger put into a certificate or a name cannot steer the terminal on which a command shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.console import Report, UserError, table

from .bench import Api, pem
from .forged import forge

ESCAPE = "\x1b[2J\x07"
SHOWN = r"\x1b[2J\x07"

pytestmark = pytest.mark.usefixtures("own_commands_only")


def test_a_table() -> None:
    lines = table(["NAME", "STATE"], [[f"a{ESCAPE}\n", "new"], ["b", "old"]]).split("\n")
    assert lines == ["NAME".ljust(16) + "STATE", rf"a{SHOWN}\n  new", "b".ljust(16) + "old"]


def test_a_report_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Report({}, f"one{ESCAPE}\n\ntwo\r", f"cat {ESCAPE}").show(as_json=False)
    assert capsys.readouterr().out == f"one{SHOWN}\n\ntwo\\r\nnext: cat {SHOWN}\n"


def test_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise UserError(f"It is {ESCAPE}.", "Look.")

    monkeypatch.setattr(cli, "build_parser", fail)
    assert cli.main([]) == 1
    assert capsys.readouterr().err == f"azureiot: It is {SHOWN}. Look.\n"


def test_the_subject_of_an_uploaded_ca(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.crt").write_text(pem(forge(None, ESCAPE, ca=True)))
    (tmp_path / "leaf.crt").write_text(pem(forge(None, ESCAPE)))
    for code, *arguments in (
        (0, "upload", str(tmp_path / "evil.crt")),
        (0, "list"),
        (1, "upload", str(tmp_path / "leaf.crt")),
    ):
        assert cli.main(["service", "cert", *arguments, "--url", api.url]) == code
        said = "".join(capsys.readouterr())
        assert SHOWN in said
        assert "\x1b" not in said
        assert "\x07" not in said
