"""Four boards at once, each its own installation: nothing is shared between two of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from fakeboard import FakeBoard

from .boards import install, running


def test_four_boards_are_installed_at_once(tmp_path: Path) -> None:
    wanted = [{"main.py": f"print({number})\n".encode(), "data": bytes([number]) * 9000} for number in range(4)]
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        boards = [stack.enter_context(FakeBoard(tmp_path / f"flash{number}")) for number in range(4)]
        done = pool.map(install, [board.port for board in boards], wanted)
        assert [one.slot for one in done] == ["a"] * 4
        assert [running(board.files()) for board in boards] == wanted
