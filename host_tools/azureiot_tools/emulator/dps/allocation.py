"""Which hub a device is given: DPS's allocation policies (docs/protocol.md §2.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azureiot_tools.emulator.attestation import Attested
from azureiot_tools.emulator.azure_json import enrollment_body
from azureiot_tools.emulator.dps import initial_twin
from azureiot_tools.emulator.records import EnrollmentGroup, Registration
from azureiot_tools.emulator.twin_document import BadTwin

POLICIES = ("hashed", "geoLatency", "static", "custom")
MOST_WEIGHT = 1000

Json = dict[str, Any]
# The custom policy: told what Azure sends to the webhook, it answers what the webhook would (docs/protocol.md §2.3).
Allocate = Callable[[Json], Mapping[str, Any]]


class AllocationFailed(Exception):
    """To be raised by a custom policy that answers as a webhook with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the custom allocation answers with status code {status}")
        self.status = status


class NoHub(Exception):
    """The device is given no hub. error_code, message: for the device (docs/protocol.md §1.5). reason: for a person."""

    def __init__(self, error_code: int, message: str, reason: str) -> None:
        super().__init__(reason)
        self.error_code = error_code
        self.message = message
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Allocation:
    """payload: what a custom policy says to the device. initial_twin: the custom policy's, or the enrollment's."""

    hub: str
    initial_twin: Json | None = None
    payload: Json | None = None


class Allocator:
    """hubs: the linked hubs, the nearest first. weights: of those that count for more than 1 under "hashed"; one of
    weight 0 is given to nobody whose enrollment does not name it. allocate: the custom policy, if there is one.
    """

    def __init__(self, hubs: Sequence[str], weights: Mapping[str, int], allocate: Allocate | None) -> None:
        self.hubs = hubs
        self._weights = weights
        self._allocate = allocate

    def choose(self, attested: Attested, before: Registration | None, payload: Json | None) -> Allocation:
        """The hub for a device. before: its registration so far.  payload: what the device said.  Raises NoHub."""
        enrollment = attested.enrollment
        hubs = [hub for hub in self.hubs if hub in enrollment.hubs]
        if not enrollment.hubs:
            hubs = [hub for hub in self.hubs if self._weights.get(hub, 1)]
        if not hubs:
            named = ", ".join(enrollment.hubs) or "none is linked for allocation"
            raise NoHub(
                400208,
                "No IoT hub is specified for the enrollment.",
                f"the enrollment allows no hub of this DPS: {named}",
            )
        if enrollment.allocation == "custom":
            return self._custom(attested, before, payload, hubs)
        if before and before.assigned_hub in hubs:
            hub = before.assigned_hub
        elif enrollment.allocation == "hashed":
            hub = self._hashed(attested.registration_id, hubs)
        else:  # of a static one there is only one; the lowest latency is the emulator's to say
            hub = hubs[0]
        return Allocation(hub, enrollment.initial_twin)

    def _hashed(self, registration_id: str, hubs: Sequence[str]) -> str:
        """By weight, and always the same hub for the same device."""
        shares = [hub for hub in hubs for _ in range(self._weights.get(hub, 1) or 1)]
        digest = hashlib.sha256(registration_id.lower().encode()).digest()
        return shares[int.from_bytes(digest, "big") % len(shares)]

    def _custom(
        self, attested: Attested, before: Registration | None, payload: Json | None, hubs: Sequence[str]
    ) -> Allocation:
        if self._allocate is None:
            raise _failed(
                404, "the enrollment has a custom allocation policy, and this emulator was started without one"
            )
        try:
            answer = self._allocate(_webhook_request(attested, before, payload, hubs))
        except AllocationFailed as error:
            raise _failed(error.status, str(error)) from None
        except Exception as error:  # another's code, in whose place a webhook would answer 500
            raise _failed(500, f"the custom allocation raised {type(error).__name__}: {error}") from error
        if not isinstance(answer, Mapping):
            raise _failed(200, f"the custom allocation answered with {answer!r}, which is no JSON object")
        hub, twin, said = (answer.get(name) for name in ("iotHubHostName", "initialTwin", "payload"))
        if not isinstance(hub, str) or hub not in self.hubs:
            raise NoHub(
                400209,
                "The IoT hub is not linked to this provisioning service.",
                f"the custom allocation chose the hub {hub!r}; linked are {', '.join(self.hubs)}",
            )
        for name, value in (("initialTwin", twin), ("payload", said)):
            if not isinstance(value, dict | None):
                raise _failed(200, f"the custom allocation answered with '{name}' that is neither an object nor null")
        try:
            initial_twin.check(twin or {})
        except BadTwin as error:
            raise _failed(200, f"the custom allocation's initialTwin: {error}") from None
        return Allocation(hub, attested.enrollment.initial_twin if twin is None else twin, said)


def _failed(status: int, reason: str) -> NoHub:
    return NoHub(400207, f"Custom allocation failed with status code: {status}", reason)


def _webhook_request(
    attested: Attested, before: Registration | None, payload: Json | None, hubs: Sequence[str]
) -> Json:
    enrollment = attested.enrollment
    device: Json = {"registrationId": attested.registration_id}
    if before and before.assigned_hub:
        device |= {"currentIotHubHostName": before.assigned_hub, "currentDeviceId": before.device_id}
    device["symmetricKey" if attested.keys else "x509"] = {}
    if payload is not None:
        device["payload"] = payload
    kind = "enrollmentGroup" if isinstance(enrollment, EnrollmentGroup) else "individualEnrollment"
    return {kind: enrollment_body(enrollment), "deviceRuntimeContext": device, "linkedHubs": list(hubs)}
