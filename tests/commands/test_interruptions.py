"""Ctrl-C at any moment: one line and exit 130; the files are all as they were, or all as they were to be."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from azureiot_tools import cli
from azureiot_tools.certificates.formats import load_pair

from .leaves import Leaf, leaves
from .world import World

DEEDS = ("mkdir", "open", "fsync", "link", "replace", "unlink", "chmod")
OFFLINE = [leaf for leaf in leaves() if leaf.words[0] not in ("emulator", "demo", "board", "service", "monitor")]


@pytest.mark.parametrize("leaf", OFFLINE, ids=lambda leaf: leaf.name)
def test_ctrl_c_at_every_deed_of_a_command(world: World, template: Path, leaf: Leaf) -> None:
    """A real SIGINT before each call that makes, fills, names or removes a file, one run each."""
    words = world.arguments(leaf, flags=[flag for flag in leaf.flags if flag == "--force"])
    before = names(world.folder)
    world.run(*words)
    after = names(world.folder)
    for number in itertools.count():
        world.restore(template)
        with striking(number) as struck:
            code = cli.main(words)
        if not struck():
            break
        assert code == 130
        assert names(world.folder) in (before, after)
        for certificate in (world.folder / "certs").rglob("*.crt"):
            load_pair(certificate, certificate.with_suffix(".key"))  # raises when they were not made together
    assert (number > 5) == (before != after or leaf.name in ("ca create", "device create"))


def names(folder: Path) -> set[str]:
    """Every file and directory below, the hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextmanager
def striking(number: int) -> Iterator[Callable[[], bool]]:
    """The deed of that number is struck by SIGINT; what is yielded tells whether there were so many."""
    left = number

    def strike(real: Callable[..., Any]) -> Callable[..., Any]:
        def struck(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                signal.raise_signal(signal.SIGINT)
            return real(*arguments, **options)

        return struck

    with pytest.MonkeyPatch.context() as patch:
        for name in DEEDS:
            patch.setattr(os, name, strike(getattr(os, name)))
        yield lambda: left < 0


START = """
import os, signal, sys
from azureiot_tools.__main__ import entry

class Strike:
    left = int(sys.argv[1])

    def find_spec(self, name, path, target=None):
        self.left -= 1
        if self.left == -1:
            signal.raise_signal(signal.SIGINT)

sys.argv = ["azureiot", "--version"]
sys.meta_path.insert(0, Strike())
entry()
"""


def test_ctrl_c_while_the_program_is_loaded() -> None:
    """At the first imports, and then at every fifteenth: together they are what the user waits for."""
    numbers = [*range(3), *range(3, 1000, 15)]
    for number in numbers:
        done = subprocess.run([sys.executable, "-c", START, str(number)], capture_output=True, text=True, timeout=30)
        if done.returncode == 0:
            break
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "azureiot: interrupted\n")
    assert number > 40


def run_entry(main: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The program with another main, given as source text."""
    program = f"""
import signal
from azureiot_tools import __main__, cli

def main():
    {main}

cli.main = main
__main__.entry()
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, **options)


def test_a_second_ctrl_c_while_the_first_is_answered() -> None:
    done = run_entry("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "azureiot: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_ends_a_program_interrupts_it(number: int) -> None:
    done = run_entry(f"signal.raise_signal({int(number)})")
    assert (done.returncode, done.stderr) == (130, "azureiot: interrupted\n")


def test_under_nohup_the_terminal_may_go() -> None:
    done = run_entry(
        "signal.raise_signal(signal.SIGHUP)", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_python_tidies_up_prints_no_traceback() -> None:
    done = run_entry("import atexit; atexit.register(signal.raise_signal, signal.SIGINT)")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
