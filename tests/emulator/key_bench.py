"""What the tests of symmetric keys and of DPS's policies share: tokens made here, enrollments, registrations."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment

from .mqtt_wire import DISCONNECT, POLL, REGISTER, RESPONSES, Wire, dps_username, subscribe

KEY, SECONDARY, GROUP_KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"s", b"g", b"o"))
SCOPE = "0ne00000000"
NEVER = {"updates_hub": False}
RESET = {"migrates_data": False}


def sign(key: str, text: str) -> bytes:
    return hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()


def device_key(group_key: str, registration_id: str) -> str:
    return base64.b64encode(sign(group_key, registration_id)).decode()


def token(resource: str, key: str, expires_s: float | None = None, tail: str = "", encode: bool = True) -> bytes:
    """A SAS token, an hour long; tail: what follows ("&skn=registration")."""
    sr = quote(resource, safe="" if encode else "/")
    se = int(time.time() + 3600 if expires_s is None else expires_s)
    sig = quote(base64.b64encode(sign(key, f"{sr}\n{se}")).decode(), safe="")
    return f"SharedAccessSignature sr={sr}&sig={sig}&se={se}{tail}".encode()


def dps_token(registration_id: str, key: str, expires_s: float | None = None, **how: Any) -> bytes:
    return token(f"{SCOPE}/registrations/{registration_id}", key, expires_s, **how)


def hub_token(device_id: str, key: str, expires_s: float | None = None, hub: str = "localhost") -> bytes:
    return token(f"{hub}/devices/{device_id}", key, expires_s)


def enroll(bench: Any, registration_id: str = "keyed", *keys: str, **fields: Any) -> None:
    """An individual enrollment by key."""
    now = datetime.now(UTC)
    given = {"device_id": None, "certificates": (), "enabled": True, "hubs": (), "keys": keys or (KEY, SECONDARY)}
    bench.emulator.registry.put_enrollment(
        IndividualEnrollment(registration_id, created=now, updated=now, **given | fields)
    )


def enroll_group(bench: Any, id: str = "keys", *keys: str, **fields: Any) -> None:
    """An enrollment group by key."""
    now = datetime.now(UTC)
    given = {"ca_names": (), "signing_certificates": (), "enabled": True, "hubs": (), "keys": keys or (GROUP_KEY,)}
    bench.emulator.registry.put_group(EnrollmentGroup(id, created=now, updated=now, **given | fields))


def at_dps(bench: Any, registration_id: str, password: bytes) -> Wire:
    """A connection to DPS, subscribed."""
    wire = bench.wire()
    assert wire.open(registration_id, dps_username(registration_id), password=password) == 0
    wire.send(subscribe(RESPONSES))
    assert wire.receive().type == 9
    return wire


def provision(
    bench: Any, registration_id: str = "keyed", key: str = KEY, body: bytes = b"", password: bytes | None = None
) -> tuple[str, Any]:
    """Register, poll to the end: (topic, answer)."""
    with at_dps(bench, registration_id, dps_token(registration_id, key) if password is None else password) as wire:
        topic, answer = wire.request(REGISTER, body)
        while "/res/202/" in topic:
            topic, answer = wire.request(POLL.format(rid=2, operation_id=answer["operationId"]))
        wire.send(DISCONNECT)
    return topic, answer


def assigned(bench: Any, registration_id: str = "keyed", key: str = KEY, body: bytes = b"") -> dict[str, Any]:
    """The registrationState of a device that is assigned."""
    _, answer = provision(bench, registration_id, key, body)
    assert answer["status"] == "assigned", answer
    return answer["registrationState"]
