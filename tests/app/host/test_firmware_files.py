"""What lies in firmware/: mip's list is the library's files; modules are small enough for a board to compile."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import azureiot

FIRMWARE = Path(__file__).resolve().parents[3] / "firmware"
# The hardware's modules, and the only ones that import them: everything else is handed what it needs.
HARDWARE = {
    "machine": {"main.py", "app/start.py"},
    "network": {"app/wifi.py"},
    "esp32": {"app/reporter.py"},
    "ntptime": {"app/clock.py"},
}
MODULES = sorted([*FIRMWARE.glob("*.py"), *(FIRMWARE / "app").glob("*.py")])


def test_mip_installs_the_whole_library_and_nothing_else() -> None:
    package = json.loads((FIRMWARE / "package.json").read_text("utf-8"))
    files = {f"azureiot/{path.name}" for path in (FIRMWARE / "azureiot").glob("*.py")}
    assert {tuple(entry) for entry in package["urls"]} == {
        (name, name) for name in files - {"azureiot/runtime_cpython.py"}
    }
    assert package["version"] == azureiot.__version__


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_are_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 250
    assert len(text.encode()) <= 12 * 1024


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_hardware_is_imported_in_one_place_each(path: Path) -> None:
    name = path.relative_to(FIRMWARE).as_posix()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for imported in node.names:
                assert name in HARDWARE.get(imported.name, {name}), f"{name} imports {imported.name}"


def test_the_application_does_not_reach_into_the_library() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                owner = node.value
                assert isinstance(owner, ast.Name), f"{path.name}: {ast.unparse(node)}"
                assert owner.id == "self", f"{path.name}: {ast.unparse(node)}"
