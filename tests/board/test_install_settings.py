"""settings.json of the board: the host's settings, the board's own entries, the networks in their order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from azureiot_tools.board import device_settings
from azureiot_tools.console import UserError
from azureiot_tools.settings import Settings

HOME, WORK = {"ssid": "home", "password": "h"}, {"ssid": "work", "password": "w"}


def file(folder: Path, **values: object) -> str:
    path = folder / "settings.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_it_has_what_the_application_reads() -> None:
    chosen = Settings(id_scope="0ne1", provisioning_host="dps.example", port=8884, interval_s=30)
    built = device_settings.with_networks(device_settings.build(chosen, "mydevice001", {"watchdog_s": 60}), [HOME])
    assert built == {
        "id_scope": "0ne1",
        "registration_id": "mydevice001",
        "provisioning_host": "dps.example",
        "port": 8884,
        "interval_s": 30,
        "watchdog_s": 60,
        "wifi": [HOME],
    }


def test_an_interval_that_nobody_chose_is_left_to_the_application() -> None:
    assert "interval_s" not in device_settings.build(Settings(id_scope="0ne1"), "d", {})


def test_what_a_board_cannot_do_without_is_asked_for() -> None:
    with pytest.raises(UserError, match="id scope"):
        device_settings.build(Settings(), "d", {})
    with pytest.raises(UserError, match="Wi-Fi"):
        device_settings.with_networks({}, [])


def test_a_new_network_comes_first_and_replaces_its_older_self() -> None:
    changed = {"ssid": "work", "password": "new"}
    assert device_settings.networks([HOME, WORK], changed) == [changed, HOME]
    assert device_settings.networks([HOME, WORK], None) == [HOME, WORK]


def test_the_entries_that_only_boards_use_are_read(tmp_path: Path) -> None:
    extra = device_settings.board_only(file(tmp_path, id_scope="0ne1", led=2, ntp=["ntp.example"], wifi=[HOME]))
    assert extra == {"led": 2, "ntp": ["ntp.example"], "wifi": [HOME]}


def test_no_settings_file_is_no_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert device_settings.board_only(None) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"ntp": "pool.ntp.org"},
        {"watchdog_s": "60"},
        {"watchdog_s": True},
        {"led": 2.5},
        {"wifi": {"ssid": "home"}},
        {"wifi": ["home"]},
        {"wifi": [{"ssid": ""}]},
        {"wifi": [{"ssid": "home", "password": 1234}]},
    ],
)
def test_an_entry_of_the_wrong_kind_is_named_without_its_value(tmp_path: Path, values: dict) -> None:
    name = next(iter(values))
    with pytest.raises(UserError, match=name) as refused:
        device_settings.board_only(file(tmp_path, **values))
    assert "1234" not in str(refused.value), "it may be a password"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_endpoint_that_a_board_cannot_reach_is_warned_about(host: str) -> None:
    assert "azureiot emulator --lan" in device_settings.warning(Settings(provisioning_host=host))
    assert device_settings.warning(Settings()) == ""
