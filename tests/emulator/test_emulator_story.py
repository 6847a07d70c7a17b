"""Pins the whole of it: DPS register → hub connect → telemetry, over TLS, with the chain a device sends."""

from .mqtt_wire import publish


def test_a_device_is_assigned_and_its_telemetry_arrives(bench):
    answer = bench.provision()
    assert answer["registrationState"]["assignedHub"] == "localhost"
    with bench.on_hub() as wire:
        wire.send(
            publish(
                "devices/mydevice001/messages/events/%24.ct=application%2Fjson&temperatureAlert=false",
                b'{"temperature":21}',
                packet_id=300,
            )
        )
        assert wire.receive() == (4, 0, b"\x01\x2c")
    event = bench.emulator.events.wait_for(lambda e: e.kind == "telemetry")
    assert event.detail["payload"] == '{"temperature":21}'
    assert event.detail["properties"]["temperatureAlert"] == "false"
    assert event.detail["system"]["$.ct"] == "application/json"
