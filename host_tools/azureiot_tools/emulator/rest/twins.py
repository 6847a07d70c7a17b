"""/twins: what the devices are to be, what they say they are, and tags (docs/protocol.md §3.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.records import DeviceIdentity, Twin
from azureiot_tools.emulator.rest.choice import existing_device
from azureiot_tools.emulator.rest.request import (
    check_if_match,
    check_known,
    etag,
    invalid,
    json_object,
    require_same,
    service_of,
    take,
)
from azureiot_tools.emulator.twin_document import BadTwin

# All that a twin shows can be sent back; tags and desired properties are what counts of it.
_FIELDS = {
    *("deviceId", "hub", "etag", "version", "status", "connectionState", "cloudToDeviceMessageCount"),
    *("authenticationType", "tags", "properties.desired", "properties.reported"),
}

routes = web.RouteTableDef()


@routes.get("/twins/{id}")
async def get(request: web.Request) -> web.Response:
    device = existing_device(request)
    return web.json_response(_shown(request, device, service_of(request).twins.get(device.hub, device.device_id)))


@routes.patch("/twins/{id}")
async def patch(request: web.Request) -> web.Response:
    """Merge patches of tags and desired properties: null removes."""
    device, tags, desired = await _change(request)
    try:
        twin = service_of(request).twins.patch(device.hub, device.device_id, tags, desired)
    except BadTwin as error:
        raise _refused(error) from None
    return web.json_response(_shown(request, device, twin))


@routes.put("/twins/{id}")
async def put(request: web.Request) -> web.Response:
    """Tags and desired properties anew; what the body does not have is gone."""
    device, tags, desired = await _change(request)
    try:
        twin = service_of(request).twins.replace(device.hub, device.device_id, tags or {}, desired or {})
    except BadTwin as error:
        raise _refused(error) from None
    return web.json_response(_shown(request, device, twin))


async def _change(request: web.Request) -> tuple[DeviceIdentity, dict[str, Any] | None, dict[str, Any] | None]:
    """The device, and its new tags and desired properties: None where the body has none. Raises ApiError."""
    device = existing_device(request)
    body = await json_object(request)
    check_known(body, _FIELDS)
    require_same(body, "deviceId", device.device_id)
    desired = take(body, "properties.desired", dict)
    if desired is not None:  # as it was read: the service keeps its own account of these
        desired = {name: value for name, value in desired.items() if name not in ("$metadata", "$version")}
    check_if_match(request, _of_the_service(service_of(request).twins.get(device.hub, device.device_id)))
    return device, take(body, "tags", dict), desired


def _refused(error: BadTwin) -> Exception:
    return invalid(f"Provided json is not a valid 'tags' or 'properties' object: {error}.")


def _of_the_service(twin: Twin) -> Twin:
    """A twin without what the device writes, which leaves the etag alone."""
    return replace(twin, version=0, reported={}, reported_version=0, reported_metadata={})


def _shown(request: web.Request, device: DeviceIdentity, twin: Twin) -> dict[str, Any]:
    service = service_of(request)
    hub = service.linked.get(device.hub)
    session = hub.sessions.get(device.device_id) if hub else None
    return {
        "deviceId": device.device_id,
        "hub": device.hub,
        "etag": etag(_of_the_service(twin)),
        "version": twin.version,
        "status": "enabled" if device.enabled else "disabled",
        "connectionState": "Connected" if session and session.link else "Disconnected",
        "cloudToDeviceMessageCount": service.registry.count_messages(device.hub, device.device_id),
        "authenticationType": device.authentication,
        "tags": twin.tags,
        "properties": {
            "desired": {**twin.desired, "$metadata": twin.desired_metadata, "$version": twin.desired_version},
            "reported": {**twin.reported, "$metadata": twin.reported_metadata, "$version": twin.reported_version},
        },
    }
