"""The README, executed: each command and program in it is what a stranger types first."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)#]+)\)", README)


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language ("" for shell)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An empty working directory, with the emulator started in it as the README has it, on free ports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZUREIOT_PFX_PASSWORD", "a password")
    options = EmulatorOptions(port=0, http_port=0, data=Path(".emulator"), retry_after_s=1)
    with running(options) as emulator:
        monkeypatch.setenv("AZUREIOT_SERVICE_URL", f"http://127.0.0.1:{emulator.http_port}")
        yield emulator


def type_commands(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> str:
    """Every command of the README in its order; what they printed."""
    (settings,) = map(json.loads, blocks("json"))
    Path("settings.json").write_text(json.dumps({**settings, "port": emulator.mqtt_port}))
    printed = ""
    code = ""
    for line in "".join(blocks("")).splitlines():
        if not line.startswith("azureiot ") or line in ("azureiot emulator", "azureiot demo"):
            continue
        assert cli.main(line.replace("CODE", code).split()[1:]) == 0, line
        out = capsys.readouterr().out
        if line.startswith("azureiot service cert code"):
            code = re.findall(r"\b[0-9A-F]{48}\b", out)[0]
        printed += out
    return printed


def test_the_steps(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    printed = type_commands(emulator, capsys)
    assert printed.count("sent {") == 5
    assert "hub        localhost" in printed


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_the_program(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], runtime: str, request: pytest.FixtureRequest
) -> None:
    type_commands(emulator, capsys)
    (program,) = blocks("python")
    Path("program.py").write_text(
        program.replace('provisioning_host="localhost"', f'provisioning_host="localhost", port={emulator.mqtt_port}')
    )
    interpreter = sys.executable if runtime == "cpython" else request.getfixturevalue("micropython")
    done = subprocess.run(
        [interpreter, "program.py"],
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware'}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "hub localhost device mydevice001\n"
    telemetry = [event for event in emulator.events.recent(limit=1000) if event.kind == "telemetry"]
    assert json.loads(telemetry[-1].detail["payload"]) == {"temperature": 21.5}
    assert telemetry[-1].detail["properties"]["temperatureAlert"] == "false"


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)$", "".join(blocks("")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
