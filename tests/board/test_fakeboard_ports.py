"""Ports that vanish and come back, and programs that come and go, do not disturb the fake board."""

from __future__ import annotations

import os
import socket

import pytest
from serial import SerialException

from .conftest import Connect, MakeBoard

COUNTING = b"import time\nn = 0\nwhile True:\n    n += 1\n    print('count', n)\n    time.sleep_ms(50)\n"


def test_a_vanished_port_is_an_error_for_who_has_it_open_and_the_chip_runs_on(
    make_board: MakeBoard, connect: Connect
) -> None:
    board = make_board(files={"/main.py": COUNTING})
    board.console(from_start=True).wait_for("count 2$")
    transport = connect(board.port)
    board.vanish_port()
    assert not os.path.lexists(board.port)
    with pytest.raises((SerialException, OSError)):
        transport.read_until(1, b"never", timeout=5)
    board.console().wait_for("count")
    board.restore_port()
    assert connect(board.port).read_until(1, b"count", timeout=5).endswith(b"count")
    assert board.resets == 0


def test_native_usb_goes_with_the_power_and_an_adapter_does_not(make_board: MakeBoard, connect: Connect) -> None:
    adapter, native = make_board(), make_board(native_usb=True, files={"/main.py": COUNTING})
    transport = connect(native.port)
    for board in (adapter, native):
        board.power_off()
    with pytest.raises((SerialException, OSError)):
        transport.read_until(1, b"never", timeout=5)
    assert (os.path.lexists(adapter.port), os.path.lexists(native.port)) == (True, False)
    native.power_cycle()
    assert connect(native.port).read_until(1, b"count", timeout=5).endswith(b"count")


def test_tcp_port_comes_back_under_its_number(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(files={"/main.py": COUNTING}, tcp=True)
    address = board.tcp_port
    transport = connect(address)
    assert transport.serial.read(1)
    board.vanish_port()
    with pytest.raises((SerialException, OSError)):
        transport.serial.read(1 << 20)
    board.restore_port()
    assert board.tcp_port == address
    assert connect(address).serial.read(1)


def test_many_programs_one_after_another(make_board: MakeBoard) -> None:
    """Each TCP client sees the board anew; one that disconnects without a word disturbs nobody."""
    board = make_board(tcp=True)
    board.console(from_start=True).wait_for("Type .help")
    number = int(board.tcp_port.rsplit(":", 1)[1])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", number), timeout=5) as client:
            client.sendall(b"\r")
            heard = client.recv(100)
            while not heard.endswith(b">>> "):
                heard += client.recv(100)


def test_a_reader_that_does_not_read_does_not_stop_the_board(make_board: MakeBoard, connect: Connect) -> None:
    talkative = b"for n in range(20000):\n    print('line', n, 'x' * 40)\nprint('all said')\n"
    board = make_board(files={"/main.py": b"input()\n" + talkative})
    keyboard = connect(board.port).serial
    keyboard.write(b"\r")
    board.console(from_start=True).wait_for("all said", timeout_s=30)
    assert "line 19999 " in board.log


def test_without_tcp_there_is_no_tcp_port(make_board: MakeBoard) -> None:
    with pytest.raises(ValueError, match="tcp=True"):
        _ = make_board().tcp_port
