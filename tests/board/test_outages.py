"""Azure is away for a while, at the start or later: the log says so in words, and the device comes back by itself. The
application runs from the files that the installer has put into its flash."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from fakeboard import FakeBoard

from .boards import WIFI_PASSWORD, Workbench
from .conftest import MakeBoard

REFUSED = r"^azureiot: localhost:\d+: .*\[refused\] Nothing listens there.*; retry in \d+ s$"

Azure = Callable[[], AbstractContextManager[Emulator]]


@pytest.fixture
def azure(workbench: Workbench, tmp_path: Path) -> Iterator[Azure]:
    """Within `with azure():` the emulator is there, always at one port; outside of it connections are refused."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # keeps the port for the emulator, by not listening
        place.bind(("127.0.0.1", 0))
        options = EmulatorOptions(port=place.getsockname()[1], http_port=0, data=tmp_path / "azure", retry_after_s=1)
        with running(options) as emulator:
            workbench.reports_to(emulator, interval_s=0.5)
        yield partial(running, options)


@pytest.fixture
def board(make_board: MakeBoard) -> FakeBoard:
    board = make_board()
    board.weather(access_points={"home": WIFI_PASSWORD})
    return board


def test_dps_down_at_boot(workbench: Workbench, azure: Azure, board: FakeBoard) -> None:
    console = board.console()
    assert workbench.flash(board.port).code == 0
    console.wait_for("^azureiot: connecting to DPS", 20)
    console.wait_for(REFUSED, 20)
    console.wait_for("^azureiot: connecting to DPS", 20)
    with azure():
        console.wait_for("^azureiot: connected to localhost as mydevice001", 60)
        console.wait_for(r"^azureiot: delivered message 1 \{", 20)


def test_hub_gone_for_a_while(workbench: Workbench, azure: Azure, board: FakeBoard) -> None:
    with azure():
        assert workbench.flash(board.port, "--timeout", "60", start=True).code == 0
        console = board.console()
        console.wait_for("^azureiot: delivered message ", 20)
        resets = board.resets
    console.wait_for("^azureiot: the connection is lost: ", 30)
    console.wait_for("^azureiot: connecting to localhost", 20)
    console.wait_for(REFUSED, 20)
    with azure():
        console.wait_for("^azureiot: connected to localhost as mydevice001", 60)
        console.wait_for("^azureiot: delivered message ", 20)
        console.wait_for("^azureiot: delivered message ", 20)
    assert board.resets == resets
