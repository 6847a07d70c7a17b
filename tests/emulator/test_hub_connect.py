"""Pins who may connect to a hub: CONNACK is 0 or 5, and the reason for every 5 stands in an event."""

from dataclasses import replace

import pytest

from .mqtt_wire import connect, hub_username

USERNAMES = [
    "localhost/mydevice001/?api-version=2021-04-12",
    "localhost/mydevice001/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11%29oracle/1.0",
    "localhost/mydevice001/?api-version=2020-09-30&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1",
    "localhost/mydevice001/?api-version=2021-04-12&model-id=dtmi:com:example:Thermostat;1&DeviceClientType=x",
    "localhost/mydevice001/?api-version=2025-08-01-preview",
    "localhost/mydevice001/api-version=2016-11-14",
    "localhost/mydevice001/DeviceClientType=x&api-version=2016-11-14",
    "localhost/mydevice001/",
    "localhost/mydevice001",
    "LOCALHOST/mydevice001/?api-version=2021-04-12",
]


@pytest.mark.parametrize("username", USERNAMES)
def test_every_sdks_username_is_understood(provisioned, username):
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", username) == 0


def test_the_device_endpoints_name_is_the_same_hub(start):
    with start(hubs=("contoso.azure-devices.net",)) as bench:
        bench.provision()
        for host in ("contoso.azure-devices.net", "contoso.device.azure-devices.net", "CONTOSO.azure-devices.NET"):
            with bench.wire(bench.certificates.device) as wire:
                assert wire.open("mydevice001", hub_username("mydevice001", host)) == 0


def refuse(bench, credential, client_id="mydevice001", username=None, **options):
    with bench.wire(credential) as wire:
        assert wire.connack(client_id, username or hub_username(client_id), **options) == (False, 5)
        assert wire.closed()


def test_an_unknown_hub(provisioned):
    refuse(provisioned, provisioned.certificates.device, username=hub_username("mydevice001", "other.example"))
    section = provisioned.reason("refused", "there is no hub 'other.example' here, only localhost")
    assert section == "docs/protocol.md §3.1"


def test_a_device_that_never_registered(provisioned):
    refuse(provisioned, provisioned.certificates.other, "mydevice002")
    assert provisioned.reason("refused", "knows no device 'mydevice002'") == "docs/protocol.md §3.2"


def test_device_ids_are_case_sensitive(provisioned):
    refuse(provisioned, provisioned.certificates.device, "MyDevice001")
    provisioned.reason("refused", "knows no device 'MyDevice001'")


def test_a_disabled_device(provisioned):
    registry = provisioned.emulator.registry
    registry.put_device(replace(registry.device("localhost", "mydevice001"), enabled=False))
    refuse(provisioned, provisioned.certificates.device)
    assert provisioned.reason("refused", "is disabled in the hub") == "docs/protocol.md §3.2"


def test_no_client_certificate(provisioned):
    refuse(provisioned, None)
    assert provisioned.reason("refused", "presented no client certificate (") == "docs/protocol.md §4.4"


def test_a_sas_token_does_not_help_a_device_that_the_hub_knows_by_its_certificate(provisioned):
    refuse(provisioned, None, password=b"SharedAccessSignature sr=x&sig=y&se=1")
    assert provisioned.reason("refused", "a SAS token does not help") == "docs/protocol.md §4.4"
    assert not any("sig=y" in event.text for event in provisioned.emulator.events.recent())


def test_another_devices_certificate(provisioned):
    refuse(provisioned, provisioned.certificates.other)
    assert provisioned.reason("refused", "SHA-256 thumbprint") == "docs/protocol.md §2.5"


def test_a_renewed_certificate_must_come_through_dps(provisioned):
    renewed = provisioned.certificates.renewed
    refuse(provisioned, renewed)
    assert provisioned.reason("refused", "the device must register with DPS again") == "docs/protocol.md §2.5"
    provisioned.provision(renewed)
    with provisioned.on_hub(renewed):
        pass
    refuse(provisioned, provisioned.certificates.device)


def test_the_client_id_must_be_the_device_id(provisioned):
    refuse(provisioned, provisioned.certificates.device, "other", hub_username("mydevice001"))
    assert provisioned.reason("refused", "the client id 'other' is not") == "docs/protocol.md §3.1"


def test_modules_are_refused_as_such(provisioned):
    refuse(
        provisioned, provisioned.certificates.device, "mydevice001/m", "localhost/mydevice001/m/?api-version=2021-04-12"
    )
    assert provisioned.reason("refused", "the username names the module 'm'") == "docs/protocol.md §3.1"


@pytest.mark.parametrize("topic", ["devices/mydevice002/messages/events/", "elsewhere"])
def test_a_will_must_be_telemetry(provisioned, topic):
    refuse(provisioned, provisioned.certificates.device, will=(topic, b"gone"))
    assert provisioned.reason("refused", f"the will is a PUBLISH to '{topic}'") == "docs/protocol.md §3.9"


def test_a_will_of_qos_2_is_refused(provisioned):
    refuse(provisioned, provisioned.certificates.device, will=("devices/mydevice001/messages/events/", b""), will_qos=2)
    assert provisioned.reason("refused", "the will has QoS 2") == "docs/protocol.md §3.4"


def test_connack_5_arrives_although_more_was_sent(provisioned):
    """A socket closed with unread bytes resets the connection, and the refusal could be lost with it."""
    with provisioned.wire(provisioned.certificates.other) as wire:
        wire.send(connect("mydevice001", hub_username("mydevice001")), *[b"\xc0\x00"] * 100)
        wire.send(*[b"\xc0\x00"] * 100)
        assert wire.receive() == (2, 0, b"\0\5")
        assert wire.closed()
