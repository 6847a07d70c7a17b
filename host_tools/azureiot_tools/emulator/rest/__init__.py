"""The emulator's service API: what one would do in Azure's portal, with Azure's paths and JSON where Azure has them.

DPS's part follows its service REST API (certificates, enrollmentGroups, enrollments, registrations), the hub's its
device registry (devices). /events, /stream and /telemetry are the emulator's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from aiohttp import web

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.rest import certificates, devices, enrollments, guard, observe, registrations
from azureiot_tools.emulator.rest.request import SERVICE, Service


def build(
    registry: Registry,
    events: Events,
    identities: Identities,
    *,
    hubs: Sequence[str],
    now: Callable[[], datetime],
    allowed_hosts: Callable[[], set[str]],
) -> web.Application:
    """The application, to be run with aiohttp's AppRunner in the emulator's event loop.

    hubs: the names of the linked hubs, the default first. allowed_hosts: the values of the Host header that are this
    service ("127.0.0.1:8080"), asked for at each request because port 0 becomes known late.
    """
    app = web.Application(middlewares=guard.middlewares(allowed_hosts), client_max_size=guard.LARGEST_BODY_BYTES)
    app[SERVICE] = Service(registry, events, identities, tuple(hubs), now)
    for part in (certificates, enrollments, registrations, devices, observe):
        app.add_routes(part.routes)
    app.on_shutdown.append(observe.end_streams)
    return app
