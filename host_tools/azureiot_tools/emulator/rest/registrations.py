"""/registrations: what DPS has decided about devices (docs/protocol.md §1.5)."""

from __future__ import annotations

from aiohttp import web

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.records import Registration
from azureiot_tools.emulator.rest.enrollments import group_named
from azureiot_tools.emulator.rest.request import ApiError, service_of

routes = web.RouteTableDef()


@routes.get("/registrations")
async def list_all(request: web.Request) -> web.Response:
    """The emulator's own: Azure lists them by group only."""
    return web.json_response([_shown(one) for one in service_of(request).registry.registrations()])


@routes.post("/registrations/{id}/query")
async def query(request: web.Request) -> web.Response:
    group = group_named(request, request.match_info["id"])
    return web.json_response([_shown(one) for one in service_of(request).registry.registrations(group.id)])


@routes.get("/registrations/{id}")
async def get(request: web.Request) -> web.Response:
    return web.json_response(_shown(_named(request)))


@routes.delete("/registrations/{id}")
async def delete(request: web.Request) -> web.Response:
    service_of(request).registry.delete_registration(_named(request).registration_id)
    return web.Response(status=204)


def _named(request: web.Request) -> Registration:
    id = request.match_info["id"]
    registration = service_of(request).registry.registration(id)
    if registration is None:
        raise ApiError(404202, f"There is no registration '{id}': the device has not come to DPS yet.")
    return registration


def _shown(one: Registration) -> dict[str, object]:
    return {
        "registrationId": one.registration_id,
        "deviceId": one.device_id,
        "assignedHub": one.assigned_hub,
        "status": one.status,
        "substatus": one.substatus,
        "errorCode": one.error_code,
        "errorMessage": one.error_message,
        **_attestation(one),
        "payload": one.payload,
        "createdDateTimeUtc": utc_text(one.created),
        "lastUpdatedDateTimeUtc": utc_text(one.updated),
        "etag": one.etag,
    }


def _attestation(one: Registration) -> dict[str, object]:
    group: dict[str, object] = {"enrollmentGroupId": one.enrollment_group_id}
    if not one.leaf_sha256:
        return {"symmetricKey": group}
    return {"x509": group | {"certificateInfo": {"sha1Thumbprint": one.leaf_sha1, "sha256Thumbprint": one.leaf_sha256}}}
