"""What is printed where it cannot be: no stdout, a full disk, a reader that has gone, a locale without Unicode."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any

import pytest

from azureiot_tools import cli

from .leaves import Leaf, leaves
from .world import World, assert_no_secrets

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LEAVES = leaves()
# They print a report though there is neither a service nor a board.
REPORTING = [leaf for leaf in LEAVES if leaf.words[0] in ("ca", "device", "pfx", "cert", "roots")]


def run(world: World, *words: str, redirected: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A real process, its output redirected by the shell."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "azureiot_tools", *words],
        cwd=world.folder,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}, **environment},
        capture_output=True,
        timeout=60,
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert_no_secrets(text, world.secrets)
    return done


@pytest.mark.parametrize("leaf", REPORTING, ids=lambda leaf: leaf.name)
def test_a_report_to_nowhere(
    world: World, leaf: Leaf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In process: stdout is a full disk, then there is none."""
    words = world.arguments(leaf, flags=[flag for flag in leaf.flags if flag == "--force"])
    full = open("/dev/full", "w")  # noqa: SIM115  its end fails, too
    monkeypatch.setattr(sys, "stdout", full)
    assert cli.main(words) == 1
    assert capsys.readouterr().err == "azureiot: No space left on device.\n"
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(words) == 0
    with contextlib.suppress(OSError):
        full.close()


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in REPORTING if leaf.name in ("ca create", "roots")], ids=lambda leaf: leaf.name
)
def test_a_program_without_stdout(world: World, leaf: Leaf) -> None:
    words = world.arguments(leaf, flags=[flag for flag in leaf.flags if flag == "--force"])
    done = run(world, *words, redirected=">/dev/full")
    assert (done.returncode, done.stderr) == (1, b"azureiot: No space left on device.\n")
    done = run(world, *words, redirected=">&-")
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_to_nowhere(world: World) -> None:
    assert run(world, "device", "create", "--help", redirected=">/dev/full").returncode == 1
    assert run(world, "device", "create", "--help", redirected=">&-").returncode == 0


def test_errors_to_nowhere(world: World) -> None:
    for redirected in ("2>/dev/full", "2>&-", "<&- >&- 2>&-"):
        done = run(world, "cert", "show", "missing", redirected=redirected)
        assert (done.returncode != 0, done.stdout) == (True, b"")


@pytest.mark.parametrize("words", [("roots",), ("device", "create", "--help")])
def test_a_reader_that_goes_away(world: World, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "azureiot_tools", *words], stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) in ((1, b""), (0, b""))


def test_help_and_a_report_in_a_locale_without_unicode(world: World) -> None:
    for words in (("simulate", "--help"), ("roots",)):
        done = run(world, *words, **ASCII)
        assert (done.returncode, done.stderr) == (0, b"")
        done.stdout.decode("ascii")


@pytest.mark.parametrize("locale", [ASCII, {"LC_ALL": "C.utf8"}])
def test_names_beyond_ascii(world: World, locale: dict[str, Any]) -> None:
    """Whatever the locale takes them for, files are found under their names, and what is shown can be shown."""
    world.folder.joinpath("küche").mkdir()
    done = run(world, "ca", "create", "--certs", "küche/Zürich", **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert world.folder.joinpath("küche/Zürich/ca/root.crt").is_file()
    done = run(world, "ca", "create", "--name", "Zürich", "--certs", "other", **locale)
    assert done.returncode == (1 if locale is ASCII else 0)
    assert done.stderr.count(b"\n") == done.returncode
