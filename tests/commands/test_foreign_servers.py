"""Something else behind the address of the service API, or no address at all: every command says so and ends.

HTML, JSON of every other shape, errors, nothing, too much, too slow.
"""

from __future__ import annotations

import http.server
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from azureiot_tools import service, service_answers
from azureiot_tools.commands import monitor
from azureiot_tools.console import UserError
from azureiot_tools.service import ServiceClient
from azureiot_tools.service_answers import fits

from .leaves import Leaf, leaves
from .world import World

LEAVES = [leaf for leaf in leaves() if leaf.words[0] in ("service", "monitor")]
STRANGER = "is not the emulator's service API"

SHAPES = [
    None,
    0,
    True,
    "text",
    [],
    {},
    [[]],
    [None],
    [{}],
    ["name"],
    {"value": None},
    {"value": {}},
    {"value": [None]},
    {"value": [{"name": 1, "properties": {}}]},
    {"properties": None},
    {"properties": {"verificationCode": 1}},
    {"errorCode": "x", "message": "y"},
    {"errorCode": 400000},
    [{"deviceId": "d", "hub": "h", "status": "enabled", "authentication": {}}],
    [{"timeUtc": 1, "kind": None}],
]
BODIES = [
    b"",
    b"<!doctype html><title>It works!</title>",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"{" * 10,
    b"NaN",
    b"data: {}\n\n",
    b"data: [[[\n\n",
    b'data: {"kind": "telemetry", "detail": {}}\n\n',
    *(json.dumps(shape).encode() for shape in SHAPES),
]


@contextmanager
def answering(status: int, chunks: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """The URL of a web server that answers everything alike, until its client has gone."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            try:
                for chunk in chunks():
                    self.wfile.write(chunk)
            except OSError:
                pass

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, format: str, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_every_command_and_every_other_answer(world: World, leaf: Leaf, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [200, b""]
    told = 0
    for status in (200, 204, 302, 404, 500):
        with answering(status, lambda: iter([answer[1]])) as url:
            monkeypatch.setenv("AZUREIOT_SERVICE_URL", url)
            for body in BODIES:
                answer[1] = body
                done = world.run(*world.arguments(leaf))
                told += STRANGER in done.err
                if status > 204:
                    assert done.code == 1
    assert told > len(BODIES) * 2


def endless() -> Iterator[bytes]:
    return itertools.repeat(b"[" + b" " * 65_536)


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(service, "_LARGEST_ANSWER_BYTES", 1_000_000)
    with answering(status, endless) as url, pytest.raises(UserError, match=STRANGER):
        ServiceClient(url).devices()


def test_an_event_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_LONGEST_EVENT_BYTES", 100_000)
    with answering(200, endless) as url, pytest.raises(UserError, match=STRANGER):
        next(ServiceClient(url).stream())


def test_an_answer_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, but there are always more."""
    monkeypatch.setattr(service, "REQUEST_TIMEOUT_S", 0.3)
    pause = threading.Event()

    def drip() -> Iterator[bytes]:
        while not pause.wait(0.01):
            yield b" "

    with answering(200, drip) as url, pytest.raises(UserError, match=STRANGER):
        ServiceClient(url).devices()
    pause.set()


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://[not-an-address]",
        f"http://{'a' * 70}.example",
        "http://a b",
        "http://a\x1b[2J",
        "http://\udcff",
        "http://user:hunter2@127.0.0.1",
        "http://127.0.0.1#fragment",
        "http://127.0.0.1:-1",
        "http://127.0.0.1:99999",
        "http://..",
        "//127.0.0.1",
        "x" * 100_000,
    ],
)
def test_addresses_that_are_none(world: World, url: str) -> None:
    done = world.run("service", "devices", "--url", url)
    assert done.code == 1
    assert "is not the address of a service API" in done.err
    assert "hunter2" not in done.err
    assert len(done.err) < 500


@pytest.mark.parametrize("url", ["http://localhost:80/", "http://[::1]:8080", "http://emulator.example", "HTTP://A:0"])
def test_addresses(url: str) -> None:
    ServiceClient(url)


def test_a_name_in_another_encoding_is_sent_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`azureiot service cert code ü` in a locale that knows no ü."""
    assert service._path("certificates", b"\xc3\xbc".decode("ascii", "surrogateescape")) == "/certificates/%C3%BC"


@pytest.mark.parametrize(
    ("value", "shape", "right"),
    [
        ({"a": 1, "more": 2}, {"a": int}, True),
        ({}, {"a": int}, False),
        ({"a": None}, {"a": str | None}, True),
        ([1, 2], [int], True),
        ([1, "x"], [int], False),
        ({"any": "x"}, {str: str}, True),
        ({"any": 1}, {str: str}, False),
        ("x", (int, str), True),
        (None, service_answers.NOTHING, True),
        ([], service_answers.DEVICE, False),
    ],
)
def test_shapes(value: Any, shape: service_answers.Shape, right: bool) -> None:
    assert fits(value, shape) is right


@pytest.mark.parametrize("method", ['{"type": "x509"}', "[]", "{", "[" * 100_000, '"\x1b"'])
def test_a_stamp_that_is_not_the_hubs(method: str) -> None:
    message = {
        "enqueuedTimeUtc": "2026-01-01T00:00:00Z",
        "deviceId": "d",
        "payload": "x",
        "payloadEncoding": "utf-8",
        "properties": {},
        "system": {"iothub-connection-auth-method": method},
    }
    lines = list(monitor.message_lines(message))
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("    hub's stamps: connection-auth-method=")


def test_as_many_events_as_there_is_sense_in(world: World) -> None:
    for limit in ("0", "-1", "x"):
        done = world.run("service", "events", "--limit", limit)
        assert done.code == 2
        assert f"'{limit}' is not a number from 1" in done.err
