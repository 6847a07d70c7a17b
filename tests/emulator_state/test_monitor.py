"""Pins `azureiot monitor`: each message with properties and stamps as it arrives, and an end when it was asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from azureiot_tools import cli
from azureiot_tools.emulator.azure_json import telemetry_body
from azureiot_tools.emulator.records import Telemetry
from azureiot_tools.service import ServiceClient

from .bench import NOW, Api

pytestmark = pytest.mark.usefixtures("own_commands_only")

STAMPS = {
    "iothub-connection-device-id": "d1",
    "iothub-enqueuedtime": "2026-01-01T00:00:00.0000000Z",
    "dt-dataschema": "dtmi:x;1",
}


def arrive(
    api: Api,
    device_id: str = "d1",
    payload: bytes = b'{"temperature": 31}',
    properties: dict[str, str | None] | None = None,
) -> None:
    """A message arrives at the hub, as the emulator's hub publishes it."""
    message = Telemetry(
        0,
        "localhost",
        device_id,
        payload,
        properties or {"temperatureAlert": "true"},
        {"$.ct": "application/json", **STAMPS},
        NOW,
    )
    api.publish("telemetry", device_id, "telemetry", **telemetry_body(message))


@pytest.fixture
def monitor(api: Api, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def monitor(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert cli.main(["monitor", "--url", api.url, *arguments]) == code
        return capsys.readouterr()

    return monitor


def test_a_message_with_all_that_belongs_to_it(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api)
    out, _ = monitor("--from-start", "--count", "1", "--device", "d1")
    assert out.splitlines() == [
        f"Waiting for telemetry of 'd1' at {api.url}. Ctrl-C ends.",
        f'{NOW:%Y-%m-%d %H:%M:%S}.000  d1  {{"temperature": 31}}',
        "    properties: temperatureAlert=true",
        "    system: $.ct=application/json",
        "    hub's stamps: connection-device-id=d1  enqueuedtime=2026-01-01T00:00:00.0000000Z  dt-dataschema=dtmi:x;1",
    ]


def test_messages_are_shown_as_they_arrive(
    api: Api, monitor: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(api, payload=b"before")
    subscribed = threading.Event()
    stream = ServiceClient.stream

    def stream_and_tell(client: ServiceClient, *arguments: object) -> object:
        events = stream(client, *arguments)  # pyright: ignore[reportArgumentType]
        subscribed.set()
        return events

    monkeypatch.setattr(ServiceClient, "stream", stream_and_tell)

    def send() -> None:
        assert subscribed.wait(10)
        for number in range(5):
            arrive(api, payload=b"m%d" % number)
        arrive(api, "d2", b"after")

    sender = threading.Thread(target=send)
    sender.start()
    out, _ = monitor("--count", "5", "--timeout", "10")
    sender.join()
    assert [line.split()[-1] for line in out.splitlines() if "  d1  " in line] == ["m0", "m1", "m2", "m3", "m4"]


def test_json_is_one_object_a_line(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api)
    arrive(api, payload=b"\xff")
    out, _ = monitor("--from-start", "--count", "2", "--json")
    first, second = map(json.loads, out.splitlines())
    assert first["payload"] == '{"temperature": 31}'
    assert first["properties"]["temperatureAlert"] == "true"
    assert (second["payload"], second["payloadEncoding"]) == ("/w==", "base64")


def test_only_this_device_and_only_telemetry(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api, "d2", b"theirs")
    api.publish("connected", "d1", "connected")
    arrive(api, "d1", b"ours")
    out, _ = monitor("--from-start", "--device", "d1", "--count", "1")
    assert "ours" in out
    assert "theirs" not in out


def test_too_few_messages_in_time_is_an_error(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api)
    _, err = monitor("--from-start", "--count", "2", "--timeout", "0.2", code=1)
    assert err.startswith("azureiot: 1 of 2 messages came within 0.2 s. Send some: azureiot simulate")


def test_without_a_count_the_time_is_simply_over(monitor: Callable[..., tuple[str, str]]) -> None:
    assert monitor("--timeout", "0.1")[1] == ""


def test_ctrl_c_ends_it(api: Api, monitor: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(ServiceClient, "stream", interrupted)
    assert monitor(code=130)[1] == "azureiot: interrupted\n"


def test_a_device_cannot_steer_the_terminal(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api, payload=b"\x1b[2J\r\nforged", properties={"a\x1b": "b\x07", "bare": None})
    out, _ = monitor("--from-start", "--count", "1")
    assert r"\x1b[2J\r\nforged" in out
    assert r"properties: a\x1b=b\x07  bare" in out
    assert "\x1b" not in out


def test_a_device_cannot_forge_a_stamp(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    arrive(api, properties={"iothub-connection-module-id": "forged", "dt-subject": "forged"})
    out, _ = monitor("--from-start", "--count", "1")
    assert "    properties: iothub-connection-module-id=forged  dt-subject=forged\n" in out
    (stamps,) = [line for line in out.splitlines() if "hub's stamps" in line]
    assert "forged" not in stamps


def test_lost_messages_are_mentioned(api: Api, monitor: Callable[..., tuple[str, str]]) -> None:
    api.publish("lost", "", "this reader was too slow: 7 events were left out", count=7)
    arrive(api)
    out, _ = monitor("--from-start", "--count", "1")
    assert "(this reader was too slow: 7 events were left out)" in out


@pytest.mark.parametrize("arguments", [("--count", "0"), ("--count", "-1"), ("--timeout", "nan"), ("--timeout", "x")])
def test_numbers_are_positive(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["monitor", *arguments])
    assert caught.value.code == 2
    assert "positive number" in capsys.readouterr().err
