"""How the emulator writes in JSON what more than one of its parts sends: as Azure does, where Azure has it."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment, Registration, Telemetry


def utc_text(time: datetime) -> str:
    """`time` as Azure writes it: UTC, seven fractional digits, Z (docs/protocol.md §1.5)."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def error_body(code: int, message: str, now: datetime) -> dict[str, Any]:
    """`ProvisioningServiceErrorDetails` (docs/protocol.md §1.5)."""
    return {"errorCode": code, "trackingId": str(uuid.uuid4()), "message": message, "timestampUtc": utc_text(now)}


def certificate_info(certificate: Certificate) -> dict[str, str | int]:
    """`X509CertificateInfo` (docs/protocol.md §1.5)."""
    return {
        "subjectName": certificate.name,
        "issuerName": certificate.issuer_name,
        "sha1Thumbprint": certificate.sha1,
        "sha256Thumbprint": certificate.sha256,
        "notBeforeUtc": utc_text(certificate.starts),
        "notAfterUtc": utc_text(certificate.ends),
        "serialNumber": f"{certificate.x509.serial_number:X}",
        "version": certificate.x509.version.value + 1,
    }


def registration_state(registration: Registration) -> dict[str, Any]:
    """`DeviceRegistrationResult`: a registration as DPS shows it to the device (docs/protocol.md §1.5)."""
    group = {"enrollmentGroupId": registration.enrollment_group_id} if registration.enrollment_group_id else {}
    state: dict[str, Any] = {
        **({"x509": {}} if registration.leaf_sha256 else {"symmetricKey": group}),
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
    if registration.payload is not None:
        state["payload"] = registration.payload
    return state | {"lastUpdatedDateTimeUtc": utc_text(registration.updated), "etag": registration.etag}


def enrollment_body(record: EnrollmentGroup | IndividualEnrollment) -> dict[str, Any]:
    """`EnrollmentGroup` or `IndividualEnrollment`, without its symmetric keys."""
    if isinstance(record, EnrollmentGroup):
        who: dict[str, Any] = {"enrollmentGroupId": record.id}
    else:
        who = {"registrationId": record.registration_id, "deviceId": record.device_id}
    return {
        **who,
        "attestation": {"type": "symmetricKey"} if record.keys else {"type": "x509", "x509": _x509(record)},
        "provisioningStatus": "enabled" if record.enabled else "disabled",
        "reprovisionPolicy": {"updateHubAssignment": record.updates_hub, "migrateDeviceData": record.migrates_data},
        "allocationPolicy": record.allocation,
        "iotHubs": list(record.hubs),
        "initialTwin": record.initial_twin,
        "createdDateTimeUtc": utc_text(record.created),
        "lastUpdatedDateTimeUtc": utc_text(record.updated),
    }


def _x509(record: EnrollmentGroup | IndividualEnrollment) -> dict[str, Any]:
    slots = ("primary", "secondary")
    if isinstance(record, EnrollmentGroup) and record.ca_names:
        return {"caReferences": dict(zip(slots, record.ca_names, strict=False))}
    kind, certificates = (
        ("signingCertificates", record.signing_certificates)
        if isinstance(record, EnrollmentGroup)
        else ("clientCertificates", record.certificates)
    )
    shown = ({"info": certificate_info(Certificate.read(der))} for der in certificates)
    return {kind: dict(zip(slots, shown, strict=False))}


def telemetry_body(message: Telemetry) -> dict[str, Any]:
    """A message as the service API, the event stream and `azureiot monitor` show it.

    payload is text, or base64 where it is not UTF-8 (payloadEncoding says which). properties are the application's,
    system the system's and the hub's stamps: apart, so that a device cannot forge a stamp. sequence is missing before
    the message is stored.
    """
    try:
        payload, encoding = message.payload.decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(message.payload).decode(), "base64"
    return {
        **({"sequence": message.sequence} if message.sequence else {}),
        "hub": message.hub,
        "deviceId": message.device_id,
        "payload": payload,
        "payloadEncoding": encoding,
        "properties": message.properties,
        "system": message.system,
        "enqueuedTimeUtc": utc_text(message.enqueued),
    }


def read_json(text: str | bytes) -> Any:
    """The value that a client sent. Raises ValueError for all that is not JSON; Python's own reader takes NaN."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
