"""What the emulator remembers: of DPS, of the hubs' devices, and of messages in either direction.

Each kind of record is a frozen dataclass, and its fields are the columns of a table (table.py); KEY names those of its
primary key. To change a record, put a `dataclasses.replace` of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar


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
    """All devices whose chain leads through one of the group's certificates, or whose key is derived from one of its
    keys (docs/protocol.md §2.1).

    ca_names: uploaded CA certificates by name: primary, secondary. signing_certificates: intermediates given with the
    group itself (DER), which roll up to a verified CA. keys: symmetric ones (sas.py): primary, secondary; () for X.509.
    hubs: () means all linked hubs. allocation: "hashed", "geoLatency", "static" or "custom" (§2.3).
    updates_hub, migrates_data: the reprovisioning policy (§2.4).
    initial_twin: {"tags": …, "properties": {"desired": …}}.
    """

    KEY: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    ca_names: tuple[str, ...]
    signing_certificates: tuple[bytes, ...]
    enabled: bool
    hubs: tuple[str, ...]
    created: datetime
    updated: datetime
    allocation: str = "hashed"
    updates_hub: bool = True
    migrates_data: bool = True
    initial_twin: dict[str, Any] | None = None
    keys: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class IndividualEnrollment:
    """One device, known by its leaf certificates (DER: primary, secondary) or by its keys.

    device_id None: the registration id. The rest is as in `EnrollmentGroup`.
    """

    KEY: ClassVar[tuple[str, ...]] = ("registration_id",)
    registration_id: str
    device_id: str | None
    certificates: tuple[bytes, ...]
    enabled: bool
    hubs: tuple[str, ...]
    created: datetime
    updated: datetime
    allocation: str = "hashed"
    updates_hub: bool = True
    migrates_data: bool = True
    initial_twin: dict[str, Any] | None = None
    keys: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Registration:
    """What DPS decided about a device (docs/protocol.md §1.5).

    leaf_sha1, leaf_sha256: thumbprints of its leaf, upper-case hex; "" for a device that has symmetric keys.
    payload: what a custom allocation says to the device.
    """

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
    payload: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device as its hub knows it (docs/protocol.md §2.5).

    authentication: "selfSigned", by thumbprints (SHA-256, upper-case hex: primary, secondary), or "sas", by keys
    (sas.py: primary, secondary).
    """

    KEY: ClassVar[tuple[str, ...]] = ("hub", "device_id")
    hub: str
    device_id: str
    generation_id: str
    enabled: bool
    thumbprints: tuple[str, ...]
    created: datetime
    updated: datetime
    authentication: str = "selfSigned"
    keys: tuple[str, ...] = field(default=(), repr=False)


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


@dataclass(frozen=True, slots=True)
class Twin:
    """A device's twin (docs/protocol.md §3.8). A device without one has `Twin.new`.

    version counts every change, the other two those of their part. The metadata is what stands under "$metadata".
    """

    KEY: ClassVar[tuple[str, ...]] = ("hub", "device_id")
    hub: str
    device_id: str
    version: int
    tags: dict[str, Any]
    desired: dict[str, Any]
    desired_version: int
    desired_metadata: dict[str, Any]
    reported: dict[str, Any]
    reported_version: int
    reported_metadata: dict[str, Any]

    @classmethod
    def new(cls, hub: str, device_id: str) -> Twin:
        never = {"$lastUpdated": "0001-01-01T00:00:00Z"}
        return cls(hub, device_id, 2, {}, {}, 1, never, {}, 1, never)


@dataclass(frozen=True, slots=True)
class CloudMessage:
    """A cloud-to-device message that waits in its device's queue (docs/protocol.md §3.6).

    sequence: given by `Registry.add_message`; 0 before. properties: the application's. system: by wire name ("$.mid").
    ack: of which ends the sender wants to hear: none, positive, negative or full. delivery_count: how often a
    connection ended before the device had acknowledged the message.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sequence",)
    sequence: int
    hub: str
    device_id: str
    payload: bytes
    properties: dict[str, str | None]
    system: dict[str, str]
    ack: str
    enqueued: datetime
    expires: datetime
    delivery_count: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of a cloud-to-device message whose sender wants to know (docs/protocol.md §3.6).

    sequence: given by `Registry.add_feedback`; 0 before.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sequence",)
    sequence: int
    hub: str
    device_id: str
    generation_id: str
    message_id: str
    status: str
    description: str
    time: datetime


@dataclass(frozen=True, slots=True)
class KeptSession:
    """The MQTT session of a device that connects with clean session 0 (docs/protocol.md §3.1): filter → granted QoS."""

    KEY: ClassVar[tuple[str, ...]] = ("hub", "device_id")
    hub: str
    device_id: str
    subscriptions: dict[str, int]
