"""The power fails after each single flash operation of an installation: the board has the old installation or the new
one, whole, and running the installation again completes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from azureiot_tools.board import contents
from azureiot_tools.board.transport import Board, LostBoard
from fakeboard import FakeBoard

from .boards import install, running

# Small, and yet with everything that can happen: a file that changes, one that stays, one that comes, one that goes;
# certificate and key, which must never be mixed.
OLD = {
    "main.py": b"print('old')\n",
    "same.py": b"# the same in both\n" * 10,
    "gone.py": b"# of the old one only\n",
    "certs/device.crt.der": b"certificate 1 " * 20,
    "certs/device.key.der": b"key 1 " * 20,
}
NEW = {
    "main.py": b"print('new')\n",
    "same.py": OLD["same.py"],
    "app/new.py": b"# of the new one only\n",
    "certs/device.crt.der": b"certificate 2 " * 20,
    "certs/device.key.der": b"key 2 " * 20,
}
AT_ONCE = 6


@pytest.mark.parametrize(
    ("first", "torn"),
    [(OLD, False), (OLD, True), ({}, True)],
    ids=["upgrade", "upgrade, torn write", "bare, torn write"],
)
def test_old_or_new_after_every_cut(first: dict[str, bytes], torn: bool, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    with FakeBoard(flash) as board:
        with Board(board.port) as line:
            line.take_over()  # and so formatted
        if first:
            install(board.port, first)
    image = flash.read_bytes()
    with FakeBoard(flash) as board:
        before = board.flash_operations
        install(board.port, NEW)
        operations = board.flash_operations - before
        assert running(board.files()) == NEW

    def cut(count: int) -> str:
        """Cut the power after `count` operations; "old" or "new": what the board has then."""
        flash = tmp_path / f"flash{count}"
        flash.write_bytes(image)
        with FakeBoard(flash, native_usb=True) as board:  # so that the host need not wait to see the cut
            board.cut_power_after(count, torn=torn)
            with pytest.raises(LostBoard):
                install(board.port, NEW)
            board.power_cycle()
            after = board.files()
            found = running(after)
            assert found in (first, NEW), f"cut after {count} of {operations} operations: a mixture"
            assert contents.boot() == after["/boot.py"] or not found, f"cut after {count}: a slot without its boot.py"
            install(board.port, NEW)
            assert running(board.files()) == NEW, f"cut after {count} operations, then again"
        flash.unlink()
        return "new" if found == NEW else "old"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = list(pool.map(cut, range(operations)))
    assert operations > 20
    assert states == sorted(states, reverse=True), "once it is new it stays new"
    assert states[0] == "old"
