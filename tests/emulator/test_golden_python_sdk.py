"""Pins that what Microsoft's Python SDK really sent (recorded from azure-iot-device 2.14.0) is read as it was meant."""

import base64

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.emulator.mqtt.packets import Decoder

from .mqtt_wire import RESPONSES

# Bytes of the recording: CONNECT, SUBSCRIBE and register of the DPS connection; CONNECT and telemetry of the hub's.
DPS = [
    "EMQBAARNUVRUBIAAPAAFcHlkZXYAsTBuZTAwMDAwMDAwL3JlZ2lzdHJhdGlvbnMvcHlkZXYvYXBpLXZlcnNpb249MjAxOS0wMy0zMSZDbGll"
    "bnRWZXJzaW9uPWF6dXJlLWlvdC1kZXZpY2UtcHJvdmlzaW9uaW5nLXB5JTJGMi4xNC4wJTI4My4xMS43JTNCTGludXglMjAlMjMxJTIwU01Q"
    "JTIwUFJFRU1QVF9EWU5BTUlDJTIwJTQwMCUzQng4Nl82NCUyOQ==",
    "gh0AAQAYJGRwcy9yZWdpc3RyYXRpb25zL3Jlcy8jAQ==",
    "MsMBAFEkZHBzL3JlZ2lzdHJhdGlvbnMvUFVUL2lvdGRwcy1yZWdpc3Rlci8/JHJpZD1hYjlkZWE1Zi03YWZiLTRiY2QtODc5ZS1mZmM4NWM2"
    "ZWIxNjkAAnsicGF5bG9hZCI6IHsibW9kZWxJZCI6ICJkdG1pOmNvbTpleGFtcGxlOlRoZXJtb3N0YXQ7MSIsICJub3RlIjogInBheWxvYWQg"
    "XHUwMGU5In0sICJyZWdpc3RyYXRpb25JZCI6ICJweWRldiJ9",
]
HUB = [
    "EL4BAARNUVRUBIAAPAAFcHlkZXYAq2xvY2FsaG9zdC9weWRldi8/YXBpLXZlcnNpb249MjAxOS0xMC0wMSZEZXZpY2VDbGllbnRUeXBlPWF6"
    "dXJlLWlvdC1kZXZpY2UtaW90aHViLXB5JTJGMi4xNC4wJTI4My4xMS43JTNCTGludXglMjAlMjMxJTIwU01QJTIwUFJFRU1QVF9EWU5BTUlD"
    "JTIwJTQwMCUzQng4Nl82NCUyOW9yYWNsZSUyRjEuMA==",
    "MqICAN5kZXZpY2VzL3B5ZGV2L21lc3NhZ2VzL2V2ZW50cy8lMjQubWlkPW1pZC04YTg2MTU0YyYlMjQuY2lkPWNpZCUyRjElMjAlMjYlM0Qm"
    "JTI0LnVpZD11c2VyJTIwb25lJiUyNC5jdD1hcHBsaWNhdGlvbiUyRmpzb24mJTI0LmNlPXV0Zi04JmFsZXJ0PXRydWUmZW1wdHk9JmtleSUy"
    "MHdpdGglMjBzcGFjZSUyRiUyNiUzRCUzRiUyMyUyQj12JUMzJUE0bHVlJTIwJTI1MjUlMjAlMkIlMkYlMjYlM0QAAXsidGVtcGVyYXR1cmUi"
    "OiAyMS41LCAicnVuIjogIjhhODYxNTRjIiwgInRleHQiOiAiXHUwMGZjXHU2ZTI5In0=",
    "MjAAHmRldmljZXMvcHlkZXYvbWVzc2FnZXMvZXZlbnRzLwACcGxhaW4gOGE4NjE1NGM=",
]


def raw(lines):
    return [base64.b64decode(line) for line in lines]


def test_the_recorded_packets_decode():
    connect, subscribe, register = (next(iter(Decoder(300_000).feed(data))) for data in raw(DPS))
    assert (connect.client_id, connect.clean_session, connect.keep_alive_s) == ("pydev", False, 60)
    assert connect.username.startswith("0ne00000000/registrations/pydev/api-version=2019-03-31&ClientVersion=")
    assert subscribe.filters == [(RESPONSES, 1)]
    assert register.topic.startswith("$dps/registrations/PUT/iotdps-register/?$rid=")
    assert b'"registrationId": "pydev"' in register.payload


@pytest.fixture
def pydev(certificates):
    return authority.issue_device(certificates.intermediate, "pydev")


def test_the_recorded_registration_is_served(bench, pydev):
    with bench.wire(pydev) as wire:
        answers = []
        for data in raw(DPS):
            wire.send(data)
            answers.append(wire.receive())
        assert [answer.type for answer in answers] == [2, 9, 4]
        answer = wire.receive()
        request_id = raw(DPS)[2].partition(b"$rid=")[2][:36].decode()
        assert answer.topic == f"$dps/registrations/res/202/?$rid={request_id}&retry-after=1"
        assert (answer.qos, answer.packet_id) == (1, 1)


def test_the_recorded_telemetry_arrives(bench, pydev):
    bench.provision(pydev, "pydev")
    with bench.wire(pydev) as wire:
        for data, expected in zip(raw(HUB), (2, 4, 4), strict=True):
            wire.send(data)
            assert wire.receive().type == expected
    detail = bench.emulator.events.wait_for(lambda e: e.kind == "telemetry").detail
    system = detail["system"]
    assert system["$.mid"].startswith("mid-")
    assert system["$.cid"] == "cid/1 &="
    assert system["$.uid"] == "user one"
    assert system["$.ct"] == "application/json"
    assert '"temperature": 21.5' in detail["payload"]
    bench.emulator.events.wait_for(lambda e: e.kind == "telemetry" and e.detail["payload"].startswith("plain "))
