"""How the emulator writes in JSON what more than one of its parts sends: as Azure does, where Azure has it."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import Any

from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.records import Telemetry


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
