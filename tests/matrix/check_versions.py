"""The library on every MicroPython release from 1.22 that comes as WebAssembly: `make test-matrix`, with node.

32-bit, and the only interpreters of those releases that a package registry has. They have no sockets, so what waits on
one (test_link) and what only works with TLS stays with the unix port.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from azureiot_tools.board import contents

FOLDER = Path(__file__).parent
TESTS = FOLDER.parent / "device"
VERSIONS = json.loads((FOLDER / "package.json").read_text())["dependencies"]
NEEDS_SOCKETS = ("test_link.py", "test_tls.py")
# What the library imports and never calls here.
STANDINS = {"socket.py": "SOCK_STREAM = 1\n", "ssl.py": ""}


@pytest.fixture(params=["py", "mpy"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The library as its sources, or as boards get it."""
    for name, data in contents.application(source=request.param == "py").items():
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "library"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_library(version: str, library: Path, tmp_path: Path) -> None:
    if version == "mpy-1.22" and not (library / "azureiot" / "hub.py").exists():
        pytest.skip("the WebAssembly of 1.22 loads no .mpy")
    tests = tmp_path / "tests"
    tests.mkdir()
    for path in TESTS.glob("*.py"):
        if path.name not in NEEDS_SOCKETS:
            shutil.copy(path, tests)
    standins = tmp_path / "standins"
    standins.mkdir()
    for name, text in STANDINS.items():
        (standins / name).write_text(text)
    done = subprocess.run(
        ["node", FOLDER / "run.mjs", FOLDER / "node_modules" / version, standins, library, tests],
        capture_output=True,
        text=True,
        timeout=60,
    )
    expected = sum(len(re.findall("^def test_", path.read_text(), re.MULTILINE)) for path in tests.glob("test_*.py"))
    assert f"{expected} passed, 0 failed\n" in done.stdout, done.stdout + done.stderr
