"""docs/esp32.md, executed: what a stranger with a bare board types, and that it prints what the page says.

esptool talks to a stand-in for the boot loader in the ESP32's ROM, everything after it to the fake board that has the
same flash chip.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT
from fakeboard import FakeBoard
from fakeboard.rom import Rom

PAGE = (ROOT / "docs" / "esp32.md").read_text(encoding="utf-8")
FIRMWARE = ROOT / "firmware"
TOOLS = Path(sys.executable).parent
# What stands on the page, and what stands for it here.
PORT = "/dev/ttyUSB0"
IMAGE = "ESP32_GENERIC-20260406-v1.28.0.bin"
WIFI = ("home", "wifi-s3cret")
LAN_ADDRESS = "127.0.0.2"


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the page's console blocks, with the lines that follow it there."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def skeleton(line: str) -> str:
    """A line without what differs from run to run: numbers, paths of ports, hex, payloads."""
    line = re.sub(r"\{.*\}|\b[0-9A-F]{40,64}\b|(socket://)?127\.0\.0\.\d+(:\d+)?|192\.\d+\.\d+\.\d+", "…", line)
    return re.sub(r"[\d.:,]*\d[\d.:,]*|[━╸]+|true|false", "…", line).rstrip()


class Walk:
    """A shell in an empty folder, with a board on PORT."""

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._flash = folder / "chip"
        self._code = ""
        self._board: FakeBoard | None = None
        (folder / IMAGE).write_bytes(b"\xe9\x01\x02\x20" + bytes(100_000))
        self._environment = {
            **os.environ,
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            "AZUREIOT_PFX_PASSWORD": "a pfx password",
            "AZUREIOT_WIFI_PASSWORD": WIFI[1],
            "ESPTOOL_BEFORE": "no-reset",  # a TCP port has no reset lines
            "ESPTOOL_AFTER": "no-reset",
            "COLUMNS": "120",
        }

    def type(self, command: str) -> str:
        """Run one command; what it printed."""
        if command == "azureiot emulator --lan":
            return self._start_emulator()
        with contextlib.ExitStack() as port:
            for_rom = command.startswith("esptool ")
            at = port.enter_context(Rom(self._flash)).port if for_rom else self.board.port
            words = command.replace(PORT, at).replace("CODE", self._code).split()
            if command == "azureiot board log":
                words += ["--timeout", "3"]  # a person presses Ctrl-C
            if words[:2] == ["azureiot", "board"] and "--port" not in words:
                words += ["--port", at]  # the only board there is
            done = subprocess.run(
                [TOOLS / words[0], *words[1:]],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
            )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        if command.startswith("azureiot service cert code"):
            self._code = re.findall(r"\b[0-9A-F]{48}\b", done.stdout)[0]
        return done.stdout.replace(at, PORT)

    @property
    def board(self) -> FakeBoard:
        """The board on PORT once firmware is on it."""
        if self._board is None:
            assert (self._folder / IMAGE).read_bytes() in self._flash.read_bytes(), "esptool wrote the firmware"
            self._board = self._running.enter_context(FakeBoard(self._flash))
            self._board.weather(access_points=dict([WIFI]))
        return self._board

    def _start_emulator(self) -> str:
        emulator = self._running.enter_context(
            subprocess.Popen(
                [TOOLS / "azureiot", "emulator", "--lan", LAN_ADDRESS, "--port", "0", "--http-port", "0"],
                cwd=self._folder,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._running.callback(emulator.terminate)
        assert emulator.stdout is not None
        printed = ""
        for line in emulator.stdout:
            printed += line.replace(f" --url {self._environment.get('AZUREIOT_SERVICE_URL')}", "")  # not the usual port
            if line.startswith("service API"):
                self._environment["AZUREIOT_SERVICE_URL"] = line.split()[-1]
            if line.startswith("next: "):
                break
        settings = self._folder / ".emulator" / "settings.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "interval_s": 1}))  # a person has a minute
        return printed.replace(LAN_ADDRESS, "192.168.1.20")


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    with contextlib.ExitStack() as running:
        yield Walk(tmp_path, running)


@pytest.mark.timeout(300)
def test_every_command_prints_what_the_page_says(walk: Walk) -> None:
    assert len(steps()) > 15
    for command, documented in steps():
        printed = [skeleton(line) for line in walk.type(command).splitlines()]
        at = 0
        for line in documented:
            if line.strip() == "…":  # left out on the page
                continue
            assert skeleton(line) in printed[at:], f"$ {command}\nno longer prints: {line}\n" + "\n".join(printed)
            at = printed.index(skeleton(line), at) + 1


def messages(path: Path) -> Iterator[str]:
    """What a module of the application may print: its texts up to the first place that varies."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("log", "print", "AzureIoTError", "_wrong"):
                for text in ast.walk(node.args[0]):
                    if isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value:
                        yield text.value


@pytest.mark.parametrize(
    "path", [FIRMWARE / "boot.py", FIRMWARE / "main.py", *sorted((FIRMWARE / "app").glob("*.py"))], ids=lambda p: p.name
)
def test_the_table_has_every_line_that_a_board_may_print(path: Path) -> None:
    for text in messages(path):
        fixed = max(re.split(r"%[sdr]|%02d", text.removeprefix("azureiot: ")), key=len).strip(" ;:().")
        if len(fixed) > 3:
            assert fixed in PAGE, f"{path.name} may print {text!r}, and docs/esp32.md does not say what it means"


def test_the_sensor_on_the_page_is_the_applications() -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    documented = ast.get_docstring(ast.parse((FIRMWARE / "app" / "sensor.py").read_text(encoding="utf-8")))
    assert documented is not None
    assert program.strip() in documented


def test_the_settings_on_the_page_are_json() -> None:
    for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        assert isinstance(json.loads(block), dict)
