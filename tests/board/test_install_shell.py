"""`azureiot board shell`: the board's prompt on a terminal, and the board started again afterwards."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time

from azureiot_tools.board.transport import Board

from .boards import Workbench, install


def test_a_line_typed_is_answered_and_the_application_starts_again(board_port: str) -> None:
    install(board_port, {"main.py": b"print('azureiot: the application runs')\n"})
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "azureiot_tools.cli", "board", "shell", "--port", board_port]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            read_until(ours, b">>> ")
            os.write(ours, b"print(6*7, 'and more')\r")
            read_until(ours, b"42 and more")
            os.write(ours, b"\x1d")
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(ours)
    with Board(board_port) as board:
        assert any("the application runs" in line for line in board.lines(time.monotonic() + 20))


def test_it_needs_a_terminal_and_leaves_the_board_alone_without_one(workbench: Workbench, board_port: str) -> None:
    done = workbench.board("shell", "--port", board_port)
    assert done.code == 1
    assert done.err == "azureiot: The shell needs a terminal.\n"


def read_until(descriptor: int, wanted: bytes, timeout_s: float = 30) -> None:
    said = b""
    deadline = time.monotonic() + timeout_s
    while wanted not in said:
        assert select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0], said
        said += os.read(descriptor, 1000)
