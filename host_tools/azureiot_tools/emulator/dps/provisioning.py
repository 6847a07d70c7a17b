"""What a device may ask of DPS, in whatever protocol: to be registered, and how that went (docs/protocol.md §1, §2).

Credentials are judged when the device registers, never before (§1.2).
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from azureiot_tools.emulator import attestation
from azureiot_tools.emulator.attestation import Attested, Refusal
from azureiot_tools.emulator.azure_json import error_body, registration_state
from azureiot_tools.emulator.dps.assignment import Assignments
from azureiot_tools.emulator.dps.rate_limit import DpsLimits, RateLimit
from azureiot_tools.emulator.dps.request_body import read_payload
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.ids import is_registration_id, same_id
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import SasRules

# Answers are kept for devices that have yet to poll; one that waits longer than for this many others registers again.
MAX_OPERATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Registrant:
    """A device that wants something of DPS; nothing of it has been checked.

    chain: DER, leaf first.  password: a SAS token, or b"".
    """

    id_scope: str
    registration_id: str
    chain: tuple[bytes, ...]
    password: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """status: as HTTP has it.  retry_after_s: None when there is nothing to wait for."""

    status: int
    body: dict[str, Any]
    retry_after_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DpsRules:
    """How this DPS answers.

    retry_after_s: what an "assigning" answer tells the device to wait.  assigning_steps: how many such answers precede
    the assignment; 0 answers the register itself.  refuses_disabled: whether a device whose enrollment is disabled gets
    a 401, and not the status "disabled" (which of them Azure gives is not verified: docs/protocol.md §2.2).
    """

    retry_after_s: int = 3
    assigning_steps: int = 1
    refuses_disabled: bool = False
    limits: DpsLimits = field(default_factory=DpsLimits)
    sas: SasRules = field(default_factory=SasRules)


@dataclass(slots=True)
class _Operation:
    """A registration under way: `steps_left` more answers say "assigning" before `answer` is given."""

    id: str
    registrant: Registrant
    steps_left: int
    answer: dict[str, Any]


class Provisioning:
    """One DPS instance. Belongs to the emulator's loop."""

    def __init__(
        self,
        registry: Registry,
        assignments: Assignments,
        events: Events,
        now: Callable[[], datetime],
        id_scope: str,
        rules: DpsRules,
    ) -> None:
        self.id_scope = id_scope
        self._registry = registry
        self._assignments = assignments
        self._events = events
        self._now = now
        self._rules = rules
        self._operations: OrderedDict[str, _Operation] = OrderedDict()
        limits, minute = rules.limits, timedelta(minutes=1)
        self._registrations_taken = RateLimit(limits.registrations_per_minute, minute, now)
        self._operations_taken = RateLimit(limits.operations_per_minute, minute, now)
        self._polls_taken = RateLimit(limits.polls_per_10_s, timedelta(seconds=10), now)

    def register(self, registrant: Registrant, body: bytes) -> Answer:
        """Assign the device to a hub: "assigning" with an operation to poll, or the outcome at once."""
        return self._answer(registrant, lambda: self._register(registrant, body))

    def poll(self, registrant: Registrant, operation_id: str) -> Answer:
        """How a registration goes."""
        return self._answer(registrant, lambda: self._poll(registrant, operation_id))

    def look_up(self, registrant: Registrant) -> Answer:
        """The device's registration as it was decided last; HTTPS alone has this (docs/protocol.md §1.7)."""
        return self._answer(registrant, lambda: self._look_up(registrant))

    def _answer(self, registrant: Registrant, act: Callable[[], Answer]) -> Answer:
        try:
            self._check_rate(self._operations_taken.take(), "requests")
            return act()
        except Refusal as refusal:
            self._events.publish(
                "refused",
                registrant.registration_id,
                f'{refusal.error_code} "{refusal.message}": {refusal.reason}',
                refusal.section,
            )
            body = error_body(refusal.error_code, refusal.message, self._now())
            return Answer(refusal.status, body, refusal.retry_after_s)

    def _register(self, registrant: Registrant, body: bytes) -> Answer:
        self._check_rate(self._registrations_taken.take(), "registrations")
        self._check_id_scope(registrant)
        self._check_registration_id(registrant)
        payload = read_payload(registrant.registration_id, body)
        attested = self._attest(registrant)
        # An id is the same in any case (§1.2): the device keeps the spelling, and so the identity, it first came with.
        before = self._registry.registration(attested.registration_id)
        if before is not None:
            named = {} if attested.group_id is None else {"device_id": before.registration_id}
            attested = replace(attested, registration_id=before.registration_id, **named)
        registration = self._assignments.assign(attested, before, payload)
        operation = _Operation(_operation_id(), registrant, self._rules.assigning_steps, {})
        operation.answer = {
            "operationId": operation.id,
            "status": registration.status,
            "registrationState": registration_state(registration),
        }
        self._operations[operation.id] = operation
        if len(self._operations) > MAX_OPERATIONS:
            self._operations.popitem(last=False)
        return self._step(operation)

    def _poll(self, registrant: Registrant, operation_id: str) -> Answer:
        self._check_rate(self._polls_taken.take(registrant.registration_id.lower()), "polls of this device")
        operation = self._operations.get(operation_id)
        if operation is None or not same_id(operation.registrant.registration_id, registrant.registration_id):
            raise Refusal(
                "Operation not found",
                f"'{registrant.registration_id}' has no operation '{operation_id}'; "
                "the emulator may have been restarted since: register again",
                status=404,
                error_code=404202,
                section="docs/protocol.md §1.5",
            )
        if operation.registrant != registrant:  # it shows something else than it registered with, a newer token perhaps
            self._check_id_scope(registrant)
            self._attest(registrant)
        return self._step(operation)

    def _look_up(self, registrant: Registrant) -> Answer:
        self._check_id_scope(registrant)
        self._check_registration_id(registrant)
        registration = self._registry.registration(self._attest(registrant).registration_id)
        if registration is None:
            raise Refusal(
                "Registration not found",
                f"'{registrant.registration_id}' has not registered",
                status=404,
                error_code=404202,
                section="docs/protocol.md §1.5",
            )
        return Answer(200, registration_state(registration))

    def _step(self, operation: _Operation) -> Answer:
        if operation.steps_left > 0:
            operation.steps_left -= 1
            body = {"operationId": operation.id, "status": "assigning"}
            return Answer(202, body, self._rules.retry_after_s)
        return Answer(200, operation.answer)

    def _attest(self, registrant: Registrant) -> Attested:
        attested = attestation.attest(
            self._registry,
            registrant.registration_id,
            registrant.chain,
            self._now(),
            password=registrant.password,
            id_scope=registrant.id_scope,
            rules=self._rules.sas,
        )
        if self._rules.refuses_disabled and not attested.enabled:
            raise Refusal(attestation.UNAUTHORIZED, "The enrollment is disabled.", section="docs/protocol.md §2.2")
        return attested

    def _check_id_scope(self, registrant: Registrant) -> None:
        if registrant.id_scope != self.id_scope:
            # What DPS answers to an id scope that it does not know is not verified: docs/protocol.md §9.1.
            raise Refusal(
                attestation.UNAUTHORIZED,
                f"the id scope '{registrant.id_scope}' is unknown; this DPS has '{self.id_scope}'",
                section="docs/protocol.md §9.1",
            )

    def _check_registration_id(self, registrant: Registrant) -> None:
        if not is_registration_id(registrant.registration_id):
            raise Refusal(
                "Invalid RegistrationId",
                f"'{registrant.registration_id}' cannot be a registration id",
                status=400,
                error_code=400004,
                section="docs/protocol.md §1.2",
            )

    def _check_rate(self, wait_s: int, what: str) -> None:
        if wait_s:
            raise Refusal(
                "Throttled",
                f"there are too many {what}; there is room again in {wait_s} s",
                status=429,
                error_code=429001,
                section="docs/protocol.md §1.3",
                retry_after_s=wait_s,
            )


def _operation_id() -> str:
    return f"5.{uuid.uuid4().hex[:16]}.{uuid.uuid4()}"
