"""The application on the fake board, from files in its flash: trouble is said in words, and needs no person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.board import contents
from azureiot_tools.certificates import authority
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup
from azureiot_tools.emulator.server import EmulatorOptions, running
from fakeboard import FakeBoard

ISSUER = authority.create_root("issuer")
FIRST = r"^azureiot: delivered message 1 \{"

Installed = Callable[..., AbstractContextManager[FakeBoard]]


@pytest.fixture
def installed(micropython: Path, tmp_path: Path) -> Iterator[Installed]:
    """Makes a board with the application in slot a; the settings lead to an emulator that takes it."""
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        now = datetime.now(UTC)
        der = ISSUER.certificate.public_bytes(Encoding.DER)
        emulator.registry.put_certificate(CaCertificate("issuer", der, True, None, now, now))
        emulator.registry.put_group(EnrollmentGroup("group", ("issuer",), (), True, (), now, now))
        standard = {
            "id_scope": emulator.id_scope,
            "registration_id": "dev-1",
            "provisioning_host": "localhost",
            "port": emulator.mqtt_port,
            "wifi": [{"ssid": "home", "password": "correct horse"}],
            "ntp": ["time.example"],
            "interval_s": 0.5,
        }

        def install(access_points: dict[str, str] | None = None, **settings: Any) -> FakeBoard:
            trusted = contents.roots_from(Path(emulator.ca_path))
            slot = (
                contents.application()
                | contents.certificates(authority.issue_device(ISSUER, "dev-1"), trusted)
                | contents.settings(standard | settings)
            )
            files = {f"/slots/a/{name}": data for name, data in slot.items()}
            board = FakeBoard(tmp_path / "flash", files=files | {"/boot.py": contents.boot(), "/current": b"a\n"})
            board.weather(access_points={"home": "correct horse"} if access_points is None else access_points)
            return board

        yield install


def test_power_on_leads_to_a_message(installed: Installed) -> None:
    with installed() as board:
        console = board.console(from_start=True)
        for expected in (
            "^azureiot: slot a starts in 2 s, Ctrl-C for the REPL",
            "^azureiot: started by power on; heap: .* largest free block outside it 65536",
            "^azureiot: Wi-Fi home, address 192.0.2.10",
            r"^azureiot: clock set to 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC by time.example",
            "^azureiot: connecting to DPS",
            "^azureiot: connected to localhost as dev-1",
            FIRST,
            "^azureiot: delivered message 3 ",
        ):
            console.wait_for(expected, 20)
        board.power_cycle()
        console.wait_for(FIRST, 20)


def test_no_network_and_a_wrong_password_are_said_and_survived(installed: Installed) -> None:
    with installed(access_points={}) as board:
        console = board.console(from_start=True)
        console.wait_for(r"^azureiot: no Wi-Fi \(home: no such network\) \[wifi\]; retry in \d+ s", 20)
        board.weather(access_points={"home": "another one"})
        console.wait_for(r"^azureiot: no Wi-Fi \(home: wrong password\)", 30)
        board.weather(access_points={"home": "correct horse"})
        console.wait_for(FIRST, 40)


def test_wifi_that_goes_away_is_joined_again(installed: Installed) -> None:
    with installed() as board:
        console = board.console(from_start=True)
        console.wait_for(FIRST, 20)
        board.weather(access_points={})
        console.wait_for("^azureiot: Wi-Fi is lost", 20)
        console.wait_for(r"^azureiot: no Wi-Fi \(home: ", 20)
        board.weather(access_points={"home": "correct horse"})
        console.wait_for("^azureiot: delivered message", 40)


def test_silent_time_servers_are_said_and_survived(installed: Installed) -> None:
    with installed() as board:
        board.weather(ntp=False)
        console = board.console(from_start=True)
        line = console.wait_for(r"^azureiot: the clock is not set, and no time server helps \(time.example: ", 30)
        assert "; retry in " in line
        board.weather(ntp=True)
        console.wait_for("^azureiot: clock set to ", 30)
        console.wait_for(FIRST, 20)


def test_unusable_settings_are_said(installed: Installed) -> None:
    with installed(wifi=[]) as board:
        line = board.console(from_start=True).wait_for("^azureiot: settings.json: wifi must be ", 20)
        assert line.endswith("install again, retry in 300 s")


def test_a_watchdog_is_fed_as_long_as_all_is_well(installed: Installed) -> None:
    with installed(watchdog_s=2) as board:
        console = board.console(from_start=True)
        console.wait_for("^azureiot: delivered message 7 ", 30)  # 3 s
        assert board.resets == 0


def test_a_watchdog_brings_back_a_board_that_hangs(installed: Installed) -> None:
    with installed(watchdog_s=2) as board:
        console = board.console(from_start=True)
        console.wait_for(FIRST, 20)
        board.hang()
        console.wait_for("^azureiot: started by the watchdog", 30)
        console.wait_for(FIRST, 20)
