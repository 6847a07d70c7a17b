"""IoT Hub's user name and telemetry messages, byte for byte (docs/protocol.md §3.1, §3.5)."""

import json

import azureiot.hub as hub
from fakes import raises


def topic(*arguments, **options):
    return str(hub.telemetry(*arguments, **options).topic, "utf8")


def test_username():
    assert hub.username("h.azure-devices.net", "dev-1") == "h.azure-devices.net/dev-1/?api-version=2021-04-12"


def test_bytes_go_as_they_are():
    message = hub.telemetry("dev-1", b"\x00\xff")
    assert (message.topic, message.payload) == (b"devices/dev-1/messages/events/", b"\x00\xff")


def test_text_is_utf_8():
    message = hub.telemetry("d", "grün")
    assert (message.topic, message.payload) == (b"devices/d/messages/events/%24.ce=utf-8", b"gr\xc3\xbcn")


def test_json_says_what_it_is():
    message = hub.telemetry("d", {"t": 21.5})
    assert message.topic == b"devices/d/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
    assert json.loads(message.payload) == {"t": 21.5}
    assert hub.telemetry("d", [1, 2]).topic == message.topic


def test_system_and_application_properties():
    expected = "devices/d/messages/events/%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true"
    assert topic("d", {}, {"temperatureAlert": "true"}, message_id="m 1") == expected
    assert topic("d", {}, None, content_type="x", content_encoding="y") == "devices/d/messages/events/%24.ct=x&%24.ce=y"


def test_device_ids_are_never_encoded():
    assert topic("a=b:c", b"") == "devices/a=b:c/messages/events/"


def test_ordered_properties_keep_their_order():
    assert topic("d", b"", (("b", "1"), ("a", ""))) == "devices/d/messages/events/b=1&a="


def test_what_the_hub_would_drop_is_refused_here():
    assert hub.telemetry("d", b"x" * (262144 - 26)).payload
    error = raises(lambda: hub.telemetry("d", b"x" * (262144 - 25)), "too-long")
    assert "262145" in error.message
    raises(lambda: hub.telemetry("d", b"x" * 262000, {"name": "y" * 200}), "too-long")
