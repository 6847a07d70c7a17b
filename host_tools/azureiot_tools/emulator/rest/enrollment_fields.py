"""What the JSON of an enrollment, group or individual, says: read into the fields of its record."""

from __future__ import annotations

from typing import Any

from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.dps import initial_twin
from azureiot_tools.emulator.dps.allocation import POLICIES
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.rest.request import Service, check_known, invalid, take, take_certificate, take_key
from azureiot_tools.emulator.sas import new_key
from azureiot_tools.emulator.twin_document import BadTwin

_SLOTS = ("primary", "secondary")
_FIELDS = {
    "attestation.type",
    *(f"attestation.symmetricKey.{slot}Key" for slot in _SLOTS),
    "provisioningStatus",
    "allocationPolicy",
    "iotHubs",
    "reprovisionPolicy.updateHubAssignment",
    "reprovisionPolicy.migrateDeviceData",
    "initialTwin",
    # What a client that sends back what it was shown has in it; the emulator's to say.
    "createdDateTimeUtc",
    "lastUpdatedDateTimeUtc",
    "etag",
}
_CERTIFICATE_FIELDS = {f"{slot}.{name}" for slot in _SLOTS for name in ("certificate", "info")}
_GROUP_FIELDS = {
    *_FIELDS,
    "enrollmentGroupId",
    *(f"attestation.x509.caReferences.{slot}" for slot in _SLOTS),
    *(f"attestation.x509.signingCertificates.{field}" for field in _CERTIFICATE_FIELDS),
}
_ENROLLMENT_FIELDS = {
    *_FIELDS,
    "registrationId",
    "deviceId",
    *(f"attestation.x509.clientCertificates.{field}" for field in _CERTIFICATE_FIELDS),
}


def check_group_fields(body: dict[str, Any]) -> None:
    """Refuse rather than ignore what the emulator does not know. Raises ApiError."""
    check_known(body, _GROUP_FIELDS)


def check_enrollment_fields(body: dict[str, Any]) -> None:
    """The same of an individual enrollment."""
    check_known(body, _ENROLLMENT_FIELDS)


def by_keys(body: dict[str, Any]) -> bool:
    """Whether the attestation is by symmetric keys, not by certificate. Raises ApiError."""
    kind = take(body, "attestation.type", str, "x509")
    if kind not in ("x509", "symmetricKey"):
        raise invalid(f"The emulator attests devices by x509 or symmetricKey, not by '{kind}'.")
    other = "x509" if kind == "symmetricKey" else "symmetricKey"
    if take(body, f"attestation.{other}", dict):
        raise invalid(f"The attestation's type is '{kind}', and it has '{other}'.")
    return kind == "symmetricKey"


def keys(body: dict[str, Any], old: EnrollmentGroup | IndividualEnrollment | None) -> tuple[str, ...]:
    """The primary and the secondary key: as given, else as they were, else new ones. Raises ApiError."""
    before = (*(old.keys if old else ()), None, None)
    # Those that DPS makes have 64 bytes: docs/protocol.md §1.6.
    return tuple(
        take_key(body, f"attestation.symmetricKey.{slot}Key") or known or new_key(64)
        for slot, known in zip(_SLOTS, before, strict=False)
    )


def ca_names(body: dict[str, Any], service: Service) -> tuple[str, ...]:
    """The uploaded CAs that a group refers to: none, the primary or both. Raises ApiError."""
    names = _slots(body, "attestation.x509.caReferences", str)
    for name in names:
        certificate = service.registry.certificate(name)
        if certificate is None:
            raise invalid(f"No CA certificate '{name}' is uploaded: azureiot service cert upload FILE --name {name}")
        if not certificate.verified:
            raise invalid(
                f"The CA certificate '{name}' is not verified, and an unverified CA cannot carry an enrollment "
                f"group: azureiot service cert code {name}"
            )
    return names


def certificates(body: dict[str, Any], path: str) -> tuple[Certificate, ...]:
    """The certificates under `path`: none, the primary or both. Raises ApiError."""
    given = _slots(body, path, dict)
    return tuple(take_certificate(body, f"{path}.{slot}.certificate") for slot, _ in zip(_SLOTS, given, strict=False))


def common_fields(body: dict[str, Any], service: Service) -> dict[str, Any]:
    """What groups and individual enrollments have alike, but for the attestation and the dates. Raises ApiError."""
    status = take(body, "provisioningStatus", str, "enabled")
    if status not in ("enabled", "disabled"):
        raise invalid(f"provisioningStatus must be 'enabled' or 'disabled', not '{status}'.")
    hubs = _hubs(body, service)
    return {
        "enabled": status == "enabled",
        "hubs": hubs,
        "allocation": _allocation(body, hubs, service),
        "updates_hub": take(body, "reprovisionPolicy.updateHubAssignment", bool, True),
        "migrates_data": take(body, "reprovisionPolicy.migrateDeviceData", bool, True),
        "initial_twin": _initial_twin(body),
    }


def _hubs(body: dict[str, Any], service: Service) -> tuple[str, ...]:
    hubs: list[Any] = take(body, "iotHubs", list, [])
    for hub in hubs:
        if hub not in service.hubs:
            raise invalid(f"'{hub}' in iotHubs is not linked; linked are: {', '.join(service.hubs)}.")
    return tuple(hubs)


def _allocation(body: dict[str, Any], hubs: tuple[str, ...], service: Service) -> str:
    """docs/protocol.md §2.3."""
    policy = take(body, "allocationPolicy", str, "hashed")
    if policy not in POLICIES:
        raise invalid(f"allocationPolicy must be one of {', '.join(POLICIES)}, not '{policy}'.")
    if policy == "static" and len(hubs) != 1:
        raise invalid("The allocation policy 'static' needs exactly one hub in iotHubs.")
    if policy == "custom" and not service.allocates:
        raise invalid(
            "This emulator was started without a custom allocation policy, which is Python's to give: "
            "EmulatorOptions(allocate=…)."
        )
    return policy


def _initial_twin(body: dict[str, Any]) -> dict[str, Any] | None:
    twin: dict[str, Any] | None = take(body, "initialTwin", dict)
    try:
        initial_twin.check(twin or {})
    except BadTwin as error:
        raise invalid(f"initialTwin: {error}.") from None
    return twin


def _slots(body: dict[str, Any], path: str, kind: type) -> tuple[Any, ...]:
    primary, secondary = (take(body, f"{path}.{slot}", kind) for slot in _SLOTS)
    if primary is None and secondary is not None:
        raise invalid(f"'{path}.primary' is missing.")
    return tuple(value for value in (primary, secondary) if value is not None)
