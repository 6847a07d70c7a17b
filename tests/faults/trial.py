"""One case tried on one runtime: a server that misbehaves, a device that meets it, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from azureiot_tools.certificates.credential import Credential, to_der
from faults import identities
from faults.identities import AS_AZURE, DPS, HUB, ServerTls
from faults.server import PUBLISH, PUBLISH_AGAIN, Peer, Script, message, serving

RUNTIMES = ("cpython", "micropython")
HANGS_S = 60  # no case takes a tenth of it

_CLIENT = Path(__file__).with_name("client.py")
_FIRMWARE = _CLIENT.parents[2] / "firmware"

Call = tuple[str, dict[str, Any]]


def call(name: str, **options: Any) -> Call:
    """A call of one of Device's methods, with a deadline that only a hang reaches."""
    if name in ("connect", "provision"):
        options = {"retry": False, **options}
    if name in ("connect", "provision", "send"):
        options = {"timeout_s": 30, **options}
    return name, options


CONNECTS = (call("connect"),)
SENDS = (call("connect"), call("send", payload="one"))
BY_DPS = {"id_scope": "0ne00000000", "registration_id": "dev-1", "provisioning_host": DPS}
BY_HUB = {"hub": HUB, "device_id": "dev-1"}


@dataclass(frozen=True)
class Case:
    """A row of a table: what the server does, what the device does, what has to come of it.

    scripts: what the server does, one a connection (server.Script).
    code, says, hint: the error's code, words in its sentence, words in what to do next. code None: all calls succeed.
    noted: words in what the server notes about the client (Peer.wrong), "": nothing.
    also: called with the Trial; asserts what else there is to say.
    on: what is different on a runtime, {"micropython": {"code": …}}: only what that runtime cannot know better.
    tls, drip: how the server does TLS; whether it sends every byte by itself.
    device, identity, roots: Device's options; what it shows; whom it trusts.
    speed: how many times faster than real the device's clock goes.
    """

    name: str
    scripts: tuple[Script, ...]
    code: int | str | None = None
    says: str = ""
    hint: str = ""
    retryable: bool = False
    does: tuple[Call, ...] = CONNECTS
    noted: str = ""
    also: Callable[[Trial], None] | None = None
    on: dict[str, dict[str, Any]] = field(default_factory=dict)
    tls: ServerTls = AS_AZURE
    drip: bool = False
    device: dict[str, Any] = field(default_factory=lambda: BY_HUB)
    identity: Callable[[], Credential] = identities.device
    roots: Callable[[], bytes] = lambda: identities.der(identities.root())
    speed: int = 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Trial:
    """A case on a runtime: what client.py printed, and the server's end of each connection."""

    case: Case
    runtime: str
    outcome: dict[str, Any]
    connections: list[Peer]

    def check(self) -> None:
        """Fail unless it came out as the row says."""
        case = replace(self.case, **self.case.on.get(self.runtime, {}))
        assert self.outcome["crash"] is None, self.outcome["crash"]
        noted = " ".join(peer.wrong for peer in self.connections).strip()
        assert (case.noted in noted) if case.noted else (noted == ""), noted
        error = self.outcome["error"]
        if case.code is None:
            assert error is None, error["text"]
            assert self.outcome["done"] == len(case.does)
        else:
            assert error is not None, f"no error, {case.code} was expected"
            text = error["text"]
            assert error["code"] == case.code, text
            assert case.says.lower() in text.lower()
            assert "\n" not in text
            assert case.hint in error["hint"], text
            assert error["hint"] != "", text
            assert error["hint"] in text
            assert error["retryable"] is case.retryable, text
        for peer in self.connections:
            assert b"MQTT" not in peer.raw, "something went out in the clear"
        if case.also:
            case.also(self)

    @property
    def elapsed_s(self) -> float:
        """How long it took by the device's clock."""
        return self.outcome["elapsed_ms"] / 1000

    def messages(self, connection: int) -> list[tuple[int, bytes]]:
        """The QoS 1 messages that came over a connection, as (first byte, payload)."""
        packets = self.connections[connection].packets
        return [(first, message(body)[2]) for first, body in packets if first in (PUBLISH, PUBLISH_AGAIN)]

    def topics(self, connection: int) -> list[str]:
        """The topics of those messages."""
        packets = self.connections[connection].packets
        return [message(body)[0] for first, body in packets if first in (PUBLISH, PUBLISH_AGAIN)]

    def packets(self, connection: int) -> list[int]:
        """The first byte of every packet that came over a connection."""
        return [first for first, _ in self.connections[connection].packets]


def attempt(case: Case, runtime: str, interpreter: Path | None) -> Trial:
    """Try a case. interpreter: MicroPython's, for that runtime."""
    with tempfile.TemporaryDirectory() as name, serving(case.tls.context(), case.scripts, drip=case.drip) as server:
        folder = Path(name)  # 0700
        certificate, key = to_der(case.identity())
        files = {"certificate": certificate, "key": key, "roots": case.roots()}
        for name, data in files.items():
            (folder / name).touch(0o600)
            (folder / name).write_bytes(data)
        device = {name: str(folder / name) for name in files} | {"port": server.port} | case.device
        (folder / "case.json").write_text(json.dumps({"device": device, "does": case.does, "speed": case.speed}))
        program = sys.executable if runtime == "cpython" else str(interpreter)
        done = subprocess.run(
            [program, str(_CLIENT), str(folder / "case.json")],
            env={**os.environ, "MICROPYPATH": os.pathsep.join((".frozen", str(_FIRMWARE)))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANGS_S,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return Trial(case, runtime, json.loads(done.stdout), server.connections)
