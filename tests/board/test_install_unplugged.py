"""The cable is pulled in the middle of an installation: one sentence, and the old installation; when it is back,
running the command again completes it, with what had arrived not sent a second time."""

from __future__ import annotations

import pytest

from azureiot_tools.board.progress import Bar
from fakeboard import FakeBoard

from .boards import Workbench, install, running
from .conftest import MakeBoard

OLD = {"main.py": b"print('azureiot: the old one runs')\n"}


def pull_after(board: FakeBoard, count_bytes: int, monkeypatch: pytest.MonkeyPatch, *, power: bool) -> None:
    """Have the port vanish once so many bytes have been sent, and the power with it when USB is the board's supply."""
    add, sent = Bar.add, 0

    def pull(bar: Bar, arrived_bytes: int) -> None:
        nonlocal sent
        before, sent = sent, sent + arrived_bytes
        if before < count_bytes <= sent:
            board.vanish_port()
            if power:
                board.power_off()
        add(bar, arrived_bytes)

    monkeypatch.setattr(Bar, "add", pull)


@pytest.mark.parametrize(
    ("power", "way"),
    [(True, "port"), (False, "port"), (False, "tcp_port")],
    ids=["supply by USB", "supply of its own", "behind TCP"],
)
def test_a_pulled_cable(
    workbench: Workbench, make_board: MakeBoard, monkeypatch: pytest.MonkeyPatch, power: bool, way: str
) -> None:
    board = make_board(tcp=True)
    port = getattr(board, way)
    install(port, OLD)
    pull_after(board, 10_000, monkeypatch, power=power)
    done = workbench.flash(port, "--json")
    assert done.code == 1
    assert done.err == f"azureiot: The port {port} vanished. Check cable and power, and run this again.\n"
    assert running(board.files()) == OLD
    board.restore_port()
    if power:
        console = board.console()
        board.power_cycle()
        console.wait_for("the old one runs", 20)
    again = workbench.flash(port, "--json")
    assert again.code == 0, again.err
    event = again.events["installed"]
    assert event["files"] == len(running(board.files()))
    assert 0 < event["sent_files"] < event["files"], "what had arrived whole is kept"
