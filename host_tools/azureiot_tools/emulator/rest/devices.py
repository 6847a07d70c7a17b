"""/devices: the hubs' device registry (docs/protocol.md §2.5): identities by X.509 thumbprint or symmetric key."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.rest.choice import existing_device, find_device, wanted_hub
from azureiot_tools.emulator.rest.request import (
    check_if_match,
    etag,
    invalid,
    json_object,
    require_same,
    service_of,
    take,
    take_key,
)
from azureiot_tools.emulator.sas import new_key

_THUMBPRINTS = "authentication.x509Thumbprint"
_KEY_SLOTS = ("primaryKey", "secondaryKey")

routes = web.RouteTableDef()


@routes.get("/devices")
async def list_all(request: web.Request) -> web.Response:
    devices = service_of(request).registry.devices(request.query.get("hub"))
    return web.json_response([_shown(device) for device in devices])


@routes.get("/devices/{id}")
async def get(request: web.Request) -> web.Response:
    return web.json_response(_shown(existing_device(request)))


@routes.put("/devices/{id}")
async def put(request: web.Request) -> web.Response:
    service = service_of(request)
    device_id = request.match_info["id"]
    # More than DPS assigns: a hub takes these as well.
    if not re.fullmatch(r"[A-Za-z0-9._:@=,$'()*!?#+%-]{1,128}", device_id, re.ASCII):
        raise invalid(f"'{device_id}' cannot be a device id.")
    body = await json_object(request)
    require_same(body, "deviceId", device_id)
    by_thumbprint = take(body, f"{_THUMBPRINTS}.primaryThumbprint", str) is not None
    kind = take(body, "authentication.type", str, "selfSigned" if by_thumbprint else "sas")
    if kind not in ("selfSigned", "sas"):
        raise invalid(
            "The emulator's hubs know devices by X.509 thumbprint ('selfSigned') or symmetric key ('sas'), not by "
            f"'{kind}'."
        )
    status = take(body, "status", str, "enabled")
    if status not in ("enabled", "disabled"):
        raise invalid(f"status must be 'enabled' or 'disabled', not '{status}'.")
    old = find_device(request)
    check_if_match(request, old)
    hub = old.hub if old else wanted_hub(request)
    device = service.identities.enter(
        hub,
        device_id,
        thumbprints=_thumbprints(body) if kind == "selfSigned" else (),
        keys=_keys(body, old) if kind == "sas" else (),
        enabled=status == "enabled",
    )
    return web.json_response(_shown(device))


@routes.delete("/devices/{id}")
async def delete(request: web.Request) -> web.Response:
    device = existing_device(request)
    check_if_match(request, device)
    service_of(request).identities.delete(device.hub, device.device_id)
    return web.Response(status=204)


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


def _keys(body: dict[str, Any], old: DeviceIdentity | None) -> tuple[str, ...]:
    """As given, else as they were, else new ones, which have 32 bytes at a hub."""
    before = (*(old.keys if old else ()), None, None)
    return tuple(
        take_key(body, f"authentication.symmetricKey.{slot}") or known or new_key(32)
        for slot, known in zip(_KEY_SLOTS, before, strict=False)
    )


def _shown(device: DeviceIdentity) -> dict[str, object]:
    primary, secondary = (*device.thumbprints, None, None)[:2]
    keys = dict(zip(_KEY_SLOTS, (*device.keys, None, None), strict=False))
    return {
        "deviceId": device.device_id,
        "hub": device.hub,
        "generationId": device.generation_id,
        "status": "enabled" if device.enabled else "disabled",
        "authentication": {
            "type": device.authentication,
            "symmetricKey": keys,
            "x509Thumbprint": {"primaryThumbprint": primary, "secondaryThumbprint": secondary},
        },
        "createdDateTimeUtc": utc_text(device.created),
        "lastUpdatedDateTimeUtc": utc_text(device.updated),
        "etag": etag(device),
    }
