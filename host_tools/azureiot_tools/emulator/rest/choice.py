"""Which device, on which hub, a request is about: Azure has one name for each hub, the emulator one for all."""

from __future__ import annotations

from aiohttp import web

from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.rest.request import ApiError, invalid, service_of


def find_device(request: web.Request) -> DeviceIdentity | None:
    """The device of the path, on the hub of the query; without one, on the only hub that has it. Raises ApiError."""
    registry = service_of(request).registry
    device_id = request.match_info["id"]
    if "hub" in request.query:
        return registry.device(wanted_hub(request), device_id)
    # From the registry, not service.hubs: a hub that is no longer linked keeps its devices.
    found = [device for device in registry.devices() if device.device_id == device_id]
    if len(found) > 1:
        raise invalid(
            f"The device '{device_id}' is on several hubs; say which with ?hub=: "
            f"{', '.join(device.hub for device in found)}."
        )
    return found[0] if found else None


def existing_device(request: web.Request) -> DeviceIdentity:
    """`find_device`, or 404. Raises ApiError."""
    device = find_device(request)
    if device is None:
        raise ApiError(404001, f"There is no device '{request.match_info['id']}'.")
    return device


def wanted_hub(request: web.Request) -> str:
    """The hub of the query, else the default one. Raises ApiError."""
    hubs = service_of(request).hubs
    hub = request.query.get("hub", hubs[0])
    if hub not in hubs:
        raise invalid(f"There is no hub '{hub}'; there are: {', '.join(hubs)}.")
    return hub


def linked_hub(request: web.Request, device: DeviceIdentity) -> Hub:
    """The hub of a device, where it can be reached. Raises ApiError for one that cannot do that now, or never."""
    hub = service_of(request).linked.get(device.hub)
    if hub is None:
        raise invalid(f"The hub '{device.hub}' of '{device.device_id}' is not linked now, so it cannot be reached.")
    if hub.basic_tier:
        raise ApiError(403010, f"The hub '{device.hub}' is of the Basic tier: it sends nothing to its devices.")
    return hub
