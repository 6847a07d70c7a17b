"""The fake board starts and answers as ports/esp32/main.c does: else what passes on it would fail on hardware."""

from __future__ import annotations

import pytest

from .conftest import Connect, MakeBoard

BOOT = b"print('boot runs')\n"
MAIN = b"print('main runs')\n"


def test_a_blank_flash_is_formatted_and_gets_a_boot_py(make_board: MakeBoard) -> None:
    board = make_board()
    board.console(from_start=True).wait_for("Performing initial setup")
    board.console(from_start=True).wait_for("Type .help")
    assert list(board.files()) == ["/boot.py"]


def test_boot_py_then_main_py_then_the_repl(make_board: MakeBoard) -> None:
    console = make_board(files={"/boot.py": BOOT, "/main.py": MAIN}).console(from_start=True)
    console.wait_for("POWERON_RESET")
    assert console.line() == "boot runs"
    assert console.line() == "main runs"
    assert console.line().startswith("MicroPython")


def test_boot_py_decides_which_main_py_runs(make_board: MakeBoard) -> None:
    """The slot scheme rests on it: main.py is looked for in the directory that boot.py has changed to."""
    files = {
        "/boot.py": b"import os, sys\nos.chdir('/slots/b')\nsys.path.insert(0, '/slots/b')\n",
        "/main.py": b"print('the wrong one')\n",
        "/slots/b/main.py": b"import app\nprint('main of', app.NAME)\n",
        "/slots/b/app.py": b"NAME = 'b'\n",
    }
    board = make_board(files=files)
    board.console(from_start=True).wait_for("main of b")
    assert "wrong" not in board.log


def test_main_py_does_not_run_after_a_boot_py_that_failed(make_board: MakeBoard) -> None:
    board = make_board(files={"/boot.py": b"1 / 0\n", "/main.py": MAIN})
    board.console(from_start=True).wait_for("ZeroDivisionError")
    board.console(from_start=True).wait_for("Type .help")
    assert "main runs" not in board.log


def test_boot_and_main_share_their_names_with_the_repl(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(files={"/boot.py": b"first = 1\n", "/main.py": b"second = first + 1\n"})
    board.console(from_start=True).wait_for("Type .help")
    transport = connect(board.port)
    transport.enter_raw_repl(soft_reset=False)
    assert transport.eval("(first, second)") == (1, 2)


def test_raw_repl_outlives_a_soft_reset_and_leaves_main_py_out(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(files={"/boot.py": BOOT, "/main.py": MAIN})
    board.console(from_start=True).wait_for("main runs")
    console = board.console()
    transport = connect(board.port)
    transport.enter_raw_repl(soft_reset=True)
    assert transport.eval("40 + 2") == 42
    console.wait_for("MPY: soft reboot")
    assert console.line() == "boot runs"
    assert "main runs" not in console.text()
    transport.exit_raw_repl()
    console.wait_for("Type .help")
    transport.serial.write(b"\x04")
    console.wait_for("main runs")
    assert board.reset_causes == ["soft reset", "soft reset"]


@pytest.mark.parametrize("leave", ["import sys; sys.exit()", "import machine; machine.soft_reset()"])
def test_leaving_main_py_is_a_soft_reset(make_board: MakeBoard, leave: str) -> None:
    once = f"import os\nif 'once' not in os.listdir():\n    open('once', 'w').close()\n    {leave}\n"
    board = make_board(files={"/main.py": once.encode() + b"print('cause', __import__('machine').reset_cause())\n"})
    board.console(from_start=True).wait_for("cause 5")
    assert board.reset_causes == ["soft reset"]


def test_ctrl_c_ends_an_endless_program_and_what_follows_it_is_kept(make_board: MakeBoard, connect: Connect) -> None:
    """mpremote sends Ctrl-C and, at once, Ctrl-A: a board that loses the second cannot be taken over."""
    board = make_board(files={"/main.py": b"print('endless')\nwhile True:\n    pass\n"})
    board.console(from_start=True).wait_for("endless")
    transport = connect(board.port)
    transport.serial.write(b"\r\x03\r\x01")
    assert transport.read_until(1, b"raw REPL; CTRL-B to exit\r\n>", timeout=5).endswith(b"exit\r\n>")
    assert "KeyboardInterrupt" in board.log


def test_ctrl_c_can_be_caught_and_programs_can_read_what_is_typed(make_board: MakeBoard, connect: Connect) -> None:
    program = b"""\
import time
try:
    print('waiting')
    time.sleep(60)
except KeyboardInterrupt:
    print('caught')
print('hello', input())
"""
    board = make_board(files={"/main.py": program})
    console = board.console(from_start=True)
    console.wait_for("waiting")
    transport = connect(board.port)
    transport.serial.write(b"\x03")
    console.wait_for("caught")
    transport.serial.write(b"board\r")
    console.wait_for("hello board")


def test_output_reaches_the_log_also_while_a_program_has_the_port(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board()
    board.console(from_start=True).wait_for("Type .help")
    transport = connect(board.port)
    transport.enter_raw_repl()
    assert transport.exec("print('seen by', 'both')") == b"seen by both\r\n"
    board.console(from_start=True).wait_for("seen by both")


def test_a_console_that_waits_in_vain_says_what_was_printed(make_board: MakeBoard) -> None:
    board = make_board(files={"/main.py": b"print('something else')\n"})
    board.console(from_start=True).wait_for("something else")
    with pytest.raises(TimeoutError, match=r"(?s)'never'.*something else"):
        board.console(from_start=True).wait_for("never", timeout_s=0.2)
