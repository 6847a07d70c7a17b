"""Pins how telemetry reaches the registry: few transactions, bounded memory, and a loss that is told."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.records import Telemetry
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.telemetry_log import TelemetryLog

from .mqtt_wire import PINGREQ, publish

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Store:
    """A registry that counts, or fails."""

    def __init__(self, error=None):
        self.error = error
        self.batches = []

    def add_telemetry(self, items):
        if self.error:
            raise self.error
        self.batches.append(len(items))


def message(payload=b"x", properties=None, system=None):
    return Telemetry(0, "localhost", "mydevice001", payload, properties or {}, system or {}, NOW)


def add(store, *messages):
    """Add messages in one turn of the loop; returns the batches of that turn, and the events."""

    async def scenario():
        events = Events(lambda: NOW)
        log = TelemetryLog(store, events)
        for item in messages:
            log.add(item)
        at_once = list(store.batches)
        log.flush()
        log.flush()
        return at_once, events.recent()

    return asyncio.run(scenario())


def test_small_messages_wait_for_each_other():
    store = Store()
    assert add(store, *[message()] * 500) == ([], [])
    assert store.batches == [500]


# What one PUBLISH can carry in its topic: 11,500 properties without a value take over 1 MB of memory.
FAT_BAG = {f"{number:x}": "" for number in range(11_500)}


@pytest.mark.parametrize(
    "fat",
    [message(payload=b"x" * 256 * 1024), message(b"", properties=FAT_BAG), message(b"", system=FAT_BAG)],
    ids=["payload", "properties", "system"],
)
def test_what_waits_is_bounded_by_its_size_in_memory(fat):
    at_once, _ = add(Store(), *[fat] * 50)
    assert sum(at_once) > 25, "more than 4 MB were kept waiting"


def test_a_loss_is_told_with_its_number_and_reason():
    _, events = add(Store(sqlite3.OperationalError("database or disk is full")), message(), message())
    (event,) = events
    assert (event.kind, event.text) == (
        "emulator",
        "2 acknowledged messages could not be stored: database or disk is full",
    )


def test_a_device_stays_connected_when_its_message_cannot_be_stored(provisioned, monkeypatch):
    def fail(self, items):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Registry, "add_telemetry", fail)
    with provisioned.on_hub() as wire:
        wire.send(publish("devices/mydevice001/messages/events/", b"x"))
        assert wire.receive().type == 4
        assert provisioned.reason("emulator", "1 acknowledged messages could not be stored: disk I/O error") == ""
        wire.send(PINGREQ)
        assert wire.receive().type == 13
