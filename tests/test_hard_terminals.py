"""The command line where the world is unkind: readers and terminals that go away, directories, settings, pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "azureiot_tools")


def run(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=environment, text=True, timeout=60, stderr=subprocess.PIPE, **options
    )


def one_sentence(err: str) -> bool:
    return err.startswith("azureiot: ") and err.count("\n") == 1 and "Traceback" not in err


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m azureiot_tools demo | head -n 2; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def test_a_directory_that_may_not_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "certs").write_text("a file where a directory should be")
    else:
        (tmp_path / "certs").mkdir(mode=0)
    for arguments in (("ca", "create"), ("device", "create", "d")):
        done = run(*arguments, cwd=tmp_path, env={"AZUREIOT_PFX_PASSWORD": "x"}, stdout=subprocess.PIPE)
        assert done.returncode == 1
        assert one_sentence(done.stderr), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("$ azureiot provision"):  # the emulator runs, secrets are on the disk
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--interval", "nan"), "is not a number from 0"),
        (("--interval", "-1"), "is not a number from 0"),
        (("--count", "0"), "is not a number from 1"),
        (("--timeout", "0"), "is not a number from 0.1"),
        (("--port", "99999"), "is not a number from 1"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, option: tuple[str, ...], said: str) -> None:
    done = run("simulate", *option, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        {"port": 1.5},
        {"port": 99999},
        {"interval_s": -1},
        {"id_scope": "a\nb"},
        {"id_scope": "x" * 70000},
        {"cert": "\x00"},
        {"id_scop": "0ne"},
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(content))
    done = run("provision", cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert next(iter(content)) in done.stderr


def test_settings_written_by_a_windows_editor(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"id_scope": "0ne", "wifi": []}).encode())
    done = run("provision", cwd=tmp_path, stdout=subprocess.PIPE)
    assert "A device certificate is missing" in done.stderr


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    run("ca", "create", cwd=tmp_path, stdout=subprocess.PIPE)
    os.mkfifo(tmp_path / "pipe")
    done = run("ca", "export", "--out", "pipe", "--force", cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert "is not a file" in done.stderr
    assert (tmp_path / "pipe").is_fifo()
