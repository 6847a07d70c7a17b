"""The command line where the world is unkind: no stdout, a full disk, an old locale, a closed terminal, no answer."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "azureiot_tools.cli")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=environment, text=True, timeout=60, stderr=subprocess.PIPE, **options
    )


def one_sentence(err: str) -> bool:
    return err.startswith("azureiot: ") and err.count("\n") == 1 and "Traceback" not in err


def test_stdout_that_is_closed_or_full(tmp_path: Path) -> None:
    done = run("roots", cwd=tmp_path, stdout=open("/dev/full", "w"))  # noqa: SIM115
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert "No space left" in done.stderr
    closed = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m azureiot_tools.cli ca create >&-"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (tmp_path / "certs/ca/root.key").exists()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m azureiot_tools.cli demo | head -n 2; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments", [("simulate", "--help"), ("provision", "--help"), ("roots", "--help"), ("roots",)]
)
def test_a_locale_without_unicode(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, cwd=tmp_path, env=ASCII, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_directory_that_may_not_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "certs").write_text("a file where a directory should be")
    else:
        (tmp_path / "certs").mkdir(mode=0)
    for arguments in (("ca", "create"), ("device", "create", "d")):
        done = run(*arguments, cwd=tmp_path, env={"AZUREIOT_PFX_PASSWORD": "x"}, stdout=subprocess.PIPE)
        assert done.returncode == 1
        assert one_sentence(done.stderr), done.stderr


@pytest.mark.parametrize(
    "option", [("--password", "hunter2"), ("--pass", "hunter2"), ("--password=hunter2",), ("--pas=hunter2",)]
)
@pytest.mark.parametrize(
    "command", [("provision",), ("simulate",), ("device", "create", "d"), ("pfx", "convert", "x.pfx")]
)
def test_a_password_on_the_command_line_is_wrong_usage(
    tmp_path: Path, command: tuple[str, ...], option: tuple[str, ...]
) -> None:
    done = run(*command, *option, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 2


@pytest.mark.parametrize("typed", [b"\x04", b"one\ntwo\n", b"\n\n", b"\xff\xfe\n\xff\xfe\n"])
def test_prompts_that_get_no_good_answer(tmp_path: Path, typed: bytes) -> None:
    run("ca", "create", cwd=tmp_path, stdout=subprocess.PIPE)
    before = sorted(tmp_path.rglob("*"))
    code, shown = at_a_terminal(tmp_path, "device", "create", "d", typed=typed)
    assert code == 1
    assert "Traceback" not in shown
    assert "azureiot: " in shown
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_at_a_prompt(tmp_path: Path) -> None:
    run("ca", "create", cwd=tmp_path, stdout=subprocess.PIPE)
    code, shown = at_a_terminal(tmp_path, "device", "create", "d", typed=b"\x03")
    assert code == 130
    assert "Traceback" not in shown


def test_a_password_is_asked_twice_without_echo(tmp_path: Path) -> None:
    run("ca", "create", cwd=tmp_path, stdout=subprocess.PIPE)
    code, shown = at_a_terminal(tmp_path, "device", "create", "d", typed=b"secret words\nsecret words\n")
    assert code == 0
    assert shown.count("Password of") == 2
    assert "secret" not in shown


def at_a_terminal(cwd: Path, *arguments: str, typed: bytes) -> tuple[int, str]:
    """Run a command on a terminal of its own and type when it asks; its exit code and what it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(cwd)
        os.environ.pop("AZUREIOT_PFX_PASSWORD", None)
        os.execv(COMMAND[0], [*COMMAND, *arguments])
    shown = b""
    answers = [line for line in typed.split(b"\n") if line] if typed.count(b"\n") > 1 else [typed]
    if not any(answers):
        answers = [b"", b""]
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        if answers and shown.rstrip().endswith(b":"):
            answer = answers.pop(0)
            os.write(terminal, answer if answer in (b"\x03", b"\x04") else answer + b"\n")
            shown += b" "
            if answers:
                shown += b"."
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


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
