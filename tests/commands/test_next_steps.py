"""The commands that a report shows next are ones to copy: they work as they stand, whatever files are called."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.commands.service import event_line
from azureiot_tools.console import Report, shell_word
from azureiot_tools.emulator.server import EmulatorOptions, running

from .world import World

ODD_NAMES = ["my certs", "-x", "it's", "$HOME", "a;b", "*"]


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every command of ours in what was printed, as a shell would take them."""
    for line in text.splitlines():
        said = line.partition("next: ")[2] or line.partition("azureiot: ")[2]
        for command in re.split(r"\bazureiot ", said)[1:]:
            command = re.split(r" \(|; | or $|, then |\)$", command)[0]
            yield shlex.split(command)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_files_of_odd_names(world: World, name: str) -> None:
    password = "--password-file=password.txt"
    printed = ""
    for words in (
        ["ca", "create", f"--certs={name}"],
        ["device", "list", f"--certs={name}"],
        ["device", "create", "pump", f"--certs={name}", password],
        ["pfx", "convert", password, "--", shell_path(name, "pump.pfx")],
        ["device", "renew", "pump", f"--certs={name}", password],
        ["provision", f"--pfx={shell_path(name, 'pump.crt')}", password],  # no PFX: see what it is
        ["provision", f"--cert={shell_path(name, 'pump.pfx')}", "--key=x", password],
        ["device", "renew", "nobody", f"--certs={name}", password],
    ):
        done = world.run(*words)
        printed += done.out + done.err
    found = list(commands_in(printed))
    assert len(found) >= 8
    for words in found:
        arguments = cli.build_parser().parse_args(words)  # exits when it does not understand them
        for file in (
            getattr(arguments, "pfx", None),
            getattr(arguments, "cert", None),
            getattr(arguments, "certs", None),
        ):
            assert file in (None, "certs") or Path(file).exists(), words


def shell_path(directory: str, name: str) -> str:
    return str(Path("./") / directory / name)


def test_the_directory_that_is_the_default_is_not_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--certs" not in world.run("ca", "create", "--force").out
    assert "ca prove CODE --certs other" in world.run("ca", "create", "--certs", "other").out
    monkeypatch.setenv("AZUREIOT_CERTS", "other")
    monkeypatch.setattr(cli, "build_parser", cli.build_parser.__wrapped__)  # pyright: ignore[reportFunctionMemberAccess]
    assert "--certs" not in world.run("ca", "create", "--force").out


def test_a_ca_that_is_named_after_a_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(EmulatorOptions(port=0, http_port=0)) as emulator:
        monkeypatch.setenv("AZUREIOT_SERVICE_URL", f"http://127.0.0.1:{emulator.http_port}")
        Path("-x.crt").write_bytes(Path("certs/ca/root.crt").read_bytes())
        done = world.run("service", "cert", "upload", "--", "-x.crt")
        assert (done.code, done.err) == (
            1,
            "azureiot: The name '-x' would be taken for an option. Give another with --name.\n",
        )
        assert (
            "next: azureiot service cert code it"
            in world.run("service", "cert", "upload", "--name=it", "--", "-x.crt").out
        )


@pytest.mark.parametrize(
    ("value", "word"),
    [("plain", "plain"), ("a b", "'a b'"), (Path("-x"), "./-x"), (Path("a") / "-x", "a/-x"), ("it's", "'it'\"'\"'s'")],
)
def test_a_word_for_the_shell(value: str | Path, word: str) -> None:
    assert shell_word(value) == word


def test_names_from_files_do_not_make_lines_of_their_own(world: World) -> None:
    """A file's name, or a subject, that holds a line break and a forged line."""
    odd = Path("it\nprivate key yes\x1b[2J.crt")
    odd.write_bytes(Path("certs/d.crt").read_bytes())
    out = world.run("cert", "show", str(odd)).out
    assert out.splitlines()[0] == r"it\nprivate key yes\x1b[2J.crt: PEM, 2 certificates"
    assert (
        "cannot be the name of a file"
        in world.run("pfx", "convert", "certs/d.pfx", "--name", "a\nb", "--password-file", "password.txt").err
    )
    event = {"timeUtc": "2026-01-01T00:00:00", "kind": "k\n", "deviceId": "d\n", "text": "\x1b", "section": ""}
    assert event_line(event).isprintable()


@pytest.mark.parametrize(("days", "words"), [("1", "(1 day left)"), ("2", "(2 days left)")])
def test_days_are_counted_as_one_speaks(world: World, days: str, words: str) -> None:
    assert words in world.run("ca", "create", "--force", "--days", days).out


def test_the_last_hours(capsys: pytest.CaptureFixture[str]) -> None:
    from azureiot_tools.certificates.inspect import remaining

    assert remaining({"status": "valid", "days_left": 0}) == "less than a day left"
    assert remaining({"status": "expired", "days_left": -3}) == "expired"
    Report({}, "one", "two").show(as_json=False)
    assert capsys.readouterr().out == "one\nnext: two\n"
