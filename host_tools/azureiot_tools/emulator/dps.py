"""The Device Provisioning Service over MQTT: register, poll, assignment (docs/protocol.md §1 and §2).

Credentials are judged when the device registers, never at CONNECT (§1.2).
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from azureiot_tools.emulator import attestation
from azureiot_tools.emulator.attestation import Attested, Refusal
from azureiot_tools.emulator.azure_json import error_body, utc_text
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.ids import is_registration_id, same_id
from azureiot_tools.emulator.mqtt.packets import Connect, Publish
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import Registration
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.topics import split_query

RESPONSES = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?"

MAX_MESSAGE_BYTES = 96 * 1024  # docs/protocol.md §1.3
# Answers are kept for devices that have yet to poll; one that waits longer than for this many others registers again.
MAX_OPERATIONS = 10_000

_USERNAME = re.compile(r"(?P<id_scope>[^/]+)/registrations/(?P<registration_id>[^/]+)/api-version=.+")
_FOR_DPS = re.compile(r"[^/]+/registrations/[^/?]")


@dataclass(frozen=True, slots=True)
class Registrant:
    """A connected device that wants to register; nothing of it has been checked. chain: DER, leaf first."""

    id_scope: str
    registration_id: str
    chain: tuple[bytes, ...]


@dataclass(slots=True)
class Operation:
    """A registration under way: `steps_left` more answers say "assigning" before `answer` is given."""

    id: str
    registrant: Registrant
    steps_left: int
    answer: dict[str, Any]


def is_username(username: str) -> bool:
    """Whether a CONNECT's username is meant for DPS; `Dps.on_connect` says what is wrong with it, if anything."""
    return _FOR_DPS.match(username) is not None


class Dps(Service[Registrant]):
    """One DPS instance.

    hubs: the linked hubs.  retry_after_s: what an "assigning" answer tells the device to wait.  assigning_steps: how
    many such answers precede the assignment; 0 answers the register itself.
    """

    max_packet_bytes = MAX_MESSAGE_BYTES
    keeps_sessions = False  # docs/protocol.md §1.2: session present is always 0

    def __init__(
        self,
        registry: Registry,
        identities: Identities,
        events: Events,
        now: Callable[[], datetime],
        *,
        id_scope: str,
        hubs: Sequence[str],
        retry_after_s: int,
        assigning_steps: int,
    ) -> None:
        super().__init__()
        self.name = f"DPS {id_scope}"
        self._registry = registry
        self._identities = identities
        self._events = events
        self._now = now
        self._id_scope = id_scope
        self._hubs = hubs
        self._retry_after_s = retry_after_s
        self._assigning_steps = assigning_steps
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        self._connections = itertools.count(1)

    def on_connect(self, peer: Peer, connect: Connect) -> tuple[str, Registrant]:
        """Any credentials will do until the device registers; only the names must agree (docs/protocol.md §1.2)."""
        username = _USERNAME.fullmatch(connect.username or "")
        if username is None:
            raise Reject(
                "the username is not {idScope}/registrations/{registrationId}/api-version=… (without a ? "
                "before api-version)",
                "docs/protocol.md §1.2",
            )
        registration_id = username["registration_id"]
        if not same_id(connect.client_id, registration_id):
            raise Reject(
                f"the client id '{connect.client_id}' is not the username's registration id '{registration_id}'",
                "docs/protocol.md §1.2",
            )
        # Nobody has proved to be this device yet: a connection must not close another one that says the same.
        session_name = f"{registration_id}/{next(self._connections)}"
        return session_name, Registrant(username["id_scope"], registration_id, peer.chain)

    def on_subscribe(self, session: Session[Registrant], topic_filter: str, qos: int) -> int:
        if topic_filter != RESPONSES:
            raise Drop(f"a SUBSCRIBE to '{topic_filter}'; DPS has only {RESPONSES}", "docs/protocol.md §1.3")
        return min(qos, 1)

    def on_publish(self, session: Session[Registrant], message: Publish) -> None:
        request = next((kind for kind in (REGISTER, POLL) if message.topic.startswith(kind)), None)
        if request is None:
            raise Drop(f"a PUBLISH to '{message.topic}', which is no topic of DPS", "docs/protocol.md §1.3")
        query = split_query(message.topic.removeprefix(request))
        request_id = query.get("$rid")
        if not request_id:
            raise Drop(f"a PUBLISH to '{message.topic}', which has no $rid", "docs/protocol.md §1.3")
        registrant = session.principal
        if RESPONSES not in session.subscriptions:
            self._events.publish(
                "refused",
                registrant.registration_id,
                f"not answered: the device has not subscribed to {RESPONSES} before it asked",
                "docs/protocol.md §1.3",
            )
            return
        try:
            operation = (
                self._register(registrant, message.payload)
                if request == REGISTER
                else self._poll(registrant, unquote(query.get("operationId") or ""))
            )
            status, retry_after, answer = self._step(operation)
        except Refusal as refusal:
            self._events.publish(
                "refused",
                registrant.registration_id,
                f'{refusal.error_code} "{refusal.message}": {refusal.reason}',
                refusal.section,
            )
            status, retry_after, answer = (
                refusal.status,
                "",
                error_body(refusal.error_code, refusal.message, self._now()),
            )
        # $rid comes first and as it was sent: the Python and C# SDKs look for it there (docs/protocol.md §1.3).
        session.publish(
            f"$dps/registrations/res/{status}/?$rid={request_id}{retry_after}",
            json.dumps(answer, separators=(",", ":")).encode(),
        )

    def _register(self, registrant: Registrant, payload: bytes) -> Operation:
        if registrant.id_scope != self._id_scope:
            # What DPS answers to an id scope that it does not know is not verified: docs/protocol.md §9.1.
            raise Refusal(
                attestation.UNAUTHORIZED,
                f"the id scope '{registrant.id_scope}' is unknown; this DPS has '{self._id_scope}'",
                section="docs/protocol.md §9.1",
            )
        if not is_registration_id(registrant.registration_id):
            raise Refusal(
                "Invalid RegistrationId",
                f"'{registrant.registration_id}' cannot be a registration id",
                status=400,
                error_code=400004,
                section="docs/protocol.md §1.2",
            )
        _check_body(registrant, payload)
        # An id is the same in any case (§1.2): the device keeps the spelling, and so the identity, it first came with.
        before = self._registry.registration(registrant.registration_id)
        registration_id = before.registration_id if before else registrant.registration_id
        attested = attestation.attest(self._registry, registration_id, registrant.chain, self._now())
        registration = self._assign(attested, before)
        operation = Operation(_operation_id(), registrant, self._assigning_steps, {})
        operation.answer = {
            "operationId": operation.id,
            "status": registration.status,
            "registrationState": registration_state(registration),
        }
        self._operations[operation.id] = operation
        if len(self._operations) > MAX_OPERATIONS:
            self._operations.popitem(last=False)
        return operation

    def _poll(self, registrant: Registrant, operation_id: str) -> Operation:
        operation = self._operations.get(operation_id)
        # The answer is for the device that registered: same id, same certificate.
        if operation is None or operation.registrant != registrant:
            raise Refusal(
                "Operation not found",
                f"'{registrant.registration_id}' has no operation '{operation_id}'; "
                "the emulator may have been restarted since: register again",
                status=404,
                error_code=404202,
                section="docs/protocol.md §1.5",
            )
        return operation

    def _step(self, operation: Operation) -> tuple[int, str, dict[str, Any]]:
        """(status, retry-after for the topic, answer)."""
        if operation.steps_left > 0:
            operation.steps_left -= 1
            return 202, f"&retry-after={self._retry_after_s}", {"operationId": operation.id, "status": "assigning"}
        return 200, "", operation.answer

    def _assign(self, attested: Attested, before: Registration | None) -> Registration:
        """Choose the hub, write the identity into it, and keep what was decided (docs/protocol.md §2.3–2.5).

        A device that is refused keeps its identity where it is, if it has one (§2.6), and the record says where.
        """
        now = self._now()
        registration = Registration(
            registration_id=before.registration_id if before else attested.registration_id,
            device_id=before.device_id if before else "",
            assigned_hub=before.assigned_hub if before else "",
            enrollment_group_id=attested.group_id,
            status="assigned",
            substatus="initialAssignment",
            error_code=None,
            error_message=None,
            leaf_sha1=attested.leaf_sha1,
            leaf_sha256=attested.leaf_sha256,
            created=before.created if before else now,
            updated=now,
            etag=base64.b64encode(f'"{uuid.uuid4()}"'.encode()).decode(),
        )
        allowed = [hub for hub in attested.enrollment.hubs or self._hubs if hub in self._hubs]
        if not attested.enabled:
            # Which answer a disabled enrollment gets over MQTT is not verified: docs/protocol.md §2.2.
            registration = replace(registration, status="disabled", substatus="")
            self._events.publish(
                "refused", attested.registration_id, "the enrollment is disabled", "docs/protocol.md §2.2"
            )
        elif not allowed:
            registration = replace(
                registration,
                status="failed",
                substatus="",
                error_code=400208,
                error_message="No IoT hub is specified for the enrollment.",
            )
            self._events.publish(
                "refused",
                attested.registration_id,
                f"the enrollment allows no hub of this DPS: {', '.join(attested.enrollment.hubs) or 'none is linked'}",
                "docs/protocol.md §2.3",
            )
        else:
            registration = self._place(registration, attested.device_id, allowed)
        self._registry.put_registration(registration)
        return registration

    def _place(self, registration: Registration, device_id: str, allowed: Sequence[str]) -> Registration:
        """Keep the device where it is if that is allowed; a device that moves leaves no identity behind (§2.4)."""
        old_hub = registration.assigned_hub
        hub = old_hub if old_hub in allowed else _hashed(registration.registration_id, allowed)
        if (hub, device_id) != (old_hub, registration.device_id):
            if old_hub:
                self._identities.delete(old_hub, registration.device_id)
            self._take_over(hub, device_id, registration.registration_id)
        # DPS enters the leaf's thumbprint, for enrollment groups too (§2.5): a renewed leaf must come here again.
        self._identities.enter(hub, device_id, (registration.leaf_sha256,))
        through = (
            f"enrollment group '{registration.enrollment_group_id}'"
            if registration.enrollment_group_id
            else "its individual enrollment"
        )
        moved = old_hub not in ("", hub)
        left = f"; it leaves hub {old_hub}" if moved else ""
        if moved and old_hub not in self._hubs:
            left += ", which is no longer linked"
        self._events.publish(
            "registered",
            registration.registration_id,
            f"assigned to hub {hub} as '{device_id}' through {through}{left}",
            "docs/protocol.md §2.1",
            hub=hub,
        )
        return replace(
            registration,
            assigned_hub=hub,
            device_id=device_id,
            substatus="deviceDataMigrated" if moved else "initialAssignment",
        )

    def _take_over(self, hub: str, device_id: str, registration_id: str) -> None:
        """Take the identity from any other registration that has it: two enrollments may name one device id."""
        for other in self._registry.registrations_of(hub, device_id):
            self._registry.put_registration(
                replace(other, assigned_hub="", device_id="", status="unassigned", substatus="")
            )
            self._events.publish(
                "emulator",
                device_id,
                f"the identity in hub {hub} now belongs to registration '{registration_id}', was "
                f"'{other.registration_id}': two enrollments give the device id '{device_id}'",
                "docs/protocol.md §2.1",
            )


def registration_state(registration: Registration) -> dict[str, Any]:
    """A registration as DPS shows it to the device (docs/protocol.md §1.5)."""
    state: dict[str, Any] = {
        "x509": {},
        "registrationId": registration.registration_id,
        "createdDateTimeUtc": utc_text(registration.created),
    }
    if registration.status == "assigned":  # a refused device is not told where its identity may still be
        state |= {"assignedHub": registration.assigned_hub, "deviceId": registration.device_id}
    state["status"] = registration.status
    if registration.substatus:
        state["substatus"] = registration.substatus
    if registration.error_code is not None:
        state |= {"errorCode": registration.error_code, "errorMessage": registration.error_message}
    return state | {"lastUpdatedDateTimeUtc": utc_text(registration.updated), "etag": registration.etag}


def _check_body(registrant: Registrant, payload: bytes) -> None:
    """The body may be empty and need not name the device; if it does, it must be this one (docs/protocol.md §1.4)."""
    if not payload.strip():
        return
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal(
            "Invalid request body",
            "the body of the register request is not a JSON object",
            status=400,
            error_code=400004,
            section="docs/protocol.md §1.4",
        )
    if body.get("csr") is not None:
        raise Refusal(
            "Invalid request body",
            "the body asks for a certificate (csr), and this emulator issues none: register without it",
            status=400,
            error_code=400004,
            section="docs/protocol.md §6.1",
        )
    named = body.get("registrationId", registrant.registration_id)
    if not isinstance(named, str) or not same_id(named, registrant.registration_id):
        raise Refusal(
            "Invalid RegistrationId",
            f"the body names the registration id {named!r}, the username '{registrant.registration_id}'",
            status=400,
            error_code=400004,
            section="docs/protocol.md §1.4",
        )


def _operation_id() -> str:
    return f"5.{uuid.uuid4().hex[:16]}.{uuid.uuid4()}"


def _hashed(registration_id: str, hubs: Sequence[str]) -> str:
    """DPS's default allocation policy: evenly, and always the same hub for the same device (docs/protocol.md §2.3)."""
    digest = hashlib.sha256(registration_id.lower().encode()).digest()
    return hubs[int.from_bytes(digest, "big") % len(hubs)]
