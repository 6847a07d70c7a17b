"""What the commands rely on in the service API's answers, so that another server's JSON is told apart at once."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any

# A shape is a type, a text, a list of one shape, a dict of names that must be there, {str: shape} for any names, or a
# tuple of alternatives.
Shape = type | UnionType | str | list[Any] | dict[Any, Any] | tuple[Any, ...]

_TEXT = str | None

CERTIFICATE: Shape = {"name": str, "properties": {"subject": str, "thumbprint": str, "expiry": str, "isVerified": bool}}
CERTIFICATES: Shape = {"value": [CERTIFICATE]}
VERIFICATION_CODE: Shape = {"properties": {"verificationCode": str}}

_THUMBPRINTS = {str: {"info": {"sha256Thumbprint": str}}}
_BY_KEYS = {"type": "symmetricKey"}
GROUP: Shape = {
    "enrollmentGroupId": str,
    "provisioningStatus": str,
    "attestation": (_BY_KEYS, {"x509": ({"caReferences": {str: str}}, {"signingCertificates": _THUMBPRINTS})}),
}
ENROLLMENT: Shape = {
    "registrationId": str,
    "provisioningStatus": str,
    "attestation": (_BY_KEYS, {"x509": {"clientCertificates": _THUMBPRINTS}}),
}
ATTESTATION: Shape = ({**_BY_KEYS, "symmetricKey": {"primaryKey": str, "secondaryKey": str}}, {"type": "x509"})
_REGISTRATION = {
    "registrationId": str,
    "status": str,
    "assignedHub": _TEXT,
    "deviceId": _TEXT,
    "lastUpdatedDateTimeUtc": str,
}
REGISTRATION: Shape = (
    {**_REGISTRATION, "x509": {"enrollmentGroupId": _TEXT}},
    {**_REGISTRATION, "symmetricKey": {"enrollmentGroupId": _TEXT}},
)
DEVICE: Shape = {
    "deviceId": str,
    "hub": str,
    "status": str,
    "etag": str,
    "authentication": {"x509Thumbprint": {"primaryThumbprint": _TEXT}},
}
TWIN: Shape = {
    "deviceId": str,
    "hub": str,
    "connectionState": str,
    "cloudToDeviceMessageCount": int,
    "tags": dict,
    "properties": {"desired": {"$version": int}, "reported": {"$version": int}},
}
METHOD_ANSWER: Shape = {"status": int}
SENT_MESSAGE: Shape = {"deviceId": str, "sequence": int, "messageId": _TEXT, "expiryTimeUtc": str}
TELEMETRY: Shape = {
    "enqueuedTimeUtc": str,
    "deviceId": str,
    "payload": str,
    "payloadEncoding": str,
    "properties": {str: _TEXT},
    "system": {str: str},
}
STORED_TELEMETRY: Shape = {"sequence": int}
EVENT: Shape = {"timeUtc": str, "kind": str, "deviceId": _TEXT, "text": str, "section": _TEXT, "detail": dict}
NOTHING: Shape = NoneType
ERROR: Shape = {"errorCode": int, "message": str}


def fits(value: Any, shape: Shape) -> bool:
    """Whether JSON has the shape; what it has besides does not matter."""
    match shape:
        case dict() if str in shape:
            return isinstance(value, dict) and all(fits(one, shape[str]) for one in value.values())
        case dict():
            return isinstance(value, dict) and all(
                name in value and fits(value[name], part) for name, part in shape.items()
            )
        case list():
            return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
        case str():
            return value == shape
        case tuple():
            return any(fits(value, one) for one in shape)
        case _:
            return isinstance(value, shape)
