"""What happens in the emulator, as it happens: for the log, for the service API's stream, for tests.

Where Azure refuses or drops a connection without a word, the event says why and cites the section of docs/protocol.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from azureiot_tools.console import printable
from azureiot_tools.emulator.azure_json import utc_text

REMEMBERED = 2_000
REMEMBERED_BYTES = 16 * 1024 * 1024
QUEUED_PER_READER = 1_000
QUEUED_BYTES_PER_READER = 16 * 1024 * 1024

_log = logging.getLogger("azureiot.emulator")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    kind: connected, disconnected, refused, dropped, registered, telemetry, message (to a device), method, twin, tls or
    emulator; and lost, to a reader that was too slow. device_id: "" when no device is meant. text: for a person, safe
    to print. section: the source of the rule that was applied ("docs/protocol.md §2.1") or "". detail: JSON-able; of
    telemetry it is `azure_json.telemetry_body`.
    """

    sequence: int
    time: datetime
    kind: str
    device_id: str
    text: str
    section: str
    detail: dict[str, Any]
    size_bytes: int = field(init=False, compare=False, repr=False)  # what it takes in memory, roughly

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", 500 + memory_bytes(self.text) + memory_bytes(self.detail))

    def as_json(self) -> dict[str, Any]:
        """The event as the service API and `azureiot emulator --json` show it."""
        return {
            "sequence": self.sequence,
            "timeUtc": utc_text(self.time),
            "kind": self.kind,
            "deviceId": self.device_id,
            "text": self.text,
            "section": self.section,
            "detail": self.detail,
        }


class Events:
    """Publishes events, remembers the newest, and hands them to readers.

    `publish` and `subscribe` belong to the emulator's event loop, `recent` and `wait_for` to any thread.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._sequence = 0
        self._recent: deque[Event] = deque()
        self._recent_bytes = 0
        self._changed = threading.Condition()
        self._readers: set[_Mailbox] = set()

    def publish(self, kind: str, device_id: str, text: str, section: str = "", **detail: Any) -> Event:
        """Tell everyone who listens, and the log. Control characters in `text` and `device_id` are escaped."""
        with self._changed:
            self._sequence += 1
            event = Event(self._sequence, self._now(), kind, printable(device_id), printable(text), section, detail)
            self._remember(event)
            self._changed.notify_all()
        for reader in self._readers:
            reader.put_nowait(event)
        level = logging.WARNING if kind in ("refused", "dropped", "tls") else logging.INFO
        _log.log(level, "%s %s: %s%s", kind, event.device_id or "-", event.text, f" ({section})" if section else "")
        return event

    def recent(self, after: int = 0, limit: int = 100) -> list[Event]:
        """The newest `limit` of the remembered events with a sequence above `after`, oldest first."""
        with self._changed:
            events = [event for event in self._recent if event.sequence > after]
        return events[-limit:] if limit > 0 else []

    def wait_for(self, match: Callable[[Event], bool], after: int = 0, timeout_s: float = 10) -> Event:
        """The first event above `after` that matches, waiting for it. Not from the emulator's own thread: it blocks.

        Raises TimeoutError, which names the last events.
        """
        found: Event | None = None

        def look() -> bool:
            nonlocal found
            found = next((event for event in self._recent if event.sequence > after and match(event)), None)
            return found is not None

        with self._changed:
            self._changed.wait_for(look, timeout_s)
            if found is None:
                last = "; ".join(f"{event.kind} {event.device_id}: {event.text}" for event in list(self._recent)[-5:])
                raise TimeoutError(f"no such event in {timeout_s} s; the last were: {last or 'none'}")
            return found

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of the events from now on. A reader that falls behind loses the oldest and gets a "lost" event."""
        mailbox = _Mailbox(self._now)
        self._readers.add(mailbox)
        try:
            yield mailbox
        finally:
            self._readers.discard(mailbox)

    def _remember(self, event: Event) -> None:
        self._recent.append(event)
        self._recent_bytes += event.size_bytes
        while len(self._recent) > REMEMBERED or self._recent_bytes > REMEMBERED_BYTES:
            self._recent_bytes -= self._recent.popleft().size_bytes


class _Mailbox(asyncio.Queue[Event]):
    """A queue that drops its oldest event rather than make the emulator wait, through asyncio.Queue's own hooks."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    def _init(self, maxsize: int) -> None:
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._lost = 0

    def qsize(self) -> int:
        return len(self._waiting)

    def empty(self) -> bool:
        return not self._waiting

    def _put(self, item: Event) -> None:
        self._waiting.append(item)
        self._waiting_bytes += item.size_bytes
        # The newest stays, however large: a reader must learn of what comes, and what it lost is numbered by it.
        while len(self._waiting) > 1 and (
            len(self._waiting) > QUEUED_PER_READER or self._waiting_bytes > QUEUED_BYTES_PER_READER
        ):
            self._take()
            self._lost += 1

    def _get(self) -> Event:
        if not self._lost:
            return self._take()
        count, self._lost = self._lost, 0
        # Numbered like the last one lost, so that a reader that resumes from here misses nothing more.
        return Event(
            self._waiting[0].sequence - 1,
            self._now(),
            "lost",
            "",
            f"this reader was too slow: {count} events were left out",
            "",
            {"count": count},
        )

    def _take(self) -> Event:
        event = self._waiting.popleft()
        self._waiting_bytes -= event.size_bytes
        return event


def memory_bytes(value: Any) -> int:
    """What a value takes in memory, a dict with its keys and values: many small properties weigh more than payloads."""
    own_bytes = sys.getsizeof(value)
    if isinstance(value, dict):
        return own_bytes + sum(memory_bytes(key) + memory_bytes(item) for key, item in value.items())
    return own_bytes
