"""What the tests of this directory share: filling a registry, and the service API on a loopback port in a thread."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.certificates.credential import Credential
from azureiot_tools.emulator.events import Event, Events
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.registry import Registry

# The emulator's clock stands still, an hour ahead: what a command issues in the course of a long run is valid at it.
NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
EARLIER = NOW - timedelta(hours=2)  # when the CAs were made: valid by either clock
HUBS = ("localhost", "second.local")


def der(certificate: Credential | x509.Certificate) -> bytes:
    return (certificate.certificate if isinstance(certificate, Credential) else certificate).public_bytes(Encoding.DER)


def pem(certificate: Credential | x509.Certificate) -> str:
    one = certificate.certificate if isinstance(certificate, Credential) else certificate
    return one.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True)
class Pki:
    """root → intermediate → device; and strangers."""

    root: Credential
    intermediate: Credential
    device: Credential
    other_root: Credential
    other_device: Credential


def upload(registry: Registry, name: str, ca: Credential | x509.Certificate, *, verified: bool = True) -> None:
    registry.put_certificate(CaCertificate(name, der(ca), verified, None, NOW, NOW))


def enroll_group(
    registry: Registry, id: str, *ca_names: str, signing: tuple[bytes, ...] = (), enabled: bool = True
) -> None:
    registry.put_group(EnrollmentGroup(id, ca_names, signing, enabled, (), NOW, NOW))


def enroll_device(
    registry: Registry, registration_id: str, *leaves: bytes, device_id: str | None = None, enabled: bool = True
) -> None:
    registry.put_enrollment(IndividualEnrollment(registration_id, device_id, leaves, enabled, (), NOW, NOW))


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **delta: float) -> None:
        self.time += timedelta(**delta)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """The service API as it runs: raw requests for the tests of what no client of ours sends."""

    port: int
    registry: Registry
    events: Events
    clock: Clock
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """body: JSON-able, or bytes as they are. Not of bytes, the content type is JSON unless headers tell."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            if not isinstance(body, bytes) and (body is not None or method == "POST"):
                headers = {"Content-Type": "application/json", **(headers or {})}
                body = None if body is None else json.dumps(body)
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def publish(self, kind: str, device_id: str, text: str = "", **detail: Any) -> Event:
        """Publish in the service's own thread, and come back when it is done."""
        done: Future[Event] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(self.events.publish(kind, device_id, text, **detail)))
        return done.result(10)


@contextmanager
def serving(
    make: Callable[[], web.Application], shutdown_s: float
) -> Iterator[tuple[int, asyncio.AbstractEventLoop, Callable[[], None]]]:
    """Run an application in a thread; gives port, loop, and how to stop it, which leaving does too.

    shutdown_s: how long aiohttp waits for a handler that does not end by itself.
    """
    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        runner = web.AppRunner(make(), access_log=None, shutdown_timeout=shutdown_s)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.set_result((runner.addresses[0][1], asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    port, loop, stopping = ready.result(10)

    def stop() -> None:
        if thread.is_alive():
            loop.call_soon_threadsafe(stopping.set)
            thread.join(10)
        assert not thread.is_alive(), "the service did not stop"

    try:
        yield port, loop, stop
    finally:
        stop()
