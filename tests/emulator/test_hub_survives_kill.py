"""Pins: a twin, a session, a queued message and feedback that the emulator has answered for are there after kill -9."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from .hub_bench import DEVICEBOUND, TWIN, ask, puback, send, subscribed
from .mqtt_wire import PINGREQ, Wire, hub_username, publish, tls_context

COMMAND = [sys.executable, "-m", "azureiot_tools", "emulator", "--port", "0", "--http-port", "0", "--json", "--data"]


@contextmanager
def emulator(data: Any) -> Iterator[Any]:
    """An emulator in a process of its own, killed at the end: no chance to write anything more."""
    process = subprocess.Popen([*COMMAND, str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield SimpleNamespace(emulator=SimpleNamespace(http_port=ready["http_port"]), ready=ready)
    finally:
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait(10)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_nothing_that_was_answered_for_is_lost(certificates, tmp_path):
    leaf = certificates.device.certificate.public_bytes(Encoding.DER)
    identity = {"authentication": {"x509Thumbprint": {"primaryThumbprint": hashlib.sha256(leaf).hexdigest()}}}

    def on_hub(bench: Any, present: bool) -> Wire:
        wire = Wire(bench.ready["port"], tls_context(bench.ready["ca"], certificates.device))
        assert wire.connack("mydevice001", hub_username("mydevice001"), clean=False) == (present, 0)
        return wire

    with emulator(tmp_path) as bench:
        assert ask(bench, "PUT", "/devices/mydevice001", identity)[0] == 200
        for name in ("done", "waits"):
            assert send(bench, name.encode(), messageid=name, ack="full")[0] == 201
        with on_hub(bench, present=False) as wire:
            subscribed(wire, DEVICEBOUND + "#", TWIN)
            messages = [wire.receive() for _ in range(2)]
            wire.send(puback(messages[0].packet_id))
            wire.send(publish("$iothub/twin/PATCH/properties/reported/?$rid=1", b'{"a":1}', qos=0))
            assert wire.receive().topic == "$iothub/twin/res/204/?$rid=1&$version=2"
            twin = ask(bench, "PATCH", "/twins/mydevice001", {"properties": {"desired": {"b": 2}}})[1]

    with emulator(tmp_path) as bench:
        assert ask(bench, "GET", "/twins/mydevice001")[1]["properties"] == twin["properties"]
        feedback = ask(bench, "GET", "/messages/serviceBound/feedback")[1]
        assert [(one["originalMessageId"], one["statusCode"]) for one in feedback] == [("done", "Success")]
        with on_hub(bench, present=True) as wire:
            assert wire.receive().payload == b"waits"
            wire.send(PINGREQ)
            assert wire.receive().type == 13
