"""The emulator's service API: what one would do in Azure's portal, with Azure's paths and JSON where Azure has them.

DPS's part follows its service REST API (certificates, enrollmentGroups, enrollments, registrations), the hub's its
device registry (devices), twins, methods and messages. /events, /stream and /telemetry are the emulator's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiohttp import web

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.rest import (
    certificates,
    devices,
    enrollments,
    guard,
    messages,
    methods,
    observe,
    registrations,
)
from azureiot_tools.emulator.rest import twins as twin_routes
from azureiot_tools.emulator.rest.request import SERVICE, Service
from azureiot_tools.emulator.twins import Twins


def build(
    registry: Registry,
    events: Events,
    identities: Identities,
    twins: Twins,
    *,
    hubs: Sequence[str],
    linked: Mapping[str, Hub],
    allocates: bool = False,
    now: Callable[[], datetime],
    allowed_hosts: Callable[[], set[str]],
) -> web.Application:
    """The application, to be run with aiohttp's AppRunner in the emulator's event loop.

    hubs: the names of the linked hubs, the default first. linked: those hubs, by name. allowed_hosts: the values of the
    Host header that are this service ("127.0.0.1:8080"), asked for at each request because port 0 becomes known late.
    """
    app = web.Application(middlewares=guard.middlewares(allowed_hosts), client_max_size=guard.LARGEST_BODY_BYTES)
    app[SERVICE] = Service(registry, events, identities, twins, tuple(hubs), linked, now, allocates)
    for part in (certificates, enrollments, registrations, devices, twin_routes, methods, messages, observe):
        app.add_routes(part.routes)
    app.on_shutdown.append(observe.end_waiting)
    return app
