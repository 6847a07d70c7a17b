"""A board whose port is behind TCP, socket://HOST:PORT, is installed and read as one on a cable is."""

from __future__ import annotations

import time

from azureiot_tools.board import contents
from azureiot_tools.board.transport import Board

from .boards import Workbench, install, running, sha256
from .conftest import MakeBoard


def test_everything_arrives(workbench: Workbench, make_board: MakeBoard) -> None:
    board = make_board(tcp=True)
    done = workbench.flash(board.tcp_port, "--json")
    assert done.code == 0, done.err
    assert done.events["installed"]["port"] == board.tcp_port
    installed = running(board.files())
    assert installed.items() >= contents.application().items()
    assert workbench.installed(board.tcp_port) == {path: sha256(data) for path, data in installed.items()}


def test_its_log_is_read_after_the_restart(make_board: MakeBoard) -> None:
    board = make_board(tcp=True)
    install(board.tcp_port, {"main.py": b"print('azureiot: it runs')\n"})
    with Board(board.tcp_port) as line:
        assert any("it runs" in said for said in line.lines(time.monotonic() + 20))
