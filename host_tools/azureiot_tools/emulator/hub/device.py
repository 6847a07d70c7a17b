"""A device that a hub has let in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from azureiot_tools.emulator.records import DeviceIdentity


@dataclass(frozen=True, slots=True)
class ConnectedDevice:
    """A device that has been let in.

    model_id: its Plug and Play model, api_version: the version of the API that it wants; both as its username says.
    until: when its SAS token ends the connection, None for one with a certificate.
    """

    identity: DeviceIdentity
    model_id: str | None
    api_version: str | None
    until: datetime | None = None
