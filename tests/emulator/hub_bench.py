"""What the tests of a hub's twins, methods and messages share: the service API, a clock of one's own, subscriptions."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .mqtt_wire import Packet, Wire, packet, subscribe

DEVICEBOUND = "devices/mydevice001/messages/devicebound/"
METHODS = "$iothub/methods/POST/#"
TWIN = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"


class Clock:
    """The emulator's clock: it stands until it is set forward."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, bench: Any, **delta: float) -> None:
        self.time += timedelta(**delta)
        bench.emulator.timers.wake()


def ask(
    bench: Any, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str
) -> tuple[int, Any]:
    """The service API's status and JSON. body: bytes, or JSON-able."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.emulator.http_port, timeout=10)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body or {})
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, f"{path}?{urlencode({'api-version': '2021-04-12', **query})}", data, sent)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def send(bench: Any, payload: bytes = b"x", device_id: str = "mydevice001", **headers: str) -> tuple[int, Any]:
    """Queue a message; headers: `app_name="value"` is iothub-app-name."""
    named = {f"iothub-{name.replace('_', '-')}": value for name, value in headers.items()}
    return ask(bench, "POST", f"/devices/{device_id}/messages/devicebound", payload, named)


def subscribed(wire: Wire, *filters: str, qos: int = 1) -> Wire:
    wire.send(subscribe(*filters, qos=qos))
    assert wire.receive() == Packet(9, 0, b"\0\5" + bytes((qos,)) * len(filters))
    return wire


def puback(packet_id: int) -> bytes:
    return packet(0x40, packet_id.to_bytes(2, "big"))
