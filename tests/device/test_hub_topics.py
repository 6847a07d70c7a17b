"""IoT Hub's user name and telemetry messages, byte for byte (docs/protocol.md §3.1, §3.5)."""

import json

import azureiot.hub as hub
from fakes import raises


def topic(*arguments, **options):
    return str(hub.telemetry(*arguments, **options).properties, "utf8")


def test_username():
    assert hub.username("h.azure-devices.net", "dev-1") == "h.azure-devices.net/dev-1/?api-version=2021-04-12"


def test_prefix():
    assert hub.telemetry_prefix("dev-1") == b"devices/dev-1/messages/events/"
    assert hub.telemetry_prefix("a=b:c") == b"devices/a=b:c/messages/events/"  # device ids are never encoded


def test_bytes_go_as_they_are():
    for payload in (b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")):
        message = hub.telemetry(payload)
        assert (message.properties, message.payload) == (b"", b"\x00\xff")


def test_a_buffer_may_be_used_again():
    buffer = bytearray(b"first")
    message = hub.telemetry(buffer)
    buffer[:] = b"other"
    assert message.payload == b"first"


def test_text_is_utf_8():
    message = hub.telemetry("grün")
    assert (message.properties, message.payload) == (b"%24.ce=utf-8", b"gr\xc3\xbcn")


def test_json_says_what_it_is():
    for payload in ({"t": 21.5}, [1, 2], (1, "a"), 21.5, None, True):
        message = hub.telemetry(payload)
        assert message.properties == b"%24.ct=application%2Fjson&%24.ce=utf-8"
        assert json.loads(message.payload) == (list(payload) if isinstance(payload, tuple) else payload)


def test_system_and_application_properties():
    expected = "%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true"
    assert topic({}, {"temperatureAlert": "true"}, message_id="m 1") == expected
    assert topic({}, None, content_type="x", content_encoding="y") == "%24.ct=x&%24.ce=y"


def test_ordered_properties_keep_their_order():
    assert topic(b"", (("b", "1"), ("a", ""))) == "b=1&a="


def test_what_the_hub_would_drop_is_refused_here():
    assert hub.telemetry(b"x" * 262144).payload
    assert "262145" in raises(lambda: hub.telemetry(b"x" * 262145), "too-long").message
    raises(lambda: hub.telemetry(b"x" * 262000, {"name": "y" * 200}), "too-long")
    raises(lambda: hub.telemetry(b"", {"name": "y" * 65000}), "too-long")  # no topic holds that
