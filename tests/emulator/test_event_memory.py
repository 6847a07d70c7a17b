"""Pins that remembered and waiting events are bounded by what they take in memory, properties included."""

import asyncio
import sys

import pytest

from azureiot_tools.emulator import events as events_module
from azureiot_tools.emulator.events import Events, memory_bytes


def fat(events):
    """One event like that of a message with a 64 KiB property bag."""
    return events.publish("telemetry", "d1", "x", properties={f"{number:x}": "" for number in range(11_500)})


def test_properties_count():
    event = fat(Events())
    actual_bytes = sum(sys.getsizeof(name) for name in event.detail["properties"])
    assert actual_bytes < event.size_bytes < 5 * actual_bytes


def test_nested_values_count_with_their_keys():
    assert memory_bytes({"a": {"b" * 1000: "c" * 1000}}) > 2000
    assert memory_bytes("x" * 1000) > 1000


def test_what_is_remembered_is_bounded_by_size():
    events = Events()
    for _ in range(50):
        event = fat(events)
    kept = events.recent(limit=1000)
    assert 1 < len(kept) <= events_module.REMEMBERED_BYTES // event.size_bytes
    assert kept[-1] is event


def test_a_slow_readers_queue_is_bounded_by_size_too():
    async def scenario():
        events = Events()
        with events.subscribe() as queue:
            for _ in range(50):
                event = fat(events)
            kept = queue.qsize()
            assert 1 < kept <= events_module.QUEUED_BYTES_PER_READER // event.size_bytes
            assert queue.get_nowait().detail == {"count": 50 - kept}
            assert [queue.get_nowait().sequence for _ in range(kept)] == list(range(51 - kept, 51))
            # What was taken no longer counts.
            fat(events)
            fat(events)
            assert [queue.get_nowait().sequence for _ in range(2)] == [51, 52]

    asyncio.run(scenario())


def test_an_event_larger_than_all_bounds_still_arrives(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "QUEUED_BYTES_PER_READER", 1000)

    async def scenario():
        events = Events()
        with events.subscribe() as queue:
            fat(events)
            event = fat(events)
            assert queue.get_nowait().kind == "lost"
            assert queue.get_nowait() is event
            assert queue.empty()

    asyncio.run(scenario())
