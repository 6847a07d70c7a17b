"""Direct methods: a call by the service, and the answer of a device that is there (docs/protocol.md §3.7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from azureiot_tools.emulator.azure_json import read_json
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.packets import Publish
from azureiot_tools.emulator.mqtt.session import Drop, Session
from azureiot_tools.emulator.timers import Timers
from azureiot_tools.emulator.topics import split_query

MAX_PAYLOAD_BYTES = 128 * 1024
MAX_CALLS_PER_DEVICE = 100  # at once; it must not grow our memory
_REQUEST = "$iothub/methods/POST/{name}/?$rid={rid}"
_ANSWER = re.compile(r"\$iothub/methods/res/(?P<status>-?\d{1,9})/\?(?P<query>.*)", re.ASCII | re.DOTALL)


class CallFailed(Exception):
    """No answer of the device. code: six digits, as the service has them (docs/protocol.md §3.14)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered: its own status, and its payload as the JSON value."""

    status: int
    payload: Any


@dataclass(slots=True)
class _Calls:
    """The calls over one connection: $rid counts from 1 in each (§3.7)."""

    last_rid: int = 0
    waiting: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)


class DirectMethods:
    """The calls of one hub's devices. Belongs to the emulator's loop."""

    def __init__(
        self, host: str, sessions: Mapping[str, Session[ConnectedDevice]], events: Events, timers: Timers
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._events = events
        self._timers = timers
        self._calls: dict[str, _Calls] = {}  # by the session's name, which is the device's id
        self._expected: dict[str, set[asyncio.Future[None]]] = {}

    async def call(
        self, device_id: str, name: str, payload: bytes, connect_timeout_s: float, response_timeout_s: float
    ) -> Answer:
        """Call a method and wait for its answer.

        payload: JSON. connect_timeout_s: how long to wait for a device that is not there or has not subscribed.

        Raises CallFailed.
        """
        try:
            await self._wait_for_device(device_id, connect_timeout_s)
            return await self._call(device_id, name, payload, response_timeout_s)
        except CallFailed as failure:
            text = f"{name} had no answer: {failure.message} ({failure.code})"
            self._events.publish("method", device_id, text, "docs/protocol.md §3.7", hub=self._host, method=name)
            raise

    def answered(self, session: Session[ConnectedDevice], message: Publish) -> None:
        """A device's PUBLISH to $iothub/methods/res. One that nobody waits for is ignored. Raises Drop."""
        match = _ANSWER.fullmatch(message.topic)
        rid = split_query(match["query"]).get("$rid") if match else None
        if match is None or not rid:
            raise Drop(
                f"a PUBLISH to '{message.topic}', which is not $iothub/methods/res/{{status}}/?$rid={{rid}}",
                "docs/protocol.md §3.9",
            )
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            raise Drop(
                f"the answer to a method has {len(message.payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken",
                "docs/protocol.md §3.9",
            )
        calls = self._calls.get(session.name)
        waiting = calls.waiting.pop(rid, None) if calls else None
        if waiting is None or waiting.done():
            text = f"an answer with $rid={rid}, for which nobody waits (any more), is ignored"
            self._events.publish("method", session.name, text, "docs/protocol.md §3.7", hub=self._host)
            return
        try:
            waiting.set_result(Answer(int(match["status"]), read_json(message.payload or b"null")))
        except ValueError as error:
            waiting.set_exception(CallFailed(502001, f"The device's answer is not JSON: {error}."))

    def arrived(self, session: Session[ConnectedDevice]) -> None:
        """The device has connected or subscribed: calls may have waited for that."""
        if self._is_listening(session.name):
            for waiting in self._expected.get(session.name, ()):
                if not waiting.done():
                    waiting.set_result(None)

    def left(self, session: Session[ConnectedDevice]) -> None:
        """The connection has gone, and with it the calls that went over it."""
        for waiting in self._calls.pop(session.name, _Calls()).waiting.values():
            if not waiting.done():
                waiting.set_exception(CallFailed(404103, "Device unavailable: it went before it had answered."))

    async def _wait_for_device(self, device_id: str, timeout_s: float) -> None:
        if self._is_listening(device_id):
            return
        failure = CallFailed(404103, "Timed out waiting for device to connect.")
        if not timeout_s:
            raise failure
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        expected = self._expected.setdefault(device_id, set())
        expected.add(waiting)
        try:
            with self._limited(waiting, timeout_s, failure):
                await waiting
        finally:
            expected.discard(waiting)
            if not expected:
                self._expected.pop(device_id, None)

    async def _call(self, device_id: str, name: str, payload: bytes, timeout_s: float) -> Answer:
        calls = self._calls.setdefault(device_id, _Calls())
        if len(calls.waiting) >= MAX_CALLS_PER_DEVICE:
            raise CallFailed(429001, f"{MAX_CALLS_PER_DEVICE} calls wait for this device already.")
        calls.last_rid += 1
        rid = str(calls.last_rid)
        session = self._sessions.get(device_id)
        # With QoS 0 whatever the subscription's is (§3.4).
        if session is None or session.publish(_REQUEST.format(name=name, rid=rid), payload, most_qos=0) is None:
            raise CallFailed(404103, "Timed out waiting for device to connect.")  # it went in this very moment
        self._events.publish(
            "method", device_id, f"{name} called with {len(payload)} bytes, $rid={rid}", hub=self._host, method=name
        )
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        calls.waiting[rid] = waiting
        try:
            failure = CallFailed(504101, "Timed out waiting for the response from device.")
            with self._limited(waiting, timeout_s, failure):
                answer = await waiting
        finally:
            calls.waiting.pop(rid, None)
        text = f"{name} answered with status {answer.status}, $rid={rid}"
        self._events.publish("method", device_id, text, hub=self._host, method=name, status=answer.status)
        return answer

    @contextmanager
    def _limited(self, waiting: asyncio.Future[Any], timeout_s: float, failure: CallFailed) -> Iterator[None]:
        """Let `waiting` fail once the emulator's clock has gone on for so long."""

        def give_up() -> None:
            if not waiting.done():
                waiting.set_exception(failure)

        timer = self._timers.at(self._timers.now() + timedelta(seconds=timeout_s), give_up)
        try:
            yield
        finally:
            timer.cancel()

    def _is_listening(self, device_id: str) -> bool:
        session = self._sessions.get(device_id)
        return session is not None and session.link is not None and session.granted("$iothub/methods/POST/") is not None
