"""The real mpremote works on the fake board, over the pseudo-terminal and over TCP, as it does on a board."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mpremote.transport import TransportError

from fakeboard import FakeBoard

from .conftest import Connect, MakeBoard


def mpremote(port: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mpremote", "connect", port, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def has_started(board: FakeBoard) -> FakeBoard:
    board.console(from_start=True).wait_for("Type .help")
    return board


@pytest.mark.parametrize("way", ["port", "tcp_port"])
def test_files_go_there_and_back(make_board: MakeBoard, tmp_path: Path, way: str) -> None:
    board = has_started(make_board(tcp=True))
    port = getattr(board, way)
    data = bytes(range(256)) * 12
    (tmp_path / "out.bin").write_bytes(data)
    assert mpremote(port, "fs", "mkdir", ":lib").returncode == 0
    assert mpremote(port, "fs", "cp", str(tmp_path / "out.bin"), ":lib/data.bin").returncode == 0
    assert mpremote(port, "fs", "cp", ":lib/data.bin", str(tmp_path / "back.bin")).returncode == 0
    assert (tmp_path / "back.bin").read_bytes() == data
    assert board.files()["/lib/data.bin"] == data


def test_errors_of_the_board_reach_the_command_line(make_board: MakeBoard) -> None:
    board = has_started(make_board())
    missing = mpremote(board.port, "fs", "cat", ":nofile")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    failed = mpremote(board.port, "exec", "1 / 0")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stdout + failed.stderr


def test_mip_style_mounts_and_clock(make_board: MakeBoard, tmp_path: Path) -> None:
    """`mount` reads what the host answers while code runs; `rtc --set` sets what time.time() says."""
    board = has_started(make_board())
    (tmp_path / "there.py").write_text("print('imported from the host')\n")
    mounted = mpremote(board.port, "mount", str(tmp_path), "exec", "import there")
    assert "imported from the host" in mounted.stdout, mounted.stderr
    assert mpremote(board.port, "rtc", "--set").returncode == 0
    year = mpremote(board.port, "exec", "import time; print(time.localtime()[0])").stdout
    assert int(year) >= 2024


def test_reset_restarts_the_board(make_board: MakeBoard) -> None:
    board = has_started(make_board(files={"/main.py": b"print('main runs')\n"}))
    console = board.console()
    assert mpremote(board.port, "reset").returncode == 0
    console.wait_for("SW_CPU_RESET")
    console.wait_for("main runs")
    assert board.reset_causes[-1] == "reset"


def test_a_second_program_is_refused(make_board: MakeBoard, connect: Connect) -> None:
    board = has_started(make_board(tcp=True))
    connect(board.port)
    with pytest.raises(TransportError, match="failed to access"):
        connect(board.port)
    first = connect(board.tcp_port)
    second = connect(board.tcp_port)
    first.enter_raw_repl()
    assert first.eval("1") == 1, "the first one is not disturbed"
    with pytest.raises(Exception, match=r"disconnected|reset|closed|raw repl"):
        second.enter_raw_repl(timeout_overall=1)


def test_what_was_printed_while_nobody_listened_is_lost(make_board: MakeBoard, connect: Connect) -> None:
    """As on a UART: a tool that opens the port must not meet yesterday's lines."""
    board = has_started(make_board(files={"/main.py": b"print('yesterday')\n"}))
    transport = connect(board.port)
    transport.serial.write(b"\r")
    heard = transport.read_until(1, b">>> ", timeout=5)
    assert b">>> " in heard
    assert b"yesterday" not in heard


def test_four_boards_at_once(make_board: MakeBoard, connect: Connect) -> None:
    boards = [make_board() for _ in range(4)]

    def talk(number: int) -> list[Any]:
        transport = connect(boards[number].port)
        transport.enter_raw_repl()
        transport.fs_writefile(f"/{number}.bin", bytes([number]) * 3000)
        return [transport.eval(f"{number} * {n}") for n in range(10)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(talk, range(4))) == [[number * n for n in range(10)] for number in range(4)]
    for number, board in enumerate(boards):
        assert board.files()[f"/{number}.bin"] == bytes([number]) * 3000
