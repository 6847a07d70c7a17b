"""What is on a board already is neither sent nor written again: flash wears, and a line is slow."""

from __future__ import annotations

from pathlib import Path

from fakeboard import FakeBoard

from .boards import Workbench, install, running


def test_installing_the_same_again_writes_nothing_to_flash(workbench: Workbench, tmp_path: Path) -> None:
    with FakeBoard(tmp_path / "flash") as board:
        assert workbench.flash(board.port).code == 0
        before, files = board.flash_operations, board.files()
        done = workbench.flash(board.port)
        assert done.code == 0
        assert "has exactly this already" in done.out
        assert board.flash_operations == before
        assert board.files() == files


def test_an_upgrade_sends_what_changed_and_copies_the_rest_on_the_board(tmp_path: Path) -> None:
    modules = {f"app/module{number}.mpy": bytes([number]) * 5000 for number in range(10)}
    with FakeBoard(tmp_path / "flash") as board:
        install(board.port, modules)
        done = install(board.port, {**modules, "app/module3.mpy": b"changed"})
        assert (done.slot, done.sent_files, done.sent_bytes, done.copied_files) == ("b", 1, 7, 9)
        assert running(board.files()) == {**modules, "app/module3.mpy": b"changed"}


def test_files_and_directories_of_an_older_installation_go(tmp_path: Path) -> None:
    with FakeBoard(tmp_path / "flash") as board:
        install(board.port, {"lib/deep/old.py": b"old", "main.py": b"1"})
        install(board.port, {"main.py": b"2"})
        install(board.port, {"main.py": b"3", "lib": b"a file now"})
        assert running(board.files()) == {"main.py": b"3", "lib": b"a file now"}
        assert "/slots/a/lib/deep/old.py" not in board.files()
