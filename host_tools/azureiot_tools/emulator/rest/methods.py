"""/twins/{id}/methods: direct methods (docs/protocol.md §3.7)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.hub.methods import MAX_PAYLOAD_BYTES, CallFailed
from azureiot_tools.emulator.rest.choice import existing_device, linked_hub
from azureiot_tools.emulator.rest.request import (
    ApiError,
    check_known,
    invalid,
    json_object,
    service_of,
    shortened,
    take,
)

RESPONSE_TIMEOUT_S = 30
# The documentation's limit; the REST reference says 5 to 300 (§3.7).
LARGEST_TIMEOUT_S = 3600

routes = web.RouteTableDef()


@routes.post("/twins/{id}/methods")
async def call(request: web.Request) -> web.Response:
    """Call a method of a device, wait for its answer, and pass that on: {"status": its status, "payload": its JSON}."""
    device = existing_device(request)
    hub = linked_hub(request, device)
    body = await json_object(request)
    check_known(body, {"methodName", "payload", "responseTimeoutInSeconds", "connectTimeoutInSeconds"})
    name = take(body, "methodName", str, "")
    # It is one level of a topic (§3.7).
    if not re.fullmatch(r"[^\s/+#?\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}", name):
        raise invalid(f"'{shortened(name)}' cannot be a methodName: 1 to 128 characters, no space and none of / + # ?.")
    connect_s = _seconds(body, "connectTimeoutInSeconds", 0)
    response_s = _seconds(body, "responseTimeoutInSeconds", RESPONSE_TIMEOUT_S)
    payload = _payload(body.get("payload"))
    waiting = service_of(request).waiting
    task = asyncio.current_task()
    assert task is not None
    waiting.add(task)
    try:
        answer = await hub.methods.call(device.device_id, name, payload, connect_s, response_s)
    except CallFailed as failure:
        raise ApiError(failure.code, failure.message) from None
    finally:
        waiting.discard(task)
    return web.json_response({"status": answer.status, "payload": answer.payload})


def _payload(value: Any) -> bytes:
    """As the device gets it; a call without payload has "null" (§3.7)."""
    try:
        payload = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise ApiError(400006, "The payload has half of a surrogate pair in it.") from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ApiError(413001, f"The payload has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken.")
    return payload


def _seconds(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_TIMEOUT_S:
        raise invalid(f"'{name}' must be a whole number of seconds from 0 to {LARGEST_TIMEOUT_S}.")
    return value
