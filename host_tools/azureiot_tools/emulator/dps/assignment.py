"""What follows from an attestation: hub, identity, twin, and a record of it (docs/protocol.md §2.3–2.6)."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from azureiot_tools.emulator.attestation import Attested
from azureiot_tools.emulator.dps import initial_twin
from azureiot_tools.emulator.dps.allocation import Allocation, Allocator, NoHub
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.records import Registration
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.twins import Twins


class Assignments:
    """Assigns devices to hubs."""

    def __init__(
        self,
        registry: Registry,
        identities: Identities,
        twins: Twins,
        events: Events,
        now: Callable[[], datetime],
        allocator: Allocator,
    ) -> None:
        self._registry = registry
        self._identities = identities
        self._twins = twins
        self._events = events
        self._now = now
        self._allocator = allocator

    def assign(self, attested: Attested, before: Registration | None, payload: dict[str, Any] | None) -> Registration:
        """Choose the hub, write the identity into it, and keep what was decided.

        before: the registration so far.  payload: what the device said.

        A device that is refused keeps its identity where it is, if it has one (§2.6), and the record says where.
        """
        now = self._now()
        registration = Registration(
            registration_id=attested.registration_id,
            device_id=before.device_id if before else "",
            assigned_hub=before.assigned_hub if before else "",
            enrollment_group_id=attested.group_id,
            status="assigned",
            substatus="",
            error_code=None,
            error_message=None,
            leaf_sha1=attested.leaf_sha1,
            leaf_sha256=attested.leaf_sha256,
            created=before.created if before else now,
            updated=now,
            etag=base64.b64encode(f'"{uuid.uuid4()}"'.encode()).decode(),
        )
        if not attested.enabled:
            # Which answer a disabled enrollment gets over MQTT is not verified: docs/protocol.md §2.2.
            registration = replace(registration, status="disabled")
            self._refused(registration, "the enrollment is disabled", "docs/protocol.md §2.2")
        else:
            try:
                registration = self._place(registration, attested, self._choose(attested, before, payload))
            except NoHub as error:
                registration = replace(
                    registration, status="failed", error_code=error.error_code, error_message=error.message
                )
                self._refused(registration, error.reason, "docs/protocol.md §2.3")
        self._registry.put_registration(registration)
        return registration

    def _choose(self, attested: Attested, before: Registration | None, payload: dict[str, Any] | None) -> Allocation:
        """Raises NoHub."""
        enrollment = attested.enrollment
        if before and not enrollment.updates_hub and before.assigned_hub in self._allocator.hubs:
            return Allocation(before.assigned_hub, enrollment.initial_twin, before.payload)
        return self._allocator.choose(attested, before, payload)

    def _place(self, registration: Registration, attested: Attested, allocation: Allocation) -> Registration:
        """Enter the device where it belongs; one that moves leaves no identity behind (§2.4).

        What Azure calls an assignment that is repeated is not verified (§1.5): here it stays "initialAssignment",
        unless the hub had lost the device.
        """
        old_hub, old_id = registration.assigned_hub, registration.device_id
        hub, device_id = allocation.hub, attested.device_id
        stays = (hub, device_id) == (old_hub, old_id)
        if not stays:
            self._take_over(hub, device_id, registration.registration_id)
        known = stays and self._registry.device(hub, device_id) is not None
        # DPS enters the leaf's thumbprint, for enrollment groups too (§2.5): a renewed leaf must come here again.
        thumbprints = (attested.leaf_sha256,) if attested.leaf_sha256 else ()
        self._identities.enter(hub, device_id, thumbprints=thumbprints, keys=attested.keys)
        substatus = "initialAssignment"
        if stays and not known:
            substatus = "reprovisionedToInitialAssignment"
        elif old_hub not in ("", hub):
            migrates = attested.enrollment.migrates_data and device_id == old_id
            substatus = "deviceDataMigrated" if migrates else "deviceDataReset"
        if substatus == "deviceDataMigrated":
            self._twins.migrate(device_id, old_hub, hub)
        elif not known and allocation.initial_twin:
            self._twins.initialize(hub, device_id, *initial_twin.parts(allocation.initial_twin))
        if old_hub and not stays:
            self._identities.delete(old_hub, old_id)
        placed = replace(
            registration, assigned_hub=hub, device_id=device_id, substatus=substatus, payload=allocation.payload
        )
        self._tell(placed, old_hub)
        return placed

    def _tell(self, registration: Registration, old_hub: str) -> None:
        hub, group_id = registration.assigned_hub, registration.enrollment_group_id
        through = f"enrollment group '{group_id}'" if group_id else "its individual enrollment"
        left = f"; it leaves hub {old_hub}" if old_hub not in ("", hub) else ""
        if left and old_hub not in self._allocator.hubs:
            left += ", which is no longer linked"
        self._events.publish(
            "registered",
            registration.registration_id,
            f"assigned to hub {hub} as '{registration.device_id}' through {through}{left}",
            "docs/protocol.md §2.1",
            hub=hub,
        )

    def _refused(self, registration: Registration, reason: str, section: str) -> None:
        self._events.publish("refused", registration.registration_id, reason, section)

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
