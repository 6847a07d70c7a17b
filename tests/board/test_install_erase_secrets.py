"""`azureiot board erase-secrets`: not one byte of key or Wi-Fi password is left in the flash chip."""

from __future__ import annotations

from pathlib import Path

from fakeboard import FakeBoard

from .boards import Workbench


def test_key_and_password_are_gone_from_the_raw_flash(workbench: Workbench, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    secrets = []
    own = b"WIFI = 'my 0wn network'  # what somebody had in boot.py"
    with FakeBoard(flash, files={"/boot.py": own}) as board:
        for _ in range(3):  # several keys, in both slots, some deleted long ago
            workbench.issue("mydevice001")
            secrets += workbench.secrets()
            assert workbench.flash(board.port).code == 0
        image = flash.read_bytes()
        assert all(secret in image for secret in secrets), "also the key of before the last: deleting is not erasing"
        done = workbench.board("erase-secrets", "--port", board.port)
        assert done.code == 0, done.err
        assert not [path for path in board.files() if path.startswith(("/slots", "/current", "/fill", "/boot.before"))]
    image = flash.read_bytes()
    assert b"my 0wn network" not in image, "the boot.py of before is kept by an installation, not by this"
    assert not [secret for secret in secrets if secret in image]
    assert not [secret for secret in secrets if secret[:8] in image], "not a part of it either"


def test_a_board_can_be_installed_again_afterwards(workbench: Workbench, tmp_path: Path) -> None:
    with FakeBoard(tmp_path / "flash") as board:
        workbench.flash(board.port)
        before = workbench.installed(board.port)
        assert workbench.board("erase-secrets", "--port", board.port).code == 0
        assert workbench.installed(board.port) == {}
        assert workbench.flash(board.port).code == 0
        assert workbench.installed(board.port) == before
