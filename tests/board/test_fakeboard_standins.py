"""The stand-ins of the fake board have the names and signatures of an ESP32's firmware, by micropython-esp32-stubs.

One that has what the real module lacks, or is called differently, would let a program pass that no board can run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, missing

from .conftest import Connect, MakeBoard

STUBS = ROOT / ".typings"
STANDINS = ROOT / "tests" / "fakeboard" / "firmware" / "standins"


class Signature:
    """How a function can be called: a number of positional arguments, and names for keyword arguments."""

    def __init__(self, function: ast.FunctionDef, *, is_method: bool) -> None:
        arguments = function.args
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][is_method:]
        self.most = 99 if arguments.vararg else len(positional)
        self.least = len(positional) - len(arguments.defaults)
        self.keyword_only = [argument.arg for argument in arguments.kwonlyargs]
        self.names = {*positional, *self.keyword_only}

    def counts(self) -> range:
        return range(self.least, self.most + 1)


def unconditional(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """With what stands under `if sys.platform …` in stubs."""
    for node in body:
        if isinstance(node, ast.If):
            yield from unconditional(node.body)
        else:
            yield node


class Names:
    """The public names of a module or class: functions with all their overloads, classes, values."""

    def __init__(self, body: list[ast.stmt], *, is_class: bool = False) -> None:
        self.functions: dict[str, list[Signature]] = {}
        self.classes: dict[str, Names] = {}
        self.values: dict[str, Any] = {}
        for node in unconditional(body):
            if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
                self.functions.setdefault(node.name, []).append(Signature(node, is_method=is_class))
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                self.classes[node.name] = Names(node.body, is_class=True)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name) and not target.id.startswith("_"):
                        value = node.value
                        self.values[target.id] = value.value if isinstance(value, ast.Constant) else None

    def all(self) -> set[str]:
        return {*self.functions, *self.classes, *self.values}


def differences(standin: Names, real: Names, where: str) -> Iterator[str]:
    for name in standin.all() - real.all() - {"__init__"}:
        yield f"{where}.{name} does not exist"
    for name, value in standin.values.items():
        if real.values.get(name) is not None and value is not None and value != real.values[name]:
            yield f"{where}.{name} is {real.values[name]}, not {value}"
    for name, signatures in standin.functions.items():
        overloads = real.functions.get(name)
        if overloads is None:
            continue
        (ours,) = signatures
        theirs = {count for overload in overloads for count in overload.counts()}
        by_keyword = {keyword for overload in overloads for keyword in overload.keyword_only}
        wrong = {count for count in ours.counts() if count not in theirs} if not ours.names & by_keyword else set()
        if wrong:
            yield f"{where}.{name} does not take {sorted(wrong)} arguments"
        for overload in overloads:
            refused = {count for count in overload.counts() if count not in ours.counts()}
            if refused:
                yield f"{where}.{name} takes {sorted(refused)} arguments"
    for name in standin.classes.keys() & real.classes.keys():
        yield from differences(standin.classes[name], real.classes[name], f"{where}.{name}")


def names(path: Path) -> Names:
    return Names(ast.parse(path.read_text(encoding="utf-8")).body)


@pytest.mark.parametrize("module", sorted(path.stem for path in STANDINS.glob("*.py")))
def test_a_standin_is_like_the_real_module(module: str) -> None:
    places = (STUBS / f"{module}.pyi", STUBS / "stdlib" / module / "__init__.pyi")
    stub = next((path for path in places if path.exists()), None)
    if stub is None:
        missing("micropython-esp32-stubs is not here (`make setup`)")
        raise AssertionError
    standin = names(STANDINS / f"{module}.py")
    assert standin.all(), "a stand-in that holds nothing"
    assert list(differences(standin, names(stub), module)) == []


def test_the_comparison_finds_what_is_different() -> None:
    real = Names(ast.parse("A = 1\ndef f(x, /): ...\nclass C:\n    def m(self, a, *, key=1): ...").body)
    wrong = Names(ast.parse("A = 2\nB = 1\ndef f(x, y): ...\nclass C:\n    def n(self): ...").body)
    assert sorted(differences(wrong, real, "module")) == [
        "module.A is 1, not 2",
        "module.B does not exist",
        "module.C.n does not exist",
        "module.f does not take [2] arguments",
        "module.f takes [1] arguments",
    ]


def test_the_board_cannot_see_the_host(make_board: MakeBoard, connect: Connect) -> None:
    """Neither its files nor its programs, and nothing of what makes the pretence."""
    transport = connect(make_board(files={"/a": b"1"}).port)
    transport.enter_raw_repl()
    assert transport.eval("__import__('os').listdir('/')") == ["a"]
    for hidden in ("system", "getenv", "VfsPosix"):
        assert transport.eval(f"hasattr(__import__('os'), {hidden!r})") is False
    assert transport.eval("sorted(__import__('sys').modules)") == [
        "esp32", "machine", "network", "ntptime", "os", "socket", "sys", "time",
    ]  # fmt: skip
    assert transport.eval("[name for name in dir() if not name.startswith('__')]") == []


def test_the_board_says_what_it_is(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(version=(1, 21, 0), platform="rp2", machine="Raspberry Pi Pico W with RP2040")
    transport = connect(board.port)
    transport.enter_raw_repl()
    assert transport.eval("__import__('sys').implementation[1][:3]") == (1, 21, 0)
    assert transport.eval("__import__('sys').platform") == "rp2"
    assert transport.eval("__import__('os').uname().machine") == "Raspberry Pi Pico W with RP2040"
    assert transport.eval("__import__('os').uname().release") == "1.21.0"


@pytest.mark.parametrize("heap_kb", [72, 256])
def test_programs_have_the_heap_that_was_asked_for(make_board: MakeBoard, heap_kb: int) -> None:
    """Measurements of memory on the fake board mean something only if the stand-ins do not eat into it."""
    program = b"import gc\ngc.collect()\nprint('free', gc.mem_free())\n"
    board = make_board(heap=f"{heap_kb}K", files={"/main.py": program})
    free = int(board.console(from_start=True).wait_for("^free").split()[1])
    assert abs(free / 1024 - heap_kb) < 0.06 * heap_kb, free
