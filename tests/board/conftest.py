"""Boards for the tests: fake ones, or the one at AZUREIOT_BOARD_PORT for tests that need nothing but a port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mpremote.transport_serial import SerialTransport

from conftest import missing
from fakeboard import FakeBoard, chip

from .boards import workbench as workbench

HARDWARE = os.environ.get("AZUREIOT_BOARD_PORT", "")
MakeBoard = Callable[..., FakeBoard]
Connect = Callable[[str], SerialTransport]


@pytest.fixture(autouse=True)
def _interpreter() -> None:
    """Without MicroPython there are no fake boards: their tests are left out, except in CI."""
    try:
        chip.interpreter()
    except FileNotFoundError as error:
        if not HARDWARE:
            missing(str(error))


@pytest.fixture
def make_board(tmp_path: Path) -> Iterator[MakeBoard]:
    """Makes boards that are closed after the test; each has a flash of its own unless `flash` names one."""
    with contextlib.ExitStack() as boards:
        count = 0

        def make(*, flash: Path | None = None, **options: Any) -> FakeBoard:
            nonlocal count
            count += 1
            return boards.enter_context(FakeBoard(flash or tmp_path / f"flash{count}.bin", **options))

        yield make


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens a port with mpremote's own transport; closed after the test."""
    with contextlib.ExitStack() as opened:

        def open_port(port: str) -> SerialTransport:
            transport = SerialTransport(port, timeout=5)
            opened.callback(transport.serial.close)  # its own close() would touch modem lines that may be gone
            return transport

        yield open_port


@pytest.fixture
def board_port(make_board: MakeBoard) -> str:
    """The port of a board with MicroPython on it."""
    return HARDWARE or make_board().port
