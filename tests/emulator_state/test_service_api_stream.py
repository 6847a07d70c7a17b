"""Pins: telemetry and events can be read afterwards and followed live, by several readers, without a gap."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from azureiot_tools.emulator import events as events_module
from azureiot_tools.emulator.azure_json import telemetry_body, utc_text
from azureiot_tools.emulator.records import Telemetry
from azureiot_tools.emulator.rest import observe
from azureiot_tools.service import ServiceClient

from .bench import NOW, Api

MESSAGE = Telemetry(
    0,
    "localhost",
    "d1",
    b'{"t":1}',
    {"temperatureAlert": "false", "flag": None},
    {"$.ct": "application/json", "iothub-connection-device-id": "d1"},
    NOW,
)


class Reader:
    """A reader of server-sent events, as the WHATWG's text has them: fields, and a blank line at the end of each."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response
        assert self.frame() == {"": "subscribed"}

    def frame(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while (line := self.response.readline().decode()) not in ("\n", ""):
            name, _, value = line.removesuffix("\n").partition(": ")
            fields[name.removeprefix(":")] = value
        return fields

    def event(self) -> dict[str, Any]:
        frame = self.frame()
        data = json.loads(frame["data"])
        assert (frame["id"], frame["event"]) == (str(data["sequence"]), data["kind"])
        return data


@contextmanager
def reading(api: Api, query: str = "", headers: dict[str, str] | None = None) -> Iterator[Reader]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    connection.request("GET", f"/stream{query}", headers=headers or {})
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    try:
        yield Reader(response)
    finally:
        response.close()
        connection.close()


def test_telemetry_with_its_properties_and_stamps(api: Api) -> None:
    api.registry.add_telemetry([MESSAGE] * 3)
    shown = api.request("GET", "/telemetry/d1?limit=1").json
    assert shown == [
        {
            "sequence": 1,
            "hub": "localhost",
            "deviceId": "d1",
            "payload": '{"t":1}',
            "payloadEncoding": "utf-8",
            "properties": {"temperatureAlert": "false", "flag": None},
            "system": {"$.ct": "application/json", "iothub-connection-device-id": "d1"},
            "enqueuedTimeUtc": NOW.strftime("%Y-%m-%dT%H:%M:%S.0000000Z"),
        }
    ]
    assert [one["sequence"] for one in api.request("GET", "/telemetry/d1?after=1").json] == [2, 3]
    assert api.request("GET", "/telemetry/nobody").json == []


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=1.5", "limit=%D9%A3", "after=" + "9" * 30])
@pytest.mark.parametrize("path", ["/telemetry/d1", "/events", "/stream"])
def test_numbers_are_numbers(api: Api, path: str, query: str) -> None:
    if path == "/stream" and query.startswith("limit"):
        return  # it has none
    answer = api.request("GET", f"{path}?{query}")
    assert answer.status == 400
    assert "must be a whole number" in answer.json["message"]


@pytest.mark.parametrize("last", ["9" * 5_000, "-1", "x", "\u0663"])
def test_a_last_event_id_is_a_number(api: Api, last: str) -> None:
    answer = api.request("GET", "/stream", headers={"Last-Event-ID": last.encode().decode("latin-1")})
    assert answer.status == 400
    assert "'Last-Event-ID' must be a whole number" in answer.json["message"]
    assert len(answer.body) < 1_000


def test_an_answer_is_cut_and_the_next_one_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "TELEMETRY_ANSWER_BYTES", 2_500)
    api.registry.add_telemetry([replace(MESSAGE, payload=b"x" * 1_000)] * 5 + [replace(MESSAGE, payload=b"x" * 9_000)])
    shown = [[one["sequence"] for one in api.request("GET", f"/telemetry/d1?after={n}").json] for n in (0, 2, 4, 5)]
    assert shown == [[1, 2], [3, 4], [5], [6]]
    assert [one["sequence"] for one in ServiceClient(api.url).telemetry("d1")] == [1, 2, 3, 4, 5, 6]
    assert [one["sequence"] for one in ServiceClient(api.url).telemetry("d1", after=1, limit=3)] == [2, 3, 4]


def test_a_device_cannot_forge_a_stamp() -> None:
    stamp = "iothub-connection-device-id"
    shown = telemetry_body(replace(MESSAGE, properties={stamp: "boss"}))
    assert (shown["properties"][stamp], shown["system"][stamp]) == ("boss", "d1")


def test_what_is_not_stored_yet_has_no_sequence() -> None:
    assert "sequence" not in telemetry_body(MESSAGE)
    assert telemetry_body(replace(MESSAGE, sequence=7))["sequence"] == 7


def test_a_payload_that_is_not_text_is_shown_as_base64() -> None:
    shown = telemetry_body(replace(MESSAGE, payload=b"\xff\x00"))
    assert (shown["payload"], shown["payloadEncoding"]) == ("/wA=", "base64")


def test_times_are_written_as_azure_writes_them() -> None:
    """docs/protocol.md §1.5: seven fractional digits and Z."""
    assert utc_text(NOW.replace(year=2026, month=1, day=2, hour=3, minute=4, second=5, microsecond=678901)) == (
        "2026-01-02T03:04:05.6789010Z"
    )


def test_events_by_device_kind_and_number(api: Api) -> None:
    for device, kind in (("d1", "connected"), ("d2", "connected"), ("d1", "refused"), ("d1", "connected")):
        api.publish(kind, device, "text", code=5)
    shown = api.request("GET", "/events?device=d1").json
    assert [one["sequence"] for one in shown] == [1, 3, 4]
    assert shown[1] == {
        "sequence": 3,
        "timeUtc": NOW.strftime("%Y-%m-%dT%H:%M:%S.0000000Z"),
        "kind": "refused",
        "deviceId": "d1",
        "text": "text",
        "section": "",
        "detail": {"code": 5},
    }
    assert [one["sequence"] for one in api.request("GET", "/events?kind=connected&limit=2").json] == [2, 4]
    assert [one["sequence"] for one in api.request("GET", "/events?after=3").json] == [4]
    assert api.request("GET", "/events?limit=0").json == []


def test_the_stream_has_what_comes_from_now_on(api: Api) -> None:
    api.publish("connected", "d1", "before")
    with reading(api) as first, reading(api) as second:
        api.publish("connected", "d1", "now")
        assert [reader.event()["text"] for reader in (first, second)] == ["now", "now"]


def test_the_stream_is_filtered(api: Api) -> None:
    with reading(api, "?device=d1&kind=telemetry") as reader:
        for device, kind in (("d2", "telemetry"), ("d1", "connected"), ("d1", "telemetry")):
            api.publish(kind, device, "text")
        assert reader.event()["sequence"] == 3


@pytest.mark.parametrize(("query", "headers"), [("?after=1", {}), ("", {"Last-Event-ID": "1"})])
def test_a_reader_resumes_without_a_gap(api: Api, query: str, headers: dict[str, str]) -> None:
    for number in range(1, 4):
        api.publish("connected", "d1", str(number))
    with reading(api, query, headers) as reader:
        api.publish("connected", "d1", "4")
        assert [reader.event()["text"] for _ in range(3)] == ["2", "3", "4"]


def test_what_a_device_sends_cannot_break_the_framing(api: Api) -> None:
    with reading(api) as reader:
        api.publish("telemetry", "d1", "x", payload="a\n\nevent: refused\ndata: {}\r\r\u2028")
        assert reader.event()["detail"]["payload"] == "a\n\nevent: refused\ndata: {}\r\r\u2028"


def test_a_slow_reader_is_told_what_it_lost(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "QUEUED_PER_READER", 2)
    with reading(api, "?kind=telemetry") as reader:
        # In one go, so that the stream's task cannot run in between.
        api.loop.call_soon_threadsafe(lambda: [api.events.publish("telemetry", "d1", str(n)) for n in range(5)])
        assert (reader.event()["kind"], reader.event()["text"], reader.event()["text"]) == ("lost", "3", "4")


def test_a_silent_stream_shows_that_it_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "STREAM_KEEP_ALIVE_S", 0.02)
    with reading(api) as reader:
        assert reader.frame() == {"": "alive"}
        api.publish("connected", "d1", "still here")
        assert next(frame for frame in iter(reader.frame, None) if "data" in frame)["event"] == "connected"


@pytest.mark.parametrize("api", [60.0], indirect=True)
def test_stopping_the_service_ends_its_streams(api: Api) -> None:
    """aiohttp gives its handlers a minute to end, `api.stop` ten seconds."""
    with reading(api) as reader:
        api.stop()
        assert reader.response.readline() == b""
