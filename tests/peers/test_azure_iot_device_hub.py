"""Microsoft's own device SDK, unmodified, at the emulator's hub: messages, methods and twins as it finds them in Azure.

What breaks here breaks every device that uses the SDK: topics, property bags, versions, the order of packets.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from conftest import ROOT, missing
from connect_relay import relaying

PYTHON = ROOT / ".venv-azure-sdk" / "bin" / "python"
TIMEOUT_S = 30


class SdkDevice:
    """The SDK's process, and its two kinds of lines apart."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            (self._events if "event" in said else self._answers).put(said)

    def do(self, name: str, *arguments: Any) -> Any:
        """What a method of the SDK's client returned."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        said = self._answers.get(timeout=TIMEOUT_S)
        assert "error" not in said, said["error"]
        return said["answer"]

    def next(self, event: str) -> dict[str, Any]:
        """The next event of this kind; those before it are left out."""
        while (said := self._events.get(timeout=TIMEOUT_S))["event"] != event:
            pass
        return said


@dataclass
class World:
    emulator: Emulator
    proxy_port: int
    folder: Path
    credential: Credential
    opened: ExitStack = field(default_factory=ExitStack)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """The service API's status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.http_port, timeout=TIMEOUT_S)
        try:
            data = body if isinstance(body, bytes) else json.dumps(body)
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, f"{path}?api-version=2021-04-12", data, sent)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def call(self, name: str, payload: Any = None) -> tuple[int, Any]:
        return self.ask("POST", "/twins/sdk-device/methods", {"methodName": name, "payload": payload})

    def device(self) -> SdkDevice:
        """Another client of the SDK for the same device."""
        return self.opened.enter_context(self._started())

    @contextmanager
    def _started(self) -> Iterator[SdkDevice]:
        (self.folder / "device.crt").write_bytes(to_pem(self.credential.certificates))
        (self.folder / "device.key").write_bytes(key_to_pem(self.credential.key))
        config = {
            "proxy_port": self.proxy_port,
            "ca": self.emulator.ca_path.read_text(),
            "certificate": str(self.folder / "device.crt"),
            "key": str(self.folder / "device.key"),
            "device_id": "sdk-device",
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        command = [PYTHON, Path(__file__).with_name("azure_sdk_hub_device.py"), self.folder / "config.json"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        device = SdkDevice(process)
        try:
            yield device
        finally:
            process.kill()
            process.wait()
            device.reader.join()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An emulator behind a relay, and a device that its hub knows."""
    if not PYTHON.exists():
        missing("azure-iot-device is not here (make setup brings it)")
    root = authority.create_root("root")
    credential = authority.issue_device(root, "sdk-device")
    with (
        running(EmulatorOptions(port=0, http_port=0)) as emulator,
        relaying(emulator.mqtt_port) as proxy_port,
        ExitStack() as opened,
    ):
        world = World(emulator, proxy_port, tmp_path, credential, opened)
        leaf = credential.certificate.public_bytes(Encoding.DER)
        thumbprints = {"primaryThumbprint": hashlib.sha256(leaf).hexdigest()}
        identity = {"authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints}}
        assert world.ask("PUT", "/devices/sdk-device", identity)[0] == 200
        yield world


def send(world: World, payload: bytes, **headers: str) -> None:
    named = {f"iothub-{name.replace('_', '-')}": value for name, value in headers.items()}
    assert world.ask("POST", "/devices/sdk-device/messages/devicebound", payload, named)[0] == 201


def test_cloud_to_device_messages_also_while_offline(world: World) -> None:
    device = world.device()
    device.do("connect")
    device.do("listen_for_messages")
    send(
        world,
        "ü!".encode(),
        messageid="m 1",
        correlationid="c/1",
        contenttype="text/plain; charset=utf-8",
        contentencoding="utf-8",
        ack="full",
        app_colour="red & blue",
        app_empty="",
    )
    message = device.next("message")
    assert message == {
        "event": "message",
        "data": "ü!",
        "message_id": "m 1",
        "correlation_id": "c/1",
        "content_type": "text/plain; charset=utf-8",
        "content_encoding": "utf-8",
        "ack": "full",
        "expiry": None,
        "properties": {"colour": "red & blue", "empty": ""},
    }
    device.do("disconnect")
    for number in range(3):
        send(world, f"while offline {number}".encode())
    assert world.ask("GET", "/twins/sdk-device")[1]["cloudToDeviceMessageCount"] == 3
    device.do("connect")  # the SDK does not subscribe again: its session is still there
    assert [device.next("message")["data"] for _ in range(3)] == [f"while offline {number}" for number in range(3)]
    status, feedback = world.ask("GET", "/messages/serviceBound/feedback")
    assert (status, feedback[0]["originalMessageId"], feedback[0]["statusCode"]) == (200, "m 1", "Success")


def test_direct_methods(world: World) -> None:
    device = world.device()
    device.do("connect")
    status, error = world.call("reboot")
    assert (status, error["errorCode"]) == (404, 404103), "connected, but it has not subscribed"
    device.do("listen_for_methods")
    payloads: list[Any] = [{"delay": 5, "text": "ü"}, None, "text", [1, 2], 0]
    for payload in payloads:
        assert world.call("reboot", payload) == (200, {"status": 207, "payload": {"echo": payload}})
        assert device.next("method") == {"event": "method", "name": "reboot", "payload": payload}
    assert world.call("thermostat*get") == (200, {"status": 207, "payload": {"echo": None}})
    device.do("disconnect")
    assert world.call("reboot")[1]["errorCode"] == 404103


def test_twin(world: World) -> None:
    device = world.device()
    device.do("connect")
    assert device.do("twin") == {"desired": {"$version": 1}, "reported": {"$version": 1}}
    device.do("report", {"fan": {"speed": 3, "mode": "auto"}, "list": [1, {"a": None}]})
    device.do("report", {"fan": {"mode": None}})
    status, twin = world.ask("GET", "/twins/sdk-device")
    reported = {name: value for name, value in twin["properties"]["reported"].items() if name != "$metadata"}
    assert (status, reported) == (200, {"fan": {"speed": 3}, "list": [1, {"a": None}], "$version": 3})

    device.do("listen_for_desired")
    world.ask(
        "PATCH", "/twins/sdk-device", {"tags": {"site": "roof"}, "properties": {"desired": {"fan": {"speed": 5}}}}
    )
    assert device.next("desired")["patch"] == {"fan": {"speed": 5}, "$version": 2}
    world.ask("PATCH", "/twins/sdk-device", {"properties": {"desired": {"fan": None, "led": "ü"}}})
    assert device.next("desired")["patch"] == {"fan": None, "led": "ü", "$version": 3}
    assert device.do("twin") == {"desired": {"led": "ü", "$version": 3}, "reported": reported}


def test_a_patch_that_no_twin_takes_is_the_sdks_service_error(world: World) -> None:
    device = world.device()
    device.do("connect")
    with pytest.raises(AssertionError, match="400"):
        device.do("report", {"a.b": 1})
    assert device.do("twin")["reported"] == {"$version": 1}


def test_take_over_and_both_directions_after_it(world: World) -> None:
    first, second = world.device(), world.device()
    first.do("connect")
    first.do("listen_for_methods")
    second.do("connect")
    assert first.next("connection")["connected"] is True
    assert first.next("connection")["connected"] is False
    event = world.emulator.events.wait_for(lambda e: e.kind == "dropped")
    assert (event.device_id, event.section) == ("sdk-device", "docs/protocol.md §3.9")
    first.do("shutdown")  # else it would connect again, and take over in its turn
    second.do("listen_for_methods")
    assert world.call("reboot", 1) == (200, {"status": 207, "payload": {"echo": 1}})
    assert second.next("method")["payload"] == 1
    second.do("send", "still here")
    world.emulator.events.wait_for(lambda e: e.kind == "telemetry" and e.detail["payload"] == "still here")
