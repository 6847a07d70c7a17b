"""The hubs' device identities, and the one way in which they change: a hub must act on each change at once.

DPS and the service API change identities here, never in the registry itself: a device that was disabled or deleted
loses its connection (docs/protocol.md §3.9).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.registry import Registry

# Told the device's id, and what its identity is now: None when it was deleted.
Changed = Callable[[str, DeviceIdentity | None], None]


class Identities:
    """The identities of all hubs, linked or not; they are kept in the registry. Belongs to the emulator's loop."""

    def __init__(self, registry: Registry, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._now = now
        self._watchers: dict[str, Changed] = {}

    def watch(self, hub: str, changed: Changed) -> None:
        """Tell `changed` of every change of this hub's identities, once it is kept."""
        self._watchers[hub] = changed

    def enter(
        self,
        hub: str,
        device_id: str,
        *,
        thumbprints: tuple[str, ...] = (),
        keys: tuple[str, ...] = (),
        enabled: bool | None = None,
    ) -> DeviceIdentity:
        """Give a device these thumbprints (SHA-256, upper-case hex) or keys (sas.py), making its identity if need be.

        enabled: None leaves it as it is; a new identity is enabled.
        """
        now = self._now()
        known = self._registry.device(hub, device_id) or DeviceIdentity(
            hub=hub,
            device_id=device_id,
            generation_id=str(secrets.randbits(60)),
            enabled=True,
            thumbprints=(),
            created=now,
            updated=now,
        )
        identity = replace(
            known,
            thumbprints=thumbprints,
            enabled=known.enabled if enabled is None else enabled,
            authentication="sas" if keys else "selfSigned",
            keys=keys,
            updated=now,
        )
        self._registry.put_device(identity)
        self._tell(hub, device_id, identity)
        return identity

    def delete(self, hub: str, device_id: str) -> None:
        """Remove a device's identity, if there is one."""
        self._registry.delete_device(hub, device_id)
        self._tell(hub, device_id, None)

    def _tell(self, hub: str, device_id: str, identity: DeviceIdentity | None) -> None:
        if hub in self._watchers:  # a hub that is no longer linked keeps its identities, and has no connections
            self._watchers[hub](device_id, identity)
