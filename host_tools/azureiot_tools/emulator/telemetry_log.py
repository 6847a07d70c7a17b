"""Telemetry on its way into the registry."""

from __future__ import annotations

import asyncio
import sqlite3

from azureiot_tools.emulator.events import Events, memory_bytes
from azureiot_tools.emulator.records import Telemetry
from azureiot_tools.emulator.registry import Registry


class TelemetryLog:
    """Writes messages to the registry in batches: soon, but not one transaction for each.

    A message is acknowledged before it is written: after a crash, those of the last DELAY_S may be missing. Those that
    cannot be written are told as an event.
    """

    DELAY_S = 0.1
    MAX_BATCH_BYTES = 4 * 1024 * 1024

    def __init__(self, registry: Registry, events: Events) -> None:
        self._registry = registry
        self._events = events
        self._batch: list[Telemetry] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, message: Telemetry) -> None:
        """Take a message; it is written within DELAY_S."""
        self._batch.append(message)
        self._bytes += sum(map(memory_bytes, (message.payload, message.properties, message.system)))
        if self._bytes > self.MAX_BATCH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.DELAY_S, self.flush)

    def flush(self) -> None:
        """Write what is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        try:
            self._registry.add_telemetry(batch)
        except sqlite3.Error as error:  # a full disk, mostly; the devices have their PUBACKs, so this is a loss
            self._events.publish("emulator", "", f"{len(batch)} acknowledged messages could not be stored: {error}")
