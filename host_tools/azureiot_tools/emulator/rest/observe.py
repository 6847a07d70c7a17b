"""/telemetry, /events and /stream: what arrives and what happens; the emulator's own paths."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from aiohttp import web

from azureiot_tools.emulator.azure_json import telemetry_body
from azureiot_tools.emulator.events import REMEMBERED, Event
from azureiot_tools.emulator.registry import TELEMETRY_KEPT
from azureiot_tools.emulator.rest.request import SERVICE, in_range, service_of, whole_number

# A comment line now and then, so that both sides notice a connection that has died.
STREAM_KEEP_ALIVE_S = 15
LARGEST_SEQUENCE = 2**62
# Devices wait while an answer is written; a client gets the rest with ?after=.
TELEMETRY_ANSWER_BYTES = 4 * 1024 * 1024

routes = web.RouteTableDef()


@routes.get("/")
async def about(request: web.Request) -> web.Response:
    service = service_of(request)
    return web.json_response(
        {
            "name": "azureiot emulator: service API of a local DPS and IoT Hub, for development",
            "hubs": list(service.hubs),
            "paths": sorted({resource.canonical for resource in request.app.router.resources()}),
        }
    )


@routes.get("/telemetry/{id}")
async def telemetry(request: web.Request) -> web.Response:
    """One device's messages, oldest first: ?after=SEQUENCE, ?limit=COUNT; fewer when they are large."""
    after = whole_number(request, "after", 0, LARGEST_SEQUENCE)
    limit = whole_number(request, "limit", 100, TELEMETRY_KEPT)
    registry = service_of(request).registry
    messages = registry.telemetry(request.match_info["id"], after, limit, TELEMETRY_ANSWER_BYTES)
    return web.json_response([telemetry_body(message) for message in messages])


@routes.get("/events")
async def events(request: web.Request) -> web.Response:
    """The newest events, oldest first: ?after=, ?limit=, ?device=, ?kind=."""
    after = whole_number(request, "after", 0, LARGEST_SEQUENCE)
    limit = whole_number(request, "limit", 100, REMEMBERED)
    wanted = _filter(request)
    found = [event for event in service_of(request).events.recent(after, REMEMBERED) if wanted(event)]
    return web.json_response([event.as_json() for event in found[len(found) - min(limit, len(found)) :]])


@routes.get("/stream", allow_head=False)
async def stream(request: web.Request) -> web.StreamResponse:
    """Server-sent events as they happen: ?device=, ?kind=. With ?after= or Last-Event-ID the remembered ones first."""
    service = service_of(request)
    wanted = _filter(request)
    resumes = "after" in request.query or "Last-Event-ID" in request.headers
    last = in_range(request.headers.get("Last-Event-ID", "0"), "Last-Event-ID", LARGEST_SEQUENCE)
    after = whole_number(request, "after", last, LARGEST_SEQUENCE)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )
    task = asyncio.current_task()
    assert task is not None
    service.waiting.add(task)
    try:
        with service.events.subscribe() as queue:
            # Nothing can happen between subscribing and looking back: both run without an await.
            replay = service.events.recent(after, REMEMBERED) if resumes else []
            await response.prepare(request)
            await response.write(b": subscribed\n\n")
            for event in filter(wanted, replay):
                await response.write(_frame(event))
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), STREAM_KEEP_ALIVE_S)
                except TimeoutError:
                    await response.write(b": alive\n\n")
                    continue
                if wanted(event):
                    await response.write(_frame(event))
    except ConnectionResetError:
        return response  # the reader has gone
    finally:
        service.waiting.discard(task)


async def end_waiting(app: web.Application) -> None:
    """A stream has no end of its own, a call waits for a device; without this the service would wait with them."""
    for task in app[SERVICE].waiting:
        task.cancel()


def _filter(request: web.Request) -> Callable[[Event], bool]:
    device, kind = request.query.get("device"), request.query.get("kind")

    def wanted(event: Event) -> bool:
        if event.kind == "lost":
            return True
        return device in (None, event.device_id) and kind in (None, event.kind)

    return wanted


def _frame(event: Event) -> bytes:
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {json.dumps(event.as_json())}\n\n".encode()
