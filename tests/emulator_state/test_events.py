"""Pins: events reach log, memory and readers; a slow reader is told what it lost; a device cannot steer a terminal."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.emulator import events as events_module
from azureiot_tools.emulator.events import Events, printable

from .bench import NOW


@pytest.fixture
def events() -> Events:
    return Events(lambda: NOW)


def test_an_event_has_time_number_and_detail(events: Events) -> None:
    events.publish("connected", "d1", "connected")
    event = events.publish("refused", "d1", "no such device", "docs/protocol.md §3.2", code=5)
    assert (event.sequence, event.time, event.kind, event.device_id) == (2, NOW, "refused", "d1")
    assert (event.text, event.section, event.detail) == ("no such device", "docs/protocol.md §3.2", {"code": 5})
    assert events.recent() == [events.recent()[0], event]


def test_recent_is_the_newest_above_after(events: Events) -> None:
    for number in range(1, 8):
        events.publish("emulator", "", str(number))
    assert [event.sequence for event in events.recent(limit=3)] == [5, 6, 7]
    assert [event.sequence for event in events.recent(after=5)] == [6, 7]
    assert events.recent(limit=0) == []


@pytest.mark.parametrize(
    ("kind", "level"),
    [("connected", logging.INFO), ("refused", logging.WARNING), ("dropped", logging.WARNING), ("tls", logging.WARNING)],
)
def test_every_event_is_logged_with_its_section(
    events: Events, caplog: pytest.LogCaptureFixture, kind: str, level: int
) -> None:
    with caplog.at_level(logging.INFO, "azureiot.emulator"):
        events.publish(kind, "d1", "why", "docs/protocol.md §3.9")
    assert caplog.record_tuples == [("azureiot.emulator", level, f"{kind} d1: why (docs/protocol.md §3.9)")]


def test_memory_is_bounded_by_count_and_by_size(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "REMEMBERED", 5)
    for _ in range(9):
        events.publish("emulator", "", "x")
    assert [event.sequence for event in events.recent()] == [5, 6, 7, 8, 9]
    monkeypatch.setattr(events_module, "REMEMBERED_BYTES", 3_000)
    events.publish("telemetry", "d1", "x", payload="y" * 2_000)
    assert [event.sequence for event in events.recent()] == [10]


def test_subscribers_get_what_comes_after(events: Events) -> None:
    async def scenario() -> None:
        events.publish("emulator", "", "before")
        with events.subscribe() as first, events.subscribe() as second:
            event = events.publish("emulator", "", "during")
            assert await first.get() == event
            assert await second.get() == event
            assert first.empty()
        events.publish("emulator", "", "after")
        assert first.empty()

    asyncio.run(scenario())


def test_a_waiting_reader_is_woken(events: Events) -> None:
    async def scenario() -> None:
        with events.subscribe() as queue:
            asyncio.get_running_loop().call_soon(events.publish, "emulator", "", "now")
            assert (await asyncio.wait_for(queue.get(), 5)).text == "now"

    asyncio.run(scenario())


def test_a_slow_reader_loses_the_oldest_and_is_told(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "QUEUED_PER_READER", 3)

    async def scenario() -> None:
        with events.subscribe() as queue:
            for number in range(1, 8):
                events.publish("emulator", "", str(number))
            lost = queue.get_nowait()
            assert (lost.kind, lost.detail, lost.sequence) == ("lost", {"count": 4}, 4)
            assert [queue.get_nowait().sequence for _ in range(3)] == [5, 6, 7]
            assert queue.empty()
            events.publish("emulator", "", "8")
            assert queue.get_nowait().sequence == 8, "told once"

    asyncio.run(scenario())


def test_wait_for_finds_past_and_coming_events(events: Events) -> None:
    events.publish("connected", "d1", "first")
    assert events.wait_for(lambda event: event.device_id == "d1", timeout_s=0).text == "first"
    publisher = threading.Timer(0.01, events.publish, ("connected", "d1", "second"))
    publisher.start()
    assert events.wait_for(lambda event: event.device_id == "d1", after=1).text == "second"
    publisher.join()


def test_wait_for_names_what_came_instead(events: Events) -> None:
    events.publish("refused", "d1", "wrong certificate")
    with pytest.raises(TimeoutError, match="refused d1: wrong certificate"):
        events.wait_for(lambda event: event.kind == "connected", timeout_s=0)


def test_control_characters_of_a_device_are_escaped(events: Events, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "azureiot.emulator"):
        event = events.publish("refused", "d\x1b]0;pwned\x07", "topic 'a\r\nforged line'")
    assert event.device_id == r"d\x1b]0;pwned\x07"
    assert event.text == r"topic 'a\r\nforged line'"
    assert "\n" not in caplog.messages[0]
    assert "\x1b" not in caplog.messages[0]


@given(st.text(st.characters()))
def test_printable_text_is_printable_and_otherwise_unchanged(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
