"""settings.json of the board: the host's settings, the board's own entries, the networks in their order."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools import settings
from azureiot_tools.board import contents, device_settings
from azureiot_tools.console import UserError
from azureiot_tools.emulator.server import EmulatorOptions, running
from azureiot_tools.service import ServiceClient
from azureiot_tools.settings import Settings
from fakeboard import FakeBoard

from .boards import WIFI_PASSWORD, Workbench

LAN = "127.0.0.2"  # stands in for the address of this machine in the board's network
HOME, WORK = {"ssid": "home", "password": "h" * 8}, {"ssid": "work", "password": "w" * 8}


def chosen(folder: Path, encoding: str = "utf-8", **values: object) -> Settings:
    """The host's settings, from a file with these values."""
    path = folder / "settings.json"
    path.write_text(json.dumps(values), encoding=encoding)
    return settings.load(argparse.Namespace(settings=str(path)))


def test_it_has_what_the_application_reads() -> None:
    wanted = Settings(id_scope="0ne1", provisioning_host="dps.example", port=8884, interval_s=30)
    built = device_settings.with_networks(device_settings.build(wanted, "mydevice001", {"watchdog_s": 60}), [HOME])
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
    extra = device_settings.board_only(chosen(tmp_path, id_scope="0ne1", led=2, ntp=["ntp.example"], wifi=[HOME]))
    assert extra == {"led": 2, "ntp": ["ntp.example"], "wifi": [HOME]}


def test_no_settings_are_no_entries() -> None:
    assert device_settings.board_only(Settings()) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"ntp": "pool.ntp.org"},
        {"watchdog_s": "60"},
        {"watchdog_s": True},
        {"watchdog_s": 1},
        {"watchdog_s": -1},
        {"led": 999},
        {"led": ""},
        {"ntp": []},
        {"ntp": [5]},
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
        device_settings.board_only(chosen(tmp_path, **values))
    assert "1234" not in str(refused.value), "it may be a password"


@pytest.mark.parametrize(
    ("ssid", "password", "words"),
    [
        ("", "", "1 to 32 bytes, not 0"),
        ("é" * 17, "", "1 to 32 bytes, not 34"),
        ("\udcff", "", "not UTF-8"),
        ("home", "\udcff" * 8, "not UTF-8"),
        ("home", "s3cret1", "home must have 8 to 63 characters"),
        ("home", "s3cret1" * 10, "home must have 8 to 63 characters"),
    ],
)
def test_a_network_that_no_access_point_has_is_refused_before_the_board_is_touched(
    tmp_path: Path, ssid: str, password: str, words: str
) -> None:
    """The board would say it, five minutes apart, to nobody."""
    with pytest.raises(UserError, match=words) as refused:
        device_settings.network(ssid, password)
    assert "s3cret1" not in str(refused.value)
    if ssid:
        with pytest.raises(UserError, match=words):
            device_settings.board_only(chosen(tmp_path, wifi=[{"ssid": ssid, "password": password}]))


def test_an_open_network_and_a_key_in_hex_are_taken() -> None:
    assert device_settings.network("café", "") == {"ssid": "café", "password": ""}
    assert device_settings.network("home", "a" * 64)["password"] == "a" * 64


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_endpoint_that_a_board_cannot_reach_is_warned_about(host: str) -> None:
    assert "azureiot emulator --lan" in device_settings.warning(Settings(provisioning_host=host))
    assert device_settings.warning(Settings()) == ""


def test_a_settings_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Windows editors write one; the host's settings take it, too."""
    found = chosen(tmp_path, encoding="utf-8-sig", id_scope="0ne1", led=2)
    assert (found.id_scope, device_settings.board_only(found)) == ("0ne1", {"led": 2})


def test_what_an_emulator_wrote_is_what_the_board_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DPS_IDSCOPE", "DPS_HOST", "DPS_REGISTRATION_ID"):
        monkeypatch.delenv(variable, raising=False)
    with running(EmulatorOptions(port=0, http_port=0, data=tmp_path, lan="127.0.0.1", id_scope="0ne00LAN")) as emulator:
        chosen = settings.load(argparse.Namespace(settings=str(emulator.settings_path)))
        assert device_settings.build(chosen, "mydevice001", {}) == {
            "id_scope": "0ne00LAN",
            "registration_id": "mydevice001",
            "provisioning_host": "127.0.0.1",
            "port": emulator.mqtt_port,
        }
        ca = x509.load_pem_x509_certificate(emulator.ca_path.read_bytes())
    assert chosen.roots is not None
    assert contents.roots_from(Path(chosen.roots)) == {"emulator-ca": ca.public_bytes(Encoding.DER)}


def test_a_board_flashed_with_them_reports_to_that_emulator(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        try:
            probe.bind((LAN, 0))
        except OSError:
            pytest.skip(f"{LAN} is not an address of this machine")
    monkeypatch.setenv(device_settings.PASSWORD_VARIABLE, WIFI_PASSWORD)
    (workbench.folder / "settings.json").unlink()
    data = tmp_path / "state"
    options = EmulatorOptions(port=0, http_port=0, data=data, lan=LAN, hubs=(LAN,), retry_after_s=1)
    with running(options) as emulator, FakeBoard(tmp_path / "flash") as board:
        service = ServiceClient(f"http://127.0.0.1:{emulator.http_port}")
        der = workbench.issuer.certificate.public_bytes(Encoding.DER)
        service.upload_certificate("issuer", der, verified=True)
        service.create_group("group", ["issuer"])
        board.weather(access_points={"home": WIFI_PASSWORD})
        given = ("--settings", str(emulator.settings_path), "--wifi", "home")
        done = workbench.flash(board.port, *given, "--timeout", "60", start=True)
        assert done.code == 0, done.err + done.out
        assert f"connected to {LAN} as mydevice001" in done.out
        assert "warning" not in done.out, "that is an address which a board can call"
        said = emulator.events.wait_for(lambda event: event.kind == "telemetry", timeout_s=10)
        assert said.device_id == "mydevice001"
