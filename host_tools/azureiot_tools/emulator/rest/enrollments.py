"""/enrollmentGroups and /enrollments: who may provision (docs/protocol.md §2.1)."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.azure_json import certificate_info, utc_text
from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.rest.request import (
    ApiError,
    Service,
    check_id,
    check_if_match,
    check_known,
    etag,
    invalid,
    json_object,
    require_same,
    service_of,
    take,
    take_certificate,
)

MOST_GROUPS = 100  # docs/protocol.md §2.6

_FIELDS = {"attestation.type", "provisioningStatus", "allocationPolicy", "iotHubs"}
# What a client that sends back what it was shown has in it; the emulator's to say.
_FIELDS |= {"createdDateTimeUtc", "lastUpdatedDateTimeUtc", "etag"}
_CERTIFICATE_FIELDS = {f"{slot}.{name}" for slot in ("primary", "secondary") for name in ("certificate", "info")}
_GROUP_FIELDS = {
    *_FIELDS,
    "enrollmentGroupId",
    "attestation.x509.caReferences.primary",
    "attestation.x509.caReferences.secondary",
    *(f"attestation.x509.signingCertificates.{field}" for field in _CERTIFICATE_FIELDS),
}
_ENROLLMENT_FIELDS = {
    *_FIELDS,
    "registrationId",
    "deviceId",
    *(f"attestation.x509.clientCertificates.{field}" for field in _CERTIFICATE_FIELDS),
}

routes = web.RouteTableDef()


@routes.post("/enrollmentGroups/query")
async def query_groups(request: web.Request) -> web.Response:
    await _check_query(request, "enrollmentGroups")
    return web.json_response([_group_shown(group) for group in service_of(request).registry.groups()])


@routes.put("/enrollmentGroups/{id}")
async def put_group(request: web.Request) -> web.Response:
    service = service_of(request)
    id = check_id("group id", request.match_info["id"])
    body = await json_object(request)
    require_same(body, "enrollmentGroupId", id)
    _check_unsupported(body)
    check_known(body, _GROUP_FIELDS)
    names = _slots(body, "attestation.x509.caReferences")
    signing = _certificates(body, "attestation.x509.signingCertificates")
    if bool(names) == bool(signing):
        raise invalid(
            "An enrollment group needs attestation.x509.caReferences (names of uploaded CAs) or "
            "attestation.x509.signingCertificates, and not both."
        )
    for name in names:
        _check_ca(service, name)
    for certificate in signing:
        if not certificate.is_ca:
            raise invalid(f"'{certificate.name}' is not a CA certificate.")
    old = service.registry.group(id)
    check_if_match(request, old)
    if old is None and len(service.registry.groups()) >= MOST_GROUPS:
        raise ApiError(403002, f"DPS holds {MOST_GROUPS} X.509 enrollment groups at most. Delete one first.")
    now = service.now()
    group = EnrollmentGroup(
        id,
        names,
        tuple(certificate.der for certificate in signing),
        _enabled(body),
        _hubs(body, service),
        old.created if old else now,
        now,
    )
    service.registry.put_group(group)
    return web.json_response(_group_shown(group))


@routes.get("/enrollmentGroups/{id}")
async def get_group(request: web.Request) -> web.Response:
    return web.json_response(_group_shown(group_named(request, request.match_info["id"])))


@routes.delete("/enrollmentGroups/{id}")
async def delete_group(request: web.Request) -> web.Response:
    group = group_named(request, request.match_info["id"])
    check_if_match(request, group)
    service_of(request).registry.delete_group(group.id)
    return web.Response(status=204)


@routes.post("/enrollments/query")
async def query_enrollments(request: web.Request) -> web.Response:
    await _check_query(request, "enrollments")
    return web.json_response([_enrollment_shown(one) for one in service_of(request).registry.enrollments()])


@routes.put("/enrollments/{id}")
async def put_enrollment(request: web.Request) -> web.Response:
    service = service_of(request)
    id = check_id("registration id", request.match_info["id"])
    body = await json_object(request)
    require_same(body, "registrationId", id)
    _check_unsupported(body)
    check_known(body, _ENROLLMENT_FIELDS)
    leaves = _certificates(body, "attestation.x509.clientCertificates")
    if not leaves:
        raise invalid("An individual enrollment needs attestation.x509.clientCertificates.primary.certificate.")
    for leaf in leaves:
        if len(leaf.common_names) != 1 or not same_id(leaf.common_names[0], id):
            raise invalid(f"The common name of '{leaf.name}' must be the registration id '{id}'.")
    device_id: str | None = take(body, "deviceId", str)
    if device_id is not None:
        check_id("device id", device_id)
    old = service.registry.enrollment(id)
    check_if_match(request, old)
    now = service.now()
    enrollment = IndividualEnrollment(
        id,
        device_id,
        tuple(leaf.der for leaf in leaves),
        _enabled(body),
        _hubs(body, service),
        old.created if old else now,
        now,
    )
    service.registry.put_enrollment(enrollment)
    return web.json_response(_enrollment_shown(enrollment))


@routes.get("/enrollments/{id}")
async def get_enrollment(request: web.Request) -> web.Response:
    return web.json_response(_enrollment_shown(_enrollment_named(request)))


@routes.delete("/enrollments/{id}")
async def delete_enrollment(request: web.Request) -> web.Response:
    enrollment = _enrollment_named(request)
    check_if_match(request, enrollment)
    service_of(request).registry.delete_enrollment(enrollment.registration_id)
    return web.Response(status=204)


def group_named(request: web.Request, id: str) -> EnrollmentGroup:
    """Raises ApiError when there is none."""
    group = service_of(request).registry.group(id)
    if group is None:
        raise ApiError(404201, f"There is no enrollment group '{id}'.")
    return group


def _enrollment_named(request: web.Request) -> IndividualEnrollment:
    id = request.match_info["id"]
    enrollment = service_of(request).registry.enrollment(id)
    if enrollment is None:
        raise ApiError(404201, f"There is no individual enrollment '{id}'.")
    return enrollment


def _check_ca(service: Service, name: str) -> None:
    certificate = service.registry.certificate(name)
    if certificate is None:
        raise invalid(f"No CA certificate '{name}' is uploaded: azureiot service cert upload FILE --name {name}")
    if not certificate.verified:
        raise invalid(
            f"The CA certificate '{name}' is not verified, and an unverified CA cannot carry an enrollment "
            f"group: azureiot service cert code {name}"
        )


def _slots(body: dict[str, Any], path: str, kind: type = str) -> tuple[Any, ...]:
    """The primary and the secondary value under `path`: none, the primary or both."""
    primary, secondary = (take(body, f"{path}.{slot}", kind) for slot in ("primary", "secondary"))
    if primary is None and secondary is not None:
        raise invalid(f"'{path}.primary' is missing.")
    return tuple(value for value in (primary, secondary) if value is not None)


def _certificates(body: dict[str, Any], path: str) -> tuple[Certificate, ...]:
    """The same of certificates."""
    given = _slots(body, path, dict)
    return tuple(
        take_certificate(body, f"{path}.{slot}.certificate")
        for slot, _ in zip(("primary", "secondary"), given, strict=False)
    )


def _enabled(body: dict[str, Any]) -> bool:
    status = take(body, "provisioningStatus", str, "enabled")
    if status not in ("enabled", "disabled"):
        raise invalid(f"provisioningStatus must be 'enabled' or 'disabled', not '{status}'.")
    return status == "enabled"


def _hubs(body: dict[str, Any], service: Service) -> tuple[str, ...]:
    hubs: list[Any] = take(body, "iotHubs", list, [])
    for hub in hubs:
        if hub not in service.hubs:
            raise invalid(f"'{hub}' in iotHubs is not linked; linked are: {', '.join(service.hubs)}.")
    return tuple(hubs)


def _check_unsupported(body: dict[str, Any]) -> None:
    """Refuse rather than ignore what the emulator does not do."""
    kind = take(body, "attestation.type", str, "x509")
    if kind != "x509":
        raise invalid(f"The emulator attests devices by X.509 only, not by '{kind}'.")
    policy = take(body, "allocationPolicy", str, "hashed")
    if policy != "hashed":
        raise invalid(f"The emulator allocates hubs by 'hashed' only, not by '{policy}'. For one hub, give iotHubs.")


async def _check_query(request: web.Request, table: str) -> None:
    text: str = take(await json_object(request), "query", str, f"SELECT * FROM {table}")
    if not re.fullmatch(rf"\s*select\s+\*(\s+from\s+{table})?\s*", text, re.IGNORECASE):
        raise invalid(f"The emulator answers only the query SELECT * FROM {table}.")


def _group_shown(group: EnrollmentGroup) -> dict[str, object]:
    slots = ("primary", "secondary")
    x509: dict[str, object] = (
        {"caReferences": dict(zip(slots, group.ca_names, strict=False))}
        if group.ca_names
        else {
            "signingCertificates": {
                slot: {"info": _info(der)} for slot, der in zip(slots, group.signing_certificates, strict=False)
            }
        }
    )
    return {"enrollmentGroupId": group.id, "attestation": {"type": "x509", "x509": x509}, **_common(group)}


def _enrollment_shown(enrollment: IndividualEnrollment) -> dict[str, object]:
    certificates = {
        slot: {"info": _info(der)} for slot, der in zip(("primary", "secondary"), enrollment.certificates, strict=False)
    }
    return {
        "registrationId": enrollment.registration_id,
        "deviceId": enrollment.device_id,
        "attestation": {"type": "x509", "x509": {"clientCertificates": certificates}},
        **_common(enrollment),
    }


def _common(record: EnrollmentGroup | IndividualEnrollment) -> dict[str, object]:
    return {
        "provisioningStatus": "enabled" if record.enabled else "disabled",
        "allocationPolicy": "hashed",
        "iotHubs": list(record.hubs),
        "createdDateTimeUtc": utc_text(record.created),
        "lastUpdatedDateTimeUtc": utc_text(record.updated),
        "etag": etag(record),
    }


def _info(der: bytes) -> dict[str, str | int]:
    return certificate_info(Certificate.read(der))
