"""A device that a hub has let in."""

from __future__ import annotations

from dataclasses import dataclass

from azureiot_tools.emulator.records import DeviceIdentity


@dataclass(frozen=True, slots=True)
class ConnectedDevice:
    """A device that has been let in. model_id: its Plug and Play model, as announced in the username."""

    identity: DeviceIdentity
    model_id: str | None
