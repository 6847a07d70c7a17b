"""Pins telemetry: every spelling of the property bag, the hub's stamps, what is stored, and what is too much."""

import json
import time

import pytest

from .mqtt_wire import DISCONNECT, PINGREQ, hub_username, publish

EVENTS = "devices/mydevice001/messages/events"


def sent(bench, topic, payload=b"x", qos=1, **options):
    """Publish one message; returns its event's detail."""
    with bench.on_hub() as wire:
        wire.send(publish(topic, payload, qos, **options), PINGREQ)
        assert [wire.receive().type for _ in range(1 + bool(qos))] == ([4, 13] if qos else [13])
    return bench.emulator.events.wait_for(lambda e: e.kind == "telemetry").detail


def bag_of(detail):
    """All that the device wrote, without the hub's stamps."""
    return detail["properties"] | {name: value for name, value in detail["system"].items() if name.startswith("$.")}


def stored_messages(emulator, count):
    """The stored messages once there are `count` of them; they are written up to 100 ms after their acknowledgement."""
    deadline_s = time.monotonic() + 5
    while len(stored := emulator.registry.telemetry()) < count and time.monotonic() < deadline_s:
        time.sleep(0.01)  # the registry tells nobody when it has written
    return stored


@pytest.mark.parametrize(
    ("tail", "bag"),
    [
        ("", {}),
        ("/", {}),
        ("/?", {}),
        ("//", {}),
        ("/a=1&b=2", {"a": "1", "b": "2"}),
        ("/?$.ct=application/json&$.ce=utf-8", {"$.ct": "application/json", "$.ce": "utf-8"}),
        (
            "/%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true",
            {"$.ct": "application/json", "$.ce": "utf-8", "temperatureAlert": "true"},
        ),
        ("/a=1/", {"a": "1"}),
        ("/%24.mid=m%201&a=%26%3D%C3%BC", {"$.mid": "m 1", "a": "&=ü"}),
        ("/a=1%2B1%201", {"a": "1+1 1"}),
        ("/bare&empty=", {"bare": None, "empty": ""}),
        ("/a=1&a=2", {"a": "2"}),
        ("/a=b=c", {"a": "b=c"}),
        ("/a=%zz&b=%ff", {"a": "%zz", "b": "\ufffd"}),
    ],
)
def test_every_spelling_of_the_property_bag(provisioned, tail, bag):
    assert bag_of(sent(provisioned, EVENTS + tail)) == bag


def test_the_hubs_stamps(start):
    with start() as bench:
        bench.provision()
        with bench.wire(bench.certificates.device) as wire:
            assert wire.open("mydevice001", hub_username("mydevice001") + "&model-id=dtmi%3Aa%3Bb%3B1") == 0
            wire.send(publish(EVENTS + "/$.sub=thermostat&iothub-connection-device-id=forged"))
            assert wire.receive().type == 4
        detail = bench.emulator.events.wait_for(lambda e: e.kind == "telemetry").detail
        stamps = detail["system"]
        identity = bench.emulator.registry.device("localhost", "mydevice001")
        assert stamps["iothub-connection-device-id"] == "mydevice001"
        assert stamps["iothub-connection-auth-generation-id"] == identity.generation_id
        assert json.loads(stamps["iothub-connection-auth-method"]) == {
            "scope": "device",
            "type": "x509",
            "issuer": "iothub",
            "acceptingIpFilterRule": None,
        }
        assert stamps["iothub-enqueuedtime"] == detail["enqueuedTimeUtc"]
        assert detail["properties"] == {"iothub-connection-device-id": "forged"}, "told apart from the stamps"
        assert (stamps["dt-dataschema"], stamps["dt-subject"]) == ("dtmi:a;b;1", "thermostat")


def test_qos_0_and_payloads_that_are_no_text(provisioned):
    detail = sent(provisioned, EVENTS + "/", b"\xff\x00", qos=0)
    assert (detail["payload"], detail["payloadEncoding"]) == ("/wA=", "base64")


def test_retain_becomes_a_property(provisioned):
    assert bag_of(sent(provisioned, EVENTS + "/a=1", retain=True)) == {"a": "1", "mqtt-retain": "true"}


def test_messages_are_stored_in_order_soon_after_their_acknowledgement(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(*(publish(EVENTS + "/n=" + str(n), str(n).encode(), packet_id=n) for n in range(1, 51)))
        for _ in range(50):
            wire.receive()
    stored = stored_messages(provisioned.emulator, 50)
    assert [item.payload for item in stored] == [str(n).encode() for n in range(1, 51)]
    assert [item.properties for item in stored] == [{"n": str(n)} for n in range(1, 51)]


def test_a_will_is_delivered_when_the_device_just_goes(provisioned):
    with provisioned.on_hub(will=(EVENTS + "/a=1", b"gone")):
        pass
    detail = provisioned.emulator.events.wait_for(lambda e: e.kind == "telemetry").detail
    assert detail["payload"] == "gone"
    assert bag_of(detail) == {"a": "1", "iothub-MessageType": "Will"}


def test_a_wills_retain_becomes_a_property_too(provisioned):
    with provisioned.on_hub(will=(EVENTS + "/", b"gone"), will_retain=True):
        pass
    detail = provisioned.emulator.events.wait_for(lambda e: e.kind == "telemetry").detail
    assert bag_of(detail) == {"mqtt-retain": "true", "iothub-MessageType": "Will"}


def test_a_will_is_forgotten_when_the_device_says_goodbye(provisioned):
    with provisioned.on_hub(will=(EVENTS + "/", b"gone")) as wire:
        wire.send(DISCONNECT)
        assert wire.closed()
    provisioned.reason("disconnected", "DISCONNECT (hub")
    assert not any(event.kind == "telemetry" for event in provisioned.emulator.events.recent())


def test_256_kb_are_taken_and_one_byte_more_is_not(provisioned):
    bag = "/%24.ct=text&name=v"  # counts 4 + 4 + 1
    limit = 256 * 1024 - 9
    assert len(sent(provisioned, EVENTS + bag, b"x" * limit)["payload"]) == limit
    with provisioned.on_hub() as wire:
        wire.send(publish(EVENTS + bag, b"x" * (limit + 1)))
        assert wire.closed()
    assert provisioned.reason("dropped", "a message of 262145 bytes; at most 262144") == "docs/protocol.md §3.5"


def test_a_packet_beyond_all_limits_is_dropped_by_its_header(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(publish(EVENTS + "/", b"x" * 400_000)[:100])
        assert wire.closed()
    assert provisioned.reason("dropped", "at most 327684 are taken") == "docs/protocol.md §3.9"


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("devices/mydevice002/messages/events/", "'mydevice001' publishes to devices/mydevice001/messages/events/"),
        ("devices/mydevice001/messages/eventsx", "'mydevice001' publishes"),
        ("devices/MyDevice001/messages/events/", "'mydevice001' publishes"),
        ("devices/mydevice001/messages/devicebound/", "'mydevice001' publishes"),
        ("telemetry", "'mydevice001' publishes"),
        ("$iothub/telemetry", "'mydevice001' publishes"),
    ],
)
def test_a_publish_elsewhere_closes_the_connection(provisioned, topic, hint):
    with provisioned.on_hub() as wire:
        wire.send(publish(topic))
        assert wire.closed()
    event = provisioned.emulator.events.wait_for(lambda e: e.kind == "dropped")
    assert f"a PUBLISH to '{topic}'" in event.text
    assert hint in event.text
    assert event.section == "docs/protocol.md §3.9"


def test_the_hub_issues_no_certificates(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(publish("$iothub/credentials/POST/issueCertificate/?$rid=1"))
        assert wire.closed()
    reason = "certificates that the hub itself issues, a preview, are not emulated"
    assert provisioned.reason("dropped", reason) == "docs/protocol.md §6.2"
