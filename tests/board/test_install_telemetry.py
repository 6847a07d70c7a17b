"""The whole of `azureiot board flash`: from files on this machine to a message that the hub has acknowledged; or one
sentence that says why it did not come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from azureiot_tools.board.transport import Board
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from azureiot_tools.service import ServiceClient
from fakeboard import FakeBoard

from .boards import WIFI_PASSWORD, Workbench


@pytest.fixture
def emulator(workbench: Workbench) -> Iterator[Emulator]:
    """An emulator that takes the workbench's devices, and a settings.json that leads there."""
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        workbench.reports_to(emulator, interval_s=1)
        yield emulator


@pytest.fixture
def board(tmp_path: Path) -> Iterator[FakeBoard]:
    with FakeBoard(tmp_path / "flash") as board:
        board.weather(access_points={"home": WIFI_PASSWORD})
        yield board


def test_one_command_makes_a_bare_board_a_device_that_reports_and_goes_on_reporting(
    workbench: Workbench, emulator: Emulator, board: FakeBoard
) -> None:
    done = workbench.flash(board.port, "--timeout", "60", start=True)
    assert done.code == 0, done.err + done.out
    assert "azureiot: delivered message 1 {" in done.out
    assert done.out.splitlines()[-2:] == [
        "mydevice001 reports to the hub.",
        "next: azureiot monitor; azureiot board log",
    ]
    hub = ServiceClient(f"http://127.0.0.1:{emulator.http_port}")
    deadline = time.monotonic() + 10
    while not hub.telemetry("mydevice001"):  # the emulator stores a message a little after it has acknowledged it
        assert time.monotonic() < deadline, "acknowledged, but it has not arrived"
        time.sleep(0.05)
    assert "azureiot emulator --lan" in done.out, "localhost works here, and on no real board"
    log = workbench.board("log", "--port", board.port, "--timeout", "4", "--json")
    assert log.code == 0
    said = [json.loads(line)["text"] for line in log.out.splitlines()]
    assert [line for line in said if line.startswith("azureiot: delivered message ")], said


def test_a_renewed_certificate_gets_there_and_works(workbench: Workbench, emulator: Emulator, board: FakeBoard) -> None:
    assert workbench.flash(board.port, "--timeout", "60", start=True).code == 0
    workbench.issue("mydevice001")
    done = workbench.flash(board.port, "--only", "certs", "--timeout", "60", "--json", start=True)
    assert done.code == 0, done.err
    assert done.events["installed"]["slot"] == "b"
    assert done.events["delivered"]["text"].startswith("azureiot: delivered message 1 ")


def test_a_wrong_wifi_password_is_the_reason_given(
    workbench: Workbench, emulator: Emulator, board: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Board.lines

    def lines(line: Board, until: float) -> Iterator[str]:
        for said in read(line, until):
            yield said
            if "; retry in " in said:
                return  # as if the time were up

    monkeypatch.setattr(Board, "lines", lines)
    board.weather(access_points={"home": "another"})
    done = workbench.flash(board.port, "--timeout", "60", start=True)
    assert done.code == 1
    assert "The board has not delivered a message yet; the last it said: " in done.err
    assert "password" in done.err
    assert WIFI_PASSWORD not in workbench.said
