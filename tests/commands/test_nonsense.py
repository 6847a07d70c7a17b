"""Every command with nothing and with nonsense: a sentence that helps, exit 1 or 2, and nothing changed.

The commands and their options come from the parser, so one that is new is tried as well. What must hold after each run
(no traceback, no secret, no half-written file, no control character) is checked in world.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from azureiot_tools.emulator.server import EmulatorOptions, running

from .leaves import Leaf, groups, leaves
from .world import World

NONSENSE = [
    "",
    " ",
    "nonsense",
    "-x",
    "-1",
    "0",
    "nan",
    "1e309",
    "9" * 25,
    "../../x",
    "\x1b[2J\nforged",
    "ü🙂",
    "\udcff",  # what a byte that is no UTF-8 becomes on the command line
    "x" * 100_000,
]
SERVICE = ("service", "monitor")
LEAVES = leaves()


@pytest.mark.parametrize("words", groups(), ids=" ".join)
def test_a_command_that_is_not_complete_says_what_there_is(world: World, words: tuple[str, ...]) -> None:
    done = world.run(*words)
    assert done.code == 2
    assert "the following arguments are required" in done.err


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_with_nothing(world: World, leaf: Leaf) -> None:
    """In an empty folder, with no option but those without which it would not end."""
    nothing = world.folder.parent / "nothing"
    nothing.mkdir()
    world.restore(nothing)
    words = world.arguments(leaf) if leaf.name in ("emulator", "demo") else leaf.words
    done = world.run(*words)
    if done.code == 0:
        assert done.out


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_help_tells_of_every_option(world: World, leaf: Leaf) -> None:
    done = world.run(*leaf.words, "--help")
    assert done.code == 0
    for name in (*leaf.flags, *(one.option_strings[-1] for one in leaf.arguments if one.option_strings)):
        assert name in done.out


@pytest.fixture
def served(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with an emulator, so that nonsense reaches its service API."""
    with running(EmulatorOptions(port=0, http_port=0)) as emulator:
        monkeypatch.setenv("AZUREIOT_SERVICE_URL", f"http://127.0.0.1:{emulator.http_port}")
        yield world


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf.words[0] in SERVICE], ids=lambda leaf: leaf.name)
def test_nonsense_for_the_service(served: World, template: Path, leaf: Leaf) -> None:
    try_all(served, template, leaf)


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf.words[0] not in SERVICE], ids=lambda leaf: leaf.name)
def test_nonsense_in_every_argument(world: World, template: Path, leaf: Leaf) -> None:
    try_all(world, template, leaf)


def try_all(world: World, template: Path, leaf: Leaf) -> None:
    for argument in leaf.arguments:
        for value in NONSENSE:
            if world.run(*world.arguments(leaf, argument, value)).changed:
                world.restore(template)
    for flag in leaf.flags:
        if world.run(*world.arguments(leaf, flags=[flag])).changed:
            world.restore(template)
