"""What goes wrong with a board is one sentence that says what to do, and costs nothing that was there."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from azureiot_tools.board.transport import Board, LostBoard
from azureiot_tools.console import UserError
from fakeboard import FakeBoard

from .boards import Workbench, install, running

SMALL = {"main.py": b"print('small')\n", "certs/device.key.der": b"key" * 40}


@pytest.fixture
def board(tmp_path: Path):
    with FakeBoard(tmp_path / "flash") as board:
        yield board


def refused(outcome) -> str:
    """The one sentence on stderr."""
    assert outcome.code == 1
    assert outcome.err.startswith("azureiot: ")
    assert "Traceback" not in outcome.err
    return outcome.err


def test_a_port_that_is_not_there(workbench: Workbench) -> None:
    assert "There is no port /dev/nowhere." in refused(workbench.board("info", "--port", "/dev/nowhere"))


def test_a_socket_where_nobody_listens(workbench: Workbench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = f"socket://127.0.0.1:{free.getsockname()[1]}"
        assert f"Nothing answers at {port}." in refused(workbench.board("info", "--port", port))


def test_a_second_program_on_the_port(workbench: Workbench, board: FakeBoard) -> None:
    with Board(board.port):
        said = refused(workbench.board("info", "--port", board.port))
    assert "another program may be using it" in said


def test_a_line_on_which_nobody_answers(tmp_path: Path) -> None:
    master, slave = os.openpty()
    link = tmp_path / "silent"
    link.symlink_to(os.ttyname(slave))
    try:
        with Board(str(link)) as line, pytest.raises(UserError, match="does not answer"):
            line.take_over(timeout_s=1)
    finally:
        os.close(master)
        os.close(slave)


def test_something_that_is_not_micropython(tmp_path: Path) -> None:
    """It talks, as a boot loader or another firmware does, but never becomes a raw REPL."""
    server = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(100):
                connection.sendall(b"waiting for download\r\n" + data)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        line = Board(f"socket://127.0.0.1:{server.getsockname()[1]}")
        with line, pytest.raises(UserError, match="not as MicroPython's REPL does"):
            line.take_over(timeout_s=1)
    finally:
        server.close()
        thread.join(5)


def test_too_old_firmware_is_refused_before_anything_is_written(workbench: Workbench, tmp_path: Path) -> None:
    with FakeBoard(tmp_path / "flash", version=(1, 21, 0)) as board:
        said = refused(workbench.flash(board.port))
        assert "MicroPython 1.21.0" in said
        assert "1.22 or newer is needed" in said
        assert not running(board.files())


def test_no_space_is_said_with_numbers_before_anything_is_written(workbench: Workbench, board: FakeBoard) -> None:
    fill(board, but_blocks=30)
    before = board.flash_operations
    said = refused(workbench.flash(board.port))
    assert "KB are free; nothing was written." in said
    assert board.flash_operations == before


def test_flash_that_turns_out_full_keeps_the_old_installation(
    board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate may be wrong; littlefs has the last word."""
    from azureiot_tools.board import slots

    install(board.port, SMALL)
    fill(board, but_blocks=6)
    monkeypatch.setattr(slots, "_check_space", lambda *_: None)
    with pytest.raises(UserError, match="flash is full; the board keeps what it had"):
        install(board.port, {**SMALL, "big.bin": bytes(range(256)) * 400})
    assert running(board.files()) == SMALL


def test_a_file_that_reads_back_otherwise_is_not_switched_to(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    install(board.port, SMALL)
    write_file = Board.write_file

    def damage(self: Board, path: str, data: bytes, sent) -> None:
        write_file(self, path, data.replace(b"other", b"otter"), sent)

    monkeypatch.setattr(Board, "write_file", damage)
    with pytest.raises(UserError, match=r"^main\.py on the board is not what was sent"):
        install(board.port, {**SMALL, "main.py": b"print('other')\n"})
    assert running(board.files()) == SMALL


def test_an_endless_program_with_a_running_watchdog_is_replaced(board: FakeBoard) -> None:
    """Ctrl-C ends the feeding, and the watchdog cannot be stopped: without the restart it would fire in the middle."""
    endless = b"import machine\nw = machine.WDT(timeout=1500)\nprint('azureiot: busy')\nwhile True: w.feed()\n"
    install(board.port, {**SMALL, "main.py": endless})
    with Board(board.port) as line:
        assert any("busy" in said for said in line.lines(soon()))
    resets = board.reset_causes
    many = {f"app/module{number}.py": bytes([number]) * 3000 for number in range(20)}
    install(board.port, {**SMALL, **many})
    assert running(board.files()) == {**SMALL, **many}
    assert board.reset_causes[len(resets) :] == ["reset", "reset"], (
        "one to take over, one to start; none by the watchdog"
    )


def test_a_program_that_ignores_ctrl_c_is_caught_when_the_watchdog_resets_it(board: FakeBoard) -> None:
    deaf = b"import machine, micropython\nw = machine.WDT(timeout=1500)\nmicropython.kbd_intr(-1)\n"
    deaf += b"print('azureiot: deaf')\nwhile True:\n try:\n  while True: pass\n except KeyboardInterrupt: pass\n"
    install(board.port, {**SMALL, "main.py": deaf})
    with Board(board.port) as line:
        assert any("deaf" in said for said in line.lines(soon()))
    install(board.port, SMALL)
    assert running(board.files()) == SMALL


def test_a_board_that_stops_answering_is_given_up(board: FakeBoard) -> None:
    with Board(board.port, patience_s=1) as line:
        line.take_over()
        board.cut_power_after(0)
        with pytest.raises(LostBoard, match="stopped answering"):
            line.write_file("/x", b"x" * 5000, lambda _: None)


def test_ctrl_c_at_the_host_leaves_the_old_installation_running(
    workbench: Workbench, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(board.port, {**SMALL, "main.py": b"print('azureiot: the old one runs')\n"})
    write_file = Board.write_file
    written = []

    def interrupt(self: Board, path: str, data: bytes, sent) -> None:
        written.append(path)
        if len(written) == 5:
            raise KeyboardInterrupt
        write_file(self, path, data, sent)

    monkeypatch.setattr(Board, "write_file", interrupt)
    done = workbench.flash(board.port)
    assert done.code == 130
    assert "the board starts what it started before" in done.out
    with Board(board.port) as line:
        assert any("the old one runs" in said for said in line.lines(soon()))
    monkeypatch.setattr(Board, "write_file", write_file)
    assert workbench.flash(board.port).code == 0, "and again, to the end"


def test_a_boot_py_of_the_users_own_is_kept(board: FakeBoard) -> None:
    own = b"import sys\nprint('my own boot')\n"
    with Board(board.port) as line:
        line.take_over()
        line.write_file("/boot.py", own, lambda _: None)
    done = install(board.port, SMALL)
    assert done.kept_boot == "/boot.before.py"
    assert board.files()["/boot.before.py"] == own
    assert install(board.port, SMALL).kept_boot == "", "ours is left as it is"


def fill(board: FakeBoard, but_blocks: int) -> None:
    """Put a file on the board that leaves only so many blocks free."""
    with Board(board.port) as line:
        line.take_over()
        line.run(
            f"import os\ncount = os.statvfs('/')[3] - {but_blocks}\nf = open('/big', 'wb')\n"
            "for i in range(count): _ = f.write(bytes(4096))\nf.close()"
        )


def soon() -> float:
    """When to stop waiting for what a board prints."""
    return time.monotonic() + 20
