"""/devices: the hubs' device registry (docs/protocol.md §2.5), X.509 thumbprint identities."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.rest.request import (
    ApiError,
    check_if_match,
    etag,
    invalid,
    json_object,
    require_same,
    service_of,
    take,
)

_THUMBPRINTS = "authentication.x509Thumbprint"

routes = web.RouteTableDef()


@routes.get("/devices")
async def list_all(request: web.Request) -> web.Response:
    devices = service_of(request).registry.devices(request.query.get("hub"))
    return web.json_response([_shown(device) for device in devices])


@routes.get("/devices/{id}")
async def get(request: web.Request) -> web.Response:
    return web.json_response(_shown(_existing(request)))


@routes.put("/devices/{id}")
async def put(request: web.Request) -> web.Response:
    service = service_of(request)
    device_id = request.match_info["id"]
    # More than DPS assigns: a hub takes these as well.
    if not re.fullmatch(r"[A-Za-z0-9._:@=,$'()*!?#+%-]{1,128}", device_id, re.ASCII):
        raise invalid(f"'{device_id}' cannot be a device id.")
    body = await json_object(request)
    require_same(body, "deviceId", device_id)
    kind = take(body, "authentication.type", str, "selfSigned")
    if kind != "selfSigned":
        raise invalid(f"The emulator's hubs know devices by X.509 thumbprint ('selfSigned') only, not by '{kind}'.")
    status = take(body, "status", str, "enabled")
    if status not in ("enabled", "disabled"):
        raise invalid(f"status must be 'enabled' or 'disabled', not '{status}'.")
    thumbprints = _thumbprints(body)
    old = _find(request)
    check_if_match(request, old)
    hub = old.hub if old else _hub(request)
    device = service.identities.enter(hub, device_id, thumbprints, enabled=status == "enabled")
    return web.json_response(_shown(device))


@routes.delete("/devices/{id}")
async def delete(request: web.Request) -> web.Response:
    device = _existing(request)
    check_if_match(request, device)
    service_of(request).identities.delete(device.hub, device.device_id)
    return web.Response(status=204)


def _find(request: web.Request) -> DeviceIdentity | None:
    """The device of the path, on the hub of the query; without one, on the only hub that has it."""
    registry = service_of(request).registry
    device_id = request.match_info["id"]
    if "hub" in request.query:
        return registry.device(_hub(request), device_id)
    # From the registry, not service.hubs: a hub that is no longer linked keeps its devices.
    found = [device for device in registry.devices() if device.device_id == device_id]
    if len(found) > 1:
        raise invalid(
            f"The device '{device_id}' is on several hubs; say which with ?hub=: "
            f"{', '.join(device.hub for device in found)}."
        )
    return found[0] if found else None


def _existing(request: web.Request) -> DeviceIdentity:
    device = _find(request)
    if device is None:
        raise ApiError(404001, f"There is no device '{request.match_info['id']}'.")
    return device


def _hub(request: web.Request) -> str:
    hubs = service_of(request).hubs
    hub = request.query.get("hub", hubs[0])
    if hub not in hubs:
        raise invalid(f"There is no hub '{hub}'; there are: {', '.join(hubs)}.")
    return hub


def _thumbprints(body: dict[str, Any]) -> tuple[str, ...]:
    found = []
    for slot in ("primaryThumbprint", "secondaryThumbprint"):
        value: str | None = take(body, f"{_THUMBPRINTS}.{slot}", str)
        if value is None:
            continue
        thumbprint = value.replace(":", "").upper()
        if not re.fullmatch(r"[0-9A-F]{64}", thumbprint, re.ASCII):
            raise invalid(f"'{_THUMBPRINTS}.{slot}' must be the leaf's SHA-256 thumbprint, 64 hex digits.")
        found.append(thumbprint)
    if not found:
        raise invalid(f"'{_THUMBPRINTS}.primaryThumbprint' is missing.")
    return tuple(found)


def _shown(device: DeviceIdentity) -> dict[str, object]:
    primary, secondary = (*device.thumbprints, None, None)[:2]
    return {
        "deviceId": device.device_id,
        "hub": device.hub,
        "generationId": device.generation_id,
        "status": "enabled" if device.enabled else "disabled",
        "authentication": {
            "type": device.authentication,
            "x509Thumbprint": {"primaryThumbprint": primary, "secondaryThumbprint": secondary},
        },
        "createdDateTimeUtc": utc_text(device.created),
        "lastUpdatedDateTimeUtc": utc_text(device.updated),
        "etag": etag(device),
    }
