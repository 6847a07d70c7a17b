"""IoT Hub's user name and telemetry topic, byte for byte (docs/protocol.md §3.1, §3.5)."""

import azureiot.hub as hub


def test_username():
    assert hub.username("h.azure-devices.net", "dev-1") == "h.azure-devices.net/dev-1/?api-version=2021-04-12"


def test_telemetry_topic():
    assert hub.telemetry_topic("dev-1") == "devices/dev-1/messages/events/"
    topic = hub.telemetry_topic("dev-1", {"temperatureAlert": "true"}, "application/json", "utf-8", "m 1")
    assert topic == "devices/dev-1/messages/events/%24.mid=m%201&%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true"


def test_device_ids_are_never_encoded():
    assert hub.telemetry_topic("a=b:c") == "devices/a=b:c/messages/events/"


def test_ordered_properties_keep_their_order():
    assert hub.telemetry_topic("d", (("b", "1"), ("a", ""))) == "devices/d/messages/events/b=1&a="
