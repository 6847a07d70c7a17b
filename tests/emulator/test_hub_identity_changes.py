"""Pins that a hub acts at once when a device's identity changes: whoever is disabled, deleted or moved is cut off."""

import http.client
import json

from .mqtt_wire import DISCONNECT, PINGREQ, hub_username, publish

EVENTS = "devices/mydevice001/messages/events/"


def ask(bench, method, path, body=None):
    """The service API's answer as JSON, None when it is empty."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.emulator.http_port, timeout=5)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, f"{path}?api-version=2021-04-12", text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status < 300, response.read()
        return json.loads(response.read() or b"null")
    finally:
        connection.close()


def set_status(bench, status):
    device = ask(bench, "GET", "/devices/mydevice001")
    ask(bench, "PUT", "/devices/mydevice001", device | {"status": status})


def session_present(bench):
    """Connect with clean session 0, say goodbye; whether the hub had a session."""
    with bench.wire(bench.certificates.device) as wire:
        present, code = wire.connack("mydevice001", hub_username("mydevice001"), clean=False)
        wire.send(DISCONNECT)
        assert wire.closed()
    assert code == 0
    return present


def alive(wire):
    wire.send(PINGREQ)
    return wire.receive().type == 13


def test_a_disabled_device_loses_its_connection(provisioned):
    with provisioned.on_hub() as wire:
        set_status(provisioned, "disabled")
        assert wire.closed()
    assert (
        provisioned.reason("dropped", "the device was disabled in the hub while connected") == "docs/protocol.md §3.9"
    )


def test_a_deleted_device_loses_its_connection(provisioned):
    with provisioned.on_hub() as wire:
        ask(provisioned, "DELETE", "/devices/mydevice001")
        assert wire.closed()
    assert provisioned.reason("dropped", "the device was deleted from the hub") == "docs/protocol.md §3.9"


def test_a_disabled_device_finds_its_session_again_and_a_deleted_one_does_not(provisioned):
    assert not session_present(provisioned)
    set_status(provisioned, "disabled")
    set_status(provisioned, "enabled")
    assert session_present(provisioned)
    ask(provisioned, "DELETE", "/devices/mydevice001")
    provisioned.provision()
    assert not session_present(provisioned), "the new identity is another device"
    with provisioned.on_hub(clean=False) as wire:
        ask(provisioned, "DELETE", "/devices/mydevice001")
        assert wire.closed()
    provisioned.provision()
    assert not session_present(provisioned), "also of one that was deleted while connected"


def test_other_changes_and_other_devices_leave_a_connection_alone(provisioned):
    provisioned.provision(provisioned.certificates.other, "mydevice002")
    with provisioned.on_hub() as wire:
        set_status(provisioned, "enabled")
        provisioned.provision(provisioned.certificates.renewed)  # another thumbprint
        ask(provisioned, "DELETE", "/devices/mydevice002")
        assert alive(wire)
        wire.send(publish(EVENTS, b"still here"))
        assert wire.receive().type == 4


def test_a_device_that_dps_moves_loses_its_old_hubs_connection(start):
    with start(hubs=("north", "south")) as bench:
        first = bench.provision()["registrationState"]["assignedHub"]
        with bench.wire(bench.certificates.device) as wire:
            assert wire.open("mydevice001", hub_username("mydevice001", first)) == 0
            bench.enroll(hubs=({"north": "south", "south": "north"}[first],))
            bench.provision()
            assert wire.closed()
        assert bench.reason("dropped", f"deleted from the hub while connected (hub {first})") == "docs/protocol.md §3.9"
