"""The devices' twins, and the one way in which device, service and DPS change them (docs/protocol.md §3.8)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.records import Twin
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.twin_document import Json, check_patch, check_size, merged, stamped

MAX_TAGS_BYTES = 8 * 1024
MAX_PROPERTIES_BYTES = 32 * 1024

# Told the device's id, the change of its desired properties, and their new version.
Desired = Callable[[str, Json, int], None]


class Twins:
    """The twins of all hubs, kept in the registry; of devices whose identity the caller has seen. Belongs to the loop.

    Every change raises BadTwin, and changes nothing, for what no twin takes.
    """

    def __init__(self, registry: Registry, events: Events, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._events = events
        self._now = now
        self._watchers: dict[str, Desired] = {}

    def watch(self, hub: str, desired: Desired) -> None:
        """Tell `desired` of every change of desired properties at this hub, once it is kept."""
        self._watchers[hub] = desired

    def get(self, hub: str, device_id: str) -> Twin:
        """A device's twin, which is an empty one before the first change."""
        return self._registry.twin(hub, device_id) or Twin.new(hub, device_id)

    def report(self, hub: str, device_id: str, patch: Json) -> Twin:
        """The device patches its reported properties."""
        check_patch(patch)
        twin = self.get(hub, device_id)
        reported = merged(twin.reported, patch)
        check_size("reported properties", reported, MAX_PROPERTIES_BYTES)
        twin = dataclasses.replace(
            twin,
            version=twin.version + 1,
            reported=reported,
            reported_version=twin.reported_version + 1,
            reported_metadata=stamped(twin.reported_metadata, patch, self._stamp()),
        )
        self._registry.put_twin(twin)
        self._tell(twin, "reported", twin.reported_version, patch)
        return twin

    def patch(self, hub: str, device_id: str, tags: Json | None, desired: Json | None) -> Twin:
        """The service patches tags, desired properties or both; None leaves them alone."""
        _check(tags, desired)
        twin = self.get(hub, device_id)
        if desired is not None:
            version = twin.desired_version + 1
            twin = dataclasses.replace(
                twin,
                desired=merged(twin.desired, desired),
                desired_version=version,
                desired_metadata=stamped(twin.desired_metadata, desired, self._stamp(version)),
            )
        if tags is not None:
            twin = dataclasses.replace(twin, tags=merged(twin.tags, tags))
        return self._changed(twin, tags, desired)

    def replace(self, hub: str, device_id: str, tags: Json, desired: Json) -> Twin:
        """The service writes tags and desired properties anew."""
        _check(tags, desired)
        twin = self.get(hub, device_id)
        version = twin.desired_version + 1
        twin = dataclasses.replace(
            twin,
            tags=merged({}, tags),
            desired=merged({}, desired),
            desired_version=version,
            desired_metadata=stamped({}, desired, self._stamp(version)),
        )
        return self._changed(twin, tags, desired)

    def initialize(self, hub: str, device_id: str, tags: Json, desired: Json) -> Twin:
        """DPS writes the twin of a device that it assigns: nothing of an older twin is left (docs/protocol.md §2.4)."""
        _check(tags, desired)
        twin = Twin.new(hub, device_id)
        metadata = stamped({}, desired, self._stamp(twin.desired_version)) if desired else twin.desired_metadata
        twin = dataclasses.replace(
            twin,
            version=twin.version - 1,  # what is written is the first version
            tags=merged({}, tags),
            desired=merged({}, desired),
            desired_metadata=metadata,
        )
        return self._changed(twin, tags, desired)

    def migrate(self, device_id: str, from_hub: str, to_hub: str) -> None:
        """DPS moves a device with its data (docs/protocol.md §2.4); before it deletes the identity at the old hub."""
        twin = self._registry.twin(from_hub, device_id)
        if twin is not None:
            self._registry.put_twin(dataclasses.replace(twin, hub=to_hub))

    def _changed(self, twin: Twin, tags: Json | None, desired: Json | None) -> Twin:
        """Keep what the service has changed, and tell of it."""
        check_size("tags", twin.tags, MAX_TAGS_BYTES)
        check_size("desired properties", twin.desired, MAX_PROPERTIES_BYTES)
        twin = dataclasses.replace(twin, version=twin.version + 1)
        self._registry.put_twin(twin)
        if tags is not None:
            self._tell(twin, "tags", twin.version, tags)
        if desired is not None:
            self._tell(twin, "desired", twin.desired_version, desired)
            # A hub that is no longer linked keeps its twins, and has no connections.
            if twin.hub in self._watchers:
                self._watchers[twin.hub](twin.device_id, desired, twin.desired_version)
        return twin

    def _stamp(self, version: int | None = None) -> Json:
        """Only desired properties say in their metadata which version was the last to touch them."""
        stamp: Json = {"$lastUpdated": utc_text(self._now())}
        return stamp if version is None else stamp | {"$lastUpdatedVersion": version}

    def _tell(self, twin: Twin, part: str, version: int, patch: Json) -> None:
        text = json.dumps(patch)
        shown = text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"
        self._events.publish(
            "twin",
            twin.device_id,
            f"{part} is now version {version}: {shown}",
            "",
            hub=twin.hub,
            part=part,
            version=version,
            patch=patch,
        )


def _check(tags: Json | None, desired: Json | None) -> None:
    check_patch(tags or {})
    check_patch(desired or {})
