"""/enrollmentGroups and /enrollments: who may provision (docs/protocol.md §2.1)."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.azure_json import enrollment_body
from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.rest import enrollment_fields as read
from azureiot_tools.emulator.rest.request import (
    ApiError,
    Service,
    check_id,
    check_if_match,
    etag,
    invalid,
    json_object,
    require_same,
    service_of,
    take,
)

MOST_GROUPS = 100  # of either kind of attestation: docs/protocol.md §2.1 rule 8, §2.6

Record = EnrollmentGroup | IndividualEnrollment

routes = web.RouteTableDef()


@routes.post("/enrollmentGroups/query")
async def query_groups(request: web.Request) -> web.Response:
    await _check_query(request, "enrollmentGroups")
    return web.json_response([_shown(group) for group in service_of(request).registry.groups()])


@routes.put("/enrollmentGroups/{id}")
async def put_group(request: web.Request) -> web.Response:
    service = service_of(request)
    id = check_id("group id", request.match_info["id"])
    body = await json_object(request)
    require_same(body, "enrollmentGroupId", id)
    read.check_group_fields(body)
    old = service.registry.group(id)
    check_if_match(request, old)
    by_keys = read.by_keys(body)
    if old is None:
        _check_room(service, by_keys)
    names, signing = ((), ()) if by_keys else _certificates_of_group(body, service)
    now = service.now()
    group = EnrollmentGroup(
        id=id,
        ca_names=names,
        signing_certificates=tuple(certificate.der for certificate in signing),
        keys=read.keys(body, old) if by_keys else (),
        created=old.created if old else now,
        updated=now,
        **read.common_fields(body, service),
    )
    service.registry.put_group(group)
    return web.json_response(_shown(group, with_keys=True))


@routes.get("/enrollmentGroups/{id}")
async def get_group(request: web.Request) -> web.Response:
    return web.json_response(_shown(group_named(request, request.match_info["id"])))


@routes.post("/enrollmentGroups/{id}/attestationmechanism")
async def get_group_attestation(request: web.Request) -> web.Response:
    return web.json_response(_shown(group_named(request, request.match_info["id"]), with_keys=True)["attestation"])


@routes.delete("/enrollmentGroups/{id}")
async def delete_group(request: web.Request) -> web.Response:
    group = group_named(request, request.match_info["id"])
    check_if_match(request, group)
    service_of(request).registry.delete_group(group.id)
    return web.Response(status=204)


@routes.post("/enrollments/query")
async def query_enrollments(request: web.Request) -> web.Response:
    await _check_query(request, "enrollments")
    return web.json_response([_shown(one) for one in service_of(request).registry.enrollments()])


@routes.put("/enrollments/{id}")
async def put_enrollment(request: web.Request) -> web.Response:
    service = service_of(request)
    id = check_id("registration id", request.match_info["id"])
    body = await json_object(request)
    require_same(body, "registrationId", id)
    read.check_enrollment_fields(body)
    old = service.registry.enrollment(id)
    check_if_match(request, old)
    by_keys = read.by_keys(body)
    leaves = () if by_keys else _leaves(body, id)
    device_id: str | None = take(body, "deviceId", str)
    if device_id is not None:
        check_id("device id", device_id)
    now = service.now()
    enrollment = IndividualEnrollment(
        registration_id=id,
        device_id=device_id,
        certificates=tuple(leaf.der for leaf in leaves),
        keys=read.keys(body, old) if by_keys else (),
        created=old.created if old else now,
        updated=now,
        **read.common_fields(body, service),
    )
    service.registry.put_enrollment(enrollment)
    return web.json_response(_shown(enrollment, with_keys=True))


@routes.get("/enrollments/{id}")
async def get_enrollment(request: web.Request) -> web.Response:
    return web.json_response(_shown(_enrollment_named(request)))


@routes.post("/enrollments/{id}/attestationmechanism")
async def get_attestation(request: web.Request) -> web.Response:
    return web.json_response(_shown(_enrollment_named(request), with_keys=True)["attestation"])


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


def _check_room(service: Service, by_keys: bool) -> None:
    alike = [group for group in service.registry.groups() if bool(group.keys) == by_keys]
    if len(alike) >= MOST_GROUPS:
        kind = "symmetric-key" if by_keys else "X.509"
        raise ApiError(403002, f"DPS holds {MOST_GROUPS} {kind} enrollment groups at most. Delete one first.")


def _certificates_of_group(body: dict[str, Any], service: Service) -> tuple[tuple[str, ...], tuple[Certificate, ...]]:
    names = read.ca_names(body, service)
    signing = read.certificates(body, "attestation.x509.signingCertificates")
    if bool(names) == bool(signing):
        raise invalid(
            "An enrollment group needs attestation.x509.caReferences (names of uploaded CAs), "
            "attestation.x509.signingCertificates or the type symmetricKey, and one of them only."
        )
    for certificate in signing:
        if not certificate.is_ca:
            raise invalid(f"'{certificate.name}' is not a CA certificate.")
    return names, signing


def _leaves(body: dict[str, Any], registration_id: str) -> tuple[Certificate, ...]:
    leaves = read.certificates(body, "attestation.x509.clientCertificates")
    if not leaves:
        raise invalid(
            "An individual enrollment needs attestation.x509.clientCertificates.primary.certificate, or the type "
            "symmetricKey."
        )
    for leaf in leaves:
        if len(leaf.common_names) != 1 or not same_id(leaf.common_names[0], registration_id):
            raise invalid(f"The common name of '{leaf.name}' must be the registration id '{registration_id}'.")
    return leaves


async def _check_query(request: web.Request, table: str) -> None:
    text: str = take(await json_object(request), "query", str, f"SELECT * FROM {table}")
    if not re.fullmatch(rf"\s*select\s+\*(\s+from\s+{table})?\s*", text, re.IGNORECASE):
        raise invalid(f"The emulator answers only the query SELECT * FROM {table}.")


def _shown(record: Record, *, with_keys: bool = False) -> dict[str, Any]:
    """Keys are for whoever wrote the enrollment, or asks for its attestation mechanism."""
    shown: dict[str, Any] = enrollment_body(record) | {"etag": etag(record)}
    if with_keys and record.keys:
        keys = dict(zip(("primaryKey", "secondaryKey"), record.keys, strict=False))
        shown["attestation"] |= {"symmetricKey": keys}
    return shown
