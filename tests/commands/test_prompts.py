"""Passwords typed on a terminal: never shown, asked again where a new one is chosen, and Ctrl-C or nonsense do no harm.

Which commands ask is found by asking the parser for those that take a password file.
"""

from __future__ import annotations

import pytest

from .leaves import Leaf, leaves
from .terminal import CTRL_C, CTRL_D, at_a_terminal
from .world import PASSWORD, World, assert_no_secrets

ASKING = [leaf for leaf in leaves() if any("password_file" in one.dest for one in leaf.arguments)]
CHOOSING = ("device create", "device renew")


def words(world: World, leaf: Leaf) -> list[str]:
    """The command line of the leaf without its password file."""
    return [word for word in world.arguments(leaf) if "password-file=" not in word]


@pytest.mark.parametrize("leaf", ASKING, ids=lambda leaf: leaf.name)
def test_ctrl_c_at_each_prompt(world: World, leaf: Leaf) -> None:
    before = world.files()
    for typed in ([CTRL_C], [PASSWORD.encode(), CTRL_C]) if leaf.name in CHOOSING else ([CTRL_C],):
        code, shown = at_a_terminal(world.folder, *words(world, leaf), typed=typed)
        assert code == 130, shown
        assert shown.endswith("azureiot: interrupted\r\n")
        assert "Traceback" not in shown
        assert_no_secrets(shown, world.secrets)
        assert world.files() == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([CTRL_D], "No password was entered."),
        ([b"one", b"two"], "The two passwords differ."),
        ([b"", b""], "cannot be empty"),
        ([b"\xff\xfe", b"\xff\xfe"], "is no text in the encoding of this terminal"),
    ],
)
def test_answers_that_are_no_good(world: World, typed: list[bytes], said: str) -> None:
    before = world.files()
    if typed[0] == b"\xff\xfe":
        typed = typed[:1]
    code, shown = at_a_terminal(world.folder, "device", "create", "new", typed=typed)
    assert code == 1
    assert said in shown
    assert "Traceback" not in shown
    assert world.files() == before


def test_a_password_is_asked_twice_without_echo(world: World) -> None:
    typed = [b"secret words", b"secret words"]
    code, shown = at_a_terminal(world.folder, "device", "create", "new", typed=typed)
    assert code == 0
    assert shown.count("Password of") == 2
    assert "secret" not in shown


def test_a_password_is_not_asked_for_what_is_no_pfx(world: World) -> None:
    for leaf in ("pfx convert password.txt", "cert show certs/d.crt", "provision --pfx missing.pfx"):
        code, shown = at_a_terminal(world.folder, *leaf.split(), typed=[])
        assert code in (0, 1)
        assert "Password" not in shown


def test_a_terminal_without_colours(world: World) -> None:
    """Neither in a report nor in an error nor in a prompt is anything but text, where the user wants none."""
    plain = {"NO_COLOR": "1", "TERM": "dumb"}
    for command in ("cert show certs/d.pfx", "ca nonsense", "--help"):
        typed = [PASSWORD.encode()] if command.endswith(".pfx") else []
        _, shown = at_a_terminal(world.folder, *command.split(), typed=typed, environment=plain)
        assert "\x1b" not in shown
        assert len(shown) > 20
