"""The fake board's flash behaves as NOR flash under littlefs: the tests of power cuts stand or fall with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mpremote.transport import TransportExecError

from fakeboard import FakeBoard
from fakeboard.flash import OFFSET

from .conftest import Connect, MakeBoard

OLD, NEW = b"o" * 700, b"n" * 900


def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def test_files_survive_power_cycles_and_the_board_itself(
    make_board: MakeBoard, connect: Connect, tmp_path: Path
) -> None:
    flash = tmp_path / "flash.bin"
    with FakeBoard(flash, files={"/certs/a.der": OLD}) as board:
        transport = connect(board.port)
        transport.enter_raw_repl()
        transport.fs_writefile("/b.txt", NEW)
        transport.serial.close()
        board.power_cycle()
        transport = connect(board.port)
        transport.enter_raw_repl()
        assert bytes(transport.fs_readfile("/certs/a.der")) == OLD
        assert bytes(transport.fs_readfile("/b.txt")) == NEW
    board = make_board(flash=flash)
    transport = connect(board.port)
    transport.enter_raw_repl()
    assert bytes(transport.fs_readfile("/b.txt")) == NEW
    assert board.files() == {"/certs/a.der": OLD, "/b.txt": NEW}


def test_reading_is_no_flash_operation_and_writing_is(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(files={"/a": OLD})
    transport = connect(board.port)
    transport.enter_raw_repl()
    before = board.flash_operations
    transport.fs_readfile("/a")
    transport.fs_hashfile("/a", "sha256")
    assert board.flash_operations == before
    transport.fs_writefile("/a", NEW)
    assert board.flash_operations > before


def test_a_removed_file_stays_in_the_image_until_its_sector_is_erased(make_board: MakeBoard, connect: Connect) -> None:
    """What erase-secrets has to deal with."""
    secret = bytes(range(250, 5, -1)) * 8
    board = make_board(files={"/key": secret})
    transport = connect(board.port)
    transport.enter_raw_repl()
    transport.fs_rmfile("/key")
    assert "/key" not in board.files()
    assert secret in board.flash.image()


def test_a_full_flash_is_enospc(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(filesystem_bytes=16 * 4096)
    transport = connect(board.port)
    transport.enter_raw_repl()
    assert transport.eval("__import__('os').statvfs('/')[2]") == 16
    with pytest.raises(TransportExecError, match="OSError: 28"):
        transport.exec("with open('/big', 'wb') as f:\n for _ in range(16): f.write(bytes(4096))")


@pytest.mark.parametrize("torn", [False, True])
def test_replacing_a_file_by_a_rename_is_old_or_new_at_every_cut(
    make_board: MakeBoard, connect: Connect, torn: bool
) -> None:
    """Also shows that a cut ends the board for good, and that each power cycle brings it back."""
    program = f"""
import os
with open('/file', 'wb') as f: f.write({OLD!r})
print('go')
input()
with open('/new', 'wb') as f: f.write({NEW!r})
os.rename('/new', '/file')
print('done')
"""
    board = make_board(files={"/main.py": program.encode()})
    console = board.console(from_start=True)
    keyboard = connect(board.port).serial
    seen: list[bytes] = []
    while len(seen) < 100:
        console.wait_for("go")
        before = board.flash_operations
        board.cut_power_after(len(seen), torn=torn)
        keyboard.write(b"\r")
        until(lambda console=console: not board.has_power or "done" in console.text())
        seen.append(board.files()["/file"])
        if board.has_power:
            break
        assert board.flash_operations == before + len(seen) - 1
        console = board.console()
        board.power_cycle()
    assert seen[0] == OLD
    assert seen[-1] == NEW
    assert len(seen) > 5
    assert seen == sorted(seen, reverse=True), "first old, then new: 'o' > 'n'"


def test_a_torn_operation_leaves_half_of_it(make_board: MakeBoard, connect: Connect) -> None:
    program = b"input()\nwith open('/x', 'wb') as f: f.write(bytes(range(256)) * 16)\n"
    board = make_board(files={"/main.py": program})
    before = board.flash.image()
    board.cut_power_after(1, torn=True)  # the first one erases a sector
    connect(board.port).serial.write(b"\r")
    until(lambda: not board.has_power)
    changed = [n for n, (old, new) in enumerate(zip(before, board.flash.image(), strict=True)) if old != new]
    assert 0 < len(changed) <= 64, "half of littlefs's 128 bytes"


def test_ctrl_c_in_the_middle_of_writing_harms_no_file(make_board: MakeBoard, connect: Connect) -> None:
    """The chip's driver finishes its operation first; otherwise littlefs would go on with half of its state."""
    board = make_board(files={"/keep": OLD})
    transport = connect(board.port)
    endless = "n = 0\nwhile True:\n    with open(f'/busy{n % 5}', 'wb') as f:\n        f.write(bytes(600))\n    n += 1"
    for round_ in range(15):
        transport.enter_raw_repl(soft_reset=False)
        transport.exec_raw_no_follow(endless)
        time.sleep(0.02 + round_ * 0.003)  # a different moment each time
        transport.serial.write(b"\x03")
        output, error = transport.follow(timeout=5)
        assert b"KeyboardInterrupt" in error, (output, error)
        assert bytes(transport.fs_readfile("/keep")) == OLD
    transport.fs_writefile("/after", NEW)
    files = board.files()
    assert files["/after"] == NEW
    assert files["/keep"] == OLD


def test_a_corrupt_partition_is_not_formatted_over(make_board: MakeBoard, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    with flash.open("wb") as file:
        file.write(b"\xff" * OFFSET + b"junk" * (4096 * 16 // 4))
    board = make_board(flash=flash, filesystem_bytes=16 * 4096)
    board.console(from_start=True).wait_for("appears to be corrupted")
    assert board.flash.image()[:4] == b"junk"
    with pytest.raises(ValueError, match="littlefs"):
        board.files()
