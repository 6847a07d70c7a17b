"""`azureiot board flash` on a board: everything arrives, only what changed is sent, certificates can go alone.

Needs nothing but a port: AZUREIOT_BOARD_PORT names a real board's, whose installation these tests replace.
"""

from __future__ import annotations

import json

import pytest

from azureiot_tools.board import contents
from azureiot_tools.board.transport import Board

from .boards import WIFI_PASSWORD, Workbench, sha256


@pytest.fixture
def port(board_port: str) -> str:
    """A board with nothing installed."""
    with Board(board_port) as board:
        board.take_over()
        board.run("import os\ntry:\n os.remove('/current')\nexcept OSError: pass")
        from azureiot_tools.board import slots

        slots.prepare(board)
        board.run("remove('/slots')")
    return board_port


def setting(port: str, path: str) -> dict:
    with Board(port) as board:
        board.take_over()
        return json.loads(board.run(f"with open({path!r}) as f: print(f.read())"))


def test_everything_arrives_and_a_second_time_nothing_is_sent(workbench: Workbench, port: str) -> None:
    done = workbench.flash(port, "--json")
    assert done.code == 0, done.err
    event = done.events["installed"]
    assert (event["slot"], event["device_id"]) == ("a", "mydevice001")
    installed = workbench.installed(port)
    application = contents.application()
    assert {path: sha256(data) for path, data in application.items()}.items() <= installed.items()
    assert installed["certs/device.key.der"] == sha256(workbench.key_der())
    assert installed.keys() - application.keys() == {
        "settings.json",
        "certs/device.crt.der",
        "certs/device.key.der",
        "certs/roots/digicert-global-root-g2.der",
        "certs/roots/microsoft-rsa-root-ca-2017.der",
    }
    assert event["sent_files"] == event["files"] == len(installed)

    again = workbench.flash(port, "--json").events["installed"]
    assert (again["slot"], again["sent_files"], again["sent_bytes"], again["copied_files"]) == ("a", 0, 0, 0)


def test_certificates_alone_go_into_the_other_slot_with_everything_else_as_it_was(
    workbench: Workbench, port: str
) -> None:
    workbench.flash(port)
    before = workbench.installed(port)
    workbench.issue("mydevice001")  # renewed
    event = workbench.flash(port, "--only", "certs", "--json").events["installed"]
    assert event["slot"] == "b"
    assert event["sent_files"] == 2, "certificate and key; the roots are the same and are copied on the board"
    after = workbench.installed(port)
    assert after["certs/device.key.der"] == sha256(workbench.key_der())
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {"certs/device.crt.der", "certs/device.key.der"}


def test_other_roots_replace_the_old_ones(workbench: Workbench, port: str) -> None:
    """A development root left beside Azure's would let the emulator's CA speak for Azure."""
    workbench.flash(port)
    from azureiot_tools.certificates.credential import to_pem

    (workbench.folder / "dev-root.pem").write_bytes(to_pem([workbench.issuer.certificate]))
    workbench.settings(roots="dev-root.pem")
    assert workbench.flash(port, "--only", "certs").code == 0
    roots = {path for path in workbench.installed(port) if path.startswith("certs/roots/")}
    assert roots == {"certs/roots/dev-root.der"}


def test_certificates_alone_need_an_installation_of_that_device(workbench: Workbench, port: str) -> None:
    refused = workbench.flash(port, "--only", "certs")
    assert refused.code == 1
    assert "no installation on this board yet" in refused.err
    workbench.flash(port)
    refused = workbench.flash(port, "--only", "certs", device="mydevice002")
    assert refused.code == 1
    assert "The board is mydevice001, not mydevice002." in refused.err
    assert workbench.installed(port)["certs/device.key.der"] == sha256(workbench.key_der())


def test_another_device_replaces_certificate_and_settings_together(workbench: Workbench, port: str) -> None:
    workbench.flash(port)
    event = workbench.flash(port, "--json", device="mydevice002").events["installed"]
    assert (event["slot"], event["sent_files"]) == ("b", 3)
    assert workbench.installed(port)["certs/device.key.der"] == sha256(workbench.key_der("mydevice002"))


def test_the_settings_on_the_board_are_complete(workbench: Workbench, port: str) -> None:
    workbench.settings(watchdog_s=60, ntp=["ntp.example"])
    workbench.flash(port)
    assert setting(port, "/slots/a/settings.json") == {
        "id_scope": "0ne00000000",
        "registration_id": "mydevice001",
        "provisioning_host": "dps.example",
        "port": 8883,
        "watchdog_s": 60,
        "ntp": ["ntp.example"],
        "wifi": [{"ssid": "home", "password": WIFI_PASSWORD}],
        "cert": "certs/device.crt.der",
        "key": "certs/device.key.der",
        "roots": "certs/roots",
    }


def test_source_replaces_the_compiled_modules_and_back(workbench: Workbench, port: str) -> None:
    workbench.flash(port)
    assert workbench.flash(port, "--source").code == 0
    installed = workbench.installed(port)
    assert "azureiot/link.py" in installed
    assert not [path for path in installed if path.endswith(".mpy")], "a stale .mpy would win over nothing, or worse"
    event = workbench.flash(port, "--json").events["installed"]
    assert (event["slot"], event["sent_files"]) == ("a", 0), "slot a had it all still"


def test_the_board_keeps_its_wifi_when_nothing_else_is_said(workbench: Workbench, port: str) -> None:
    workbench.flash(port)
    workbench.settings(wifi=None)
    assert workbench.flash(port, "--json").events["installed"]["sent_files"] == 0
    assert setting(port, "/slots/a/settings.json")["wifi"] == [{"ssid": "home", "password": WIFI_PASSWORD}]


def test_a_network_is_added_by_name_and_its_password_comes_from_the_environment(
    workbench: Workbench, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREIOT_WIFI_PASSWORD", "fr0m-environment")
    assert workbench.flash(port, "--wifi", "work").code == 0
    networks = setting(port, "/slots/a/settings.json")["wifi"]
    assert networks == [{"ssid": "work", "password": "fr0m-environment"}, {"ssid": "home", "password": WIFI_PASSWORD}]
    assert "fr0m-environment" not in workbench.said


def test_no_wifi_at_all_is_asked_for_before_anything_is_written(workbench: Workbench, port: str) -> None:
    workbench.settings(wifi=None)
    refused = workbench.flash(port)
    assert refused.code == 1
    assert "--wifi SSID" in refused.err
    assert workbench.installed(port) == {}


def test_a_secret_is_never_printed(workbench: Workbench, port: str) -> None:
    workbench.flash(port)
    workbench.flash(port, "--json")
    workbench.board("info", "--port", port)
    workbench.board("ls", "--port", port, "--json")
    number, password = workbench.secrets()
    said = workbench.said.encode()
    for secret in (number, number.hex().encode(), password):
        assert secret not in said


def test_a_wifi_password_cannot_be_an_argument(workbench: Workbench, port: str) -> None:
    assert workbench.flash(port, "--wifi", "work", "--wifi-password", "s3cret").code == 2


def test_info_says_what_the_board_is(workbench: Workbench, port: str) -> None:
    workbench.flash(port)
    info = workbench.board("info", "--port", port, "--json").json
    assert info["device_id"] == "mydevice001"
    assert info["slot"] == "a"
    assert info["free_bytes"] > 0
    assert tuple(info["version"]) >= (1, 22)
    text = workbench.board("info", "--port", port).out
    assert "mydevice001 in slot a" in text
