"""The whole story as `azureiot demo` tells it: every step of it is what some user will do first."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.simulator import unix_port
from conftest import ROOT


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "azureiot_tools.cli", "demo", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_story_on_both_runtimes(micropython: Path, tmp_path: Path) -> None:
    done = demo("--keep", "kept", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for runtime in ("CPython", "MicroPython"):
        assert f"{runtime}: seen arriving" in done.stdout
    said = done.stdout.split("\n")
    # Each half sends five messages, which are acknowledged and seen with the same payload and alert.
    sent = [line for line in said if line.startswith("sent ")]
    assert len(sent) == 10
    seen = [line for line in said if "  mydevice001  {" in line]
    alerts = [line for line in said if line.strip().startswith("properties:")]
    assert len(seen) == len(alerts) == 10
    for line, arrived, alert in zip(sent, seen, alerts, strict=True):
        payload = json.loads(line[5 : line.index("}") + 1])
        assert payload == json.loads(arrived[arrived.index("{") :])
        assert 20 <= payload["temperature"] <= 34
        assert 60 <= payload["humidity"] <= 79
        expected = f"temperatureAlert={'true' if payload['temperature'] > 30 else 'false'}"
        assert expected in line
        assert expected in alert
    assert "content-type" in done.stdout or "$.ct=application/json" in done.stdout
    # What it made is private where it must be, and no secret was printed.
    kept = tmp_path / "kept"
    password = (kept / "password.txt").read_text().strip()
    assert password not in done.stdout
    assert "PRIVATE KEY" not in done.stdout
    for secret in (
        "password.txt",
        "settings.json",
        "certs/mydevice001.key",
        "certs/mydevice001.pfx",
        "certs/ca/root.key",
    ):
        assert (kept / secret).stat().st_mode & 0o077 == 0, secret
    assert password not in (kept / "emulator.log").read_text()


def test_the_documentation_shows_what_it_prints(micropython: Path, tmp_path: Path) -> None:
    assert micropython
    documented = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    assert skeleton(documented.split("```")[1]) == skeleton(demo(cwd=tmp_path).stdout)


def skeleton(printed: str) -> list[str]:
    """The lines of a demo with all that changes from run to run taken out."""
    lines = [re.sub(r"\b[0-9A-F]{40,64}\b|[\d.:,-]+|true|false", "…", line) for line in printed.strip().splitlines()]
    # Payloads come in hash order from MicroPython.
    return [re.sub(r"\{.*\}", "{…}", line) for line in lines]


def test_it_can_be_run_again_and_keeps_nothing_unasked(tmp_path: Path) -> None:
    for _ in range(2):
        assert demo(cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_without_micropython_it_says_so_and_does_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(unix_port, "find", lambda: None)
    before = (os.getcwd(), os.environ.get("AZUREIOT_SERVICE_URL"))
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.count("sent {") == 5
    left_out = [line for line in out.split("\n") if "MicroPython half is left out" in line]
    assert len(left_out) == 1
    assert before == (os.getcwd(), os.environ.get("AZUREIOT_SERVICE_URL"))


def test_a_directory_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert cli.main(["demo", "--keep", str(tmp_path / "mine")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert list((tmp_path / "mine").iterdir()) == []
