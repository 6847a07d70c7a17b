"""What the emulator remembers: CA certificates, enrollments, registrations, device identities, recent telemetry.

Each kind of record is a frozen dataclass, and its fields are the columns of a table (table.py); KEY names those of its
primary key. To change a record, put a `dataclasses.replace` of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """A CA certificate uploaded to DPS (docs/protocol.md §2.6). Only a verified one can carry an enrollment group."""

    KEY: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    der: bytes
    verified: bool
    verification_code: str | None
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class EnrollmentGroup:
    """All devices whose chain leads through one of the group's certificates (docs/protocol.md §2.1).

    ca_names: uploaded CA certificates by name: primary, secondary. signing_certificates: intermediates given with the
    group itself (DER), which roll up to a verified CA. hubs: () means all linked hubs.
    """

    KEY: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    ca_names: tuple[str, ...]
    signing_certificates: tuple[bytes, ...]
    enabled: bool
    hubs: tuple[str, ...]
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class IndividualEnrollment:
    """One device, known by its leaf certificates (DER: primary, secondary). device_id None: the registration id."""

    KEY: ClassVar[tuple[str, ...]] = ("registration_id",)
    registration_id: str
    device_id: str | None
    certificates: tuple[bytes, ...]
    enabled: bool
    hubs: tuple[str, ...]
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Registration:
    """What DPS decided about a device (docs/protocol.md §1.5). Thumbprints are upper-case hex of the leaf."""

    KEY: ClassVar[tuple[str, ...]] = ("registration_id",)
    registration_id: str
    device_id: str
    assigned_hub: str
    enrollment_group_id: str | None
    status: str
    substatus: str
    error_code: int | None
    error_message: str | None
    leaf_sha1: str
    leaf_sha256: str
    created: datetime
    updated: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device as its hub knows it: SHA-256 thumbprints (upper-case hex: primary, secondary), docs/protocol.md §2.5."""

    KEY: ClassVar[tuple[str, ...]] = ("hub", "device_id")
    hub: str
    device_id: str
    generation_id: str
    enabled: bool
    thumbprints: tuple[str, ...]
    created: datetime
    updated: datetime
    authentication: str = "selfSigned"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One device-to-cloud message.

    sequence: given by `Registry.add_telemetry`; 0 before. properties: the application's, None for a key without "=".
    system: by wire name ("$.ct"), with the hub's stamps ("iothub-connection-device-id" …), docs/protocol.md §3.5.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sequence",)
    sequence: int
    hub: str
    device_id: str
    payload: bytes
    properties: dict[str, str | None]
    system: dict[str, str]
    enqueued: datetime
