"""The application's tests, the same files, on real MicroPython: what works on CPython alone works on no board."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent
TESTS = FOLDER.parent
FILES = sorted(path.name for path in FOLDER.glob("test_*.py"))


@pytest.mark.parametrize("name", FILES)
def test_file(name: str, micropython: Path) -> None:
    places = (TESTS.parent / "firmware", FOLDER, TESTS / "device")
    done = subprocess.run(
        [micropython, TESTS / "device" / "run.py", name],
        cwd=FOLDER,
        env={**os.environ, "MICROPYPATH": os.pathsep.join((".frozen", *map(str, places)))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    counted = re.search(r"^(\d+) passed, 0 failed$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted is not None
    assert int(counted[1]) == len(re.findall(r"^def test_", (FOLDER / name).read_text("utf-8"), re.MULTILINE))
