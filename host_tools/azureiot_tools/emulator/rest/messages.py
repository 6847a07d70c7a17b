"""Cloud-to-device messages and their feedback (docs/protocol.md §3.6).

Azure's service sends them over AMQP; the emulator over HTTP, with headers for the properties. The purging of a queue
and the feedback have Azure's paths.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiohttp import web

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.hub.messages import MAX_QUEUED, QueueFull, message_topic
from azureiot_tools.emulator.records import CloudMessage, DeviceIdentity, Feedback
from azureiot_tools.emulator.rest.choice import existing_device, linked_hub, wanted_hub
from azureiot_tools.emulator.rest.request import ApiError, in_range, invalid, service_of, shortened

MAX_MESSAGE_BYTES = 64 * 1024
MAX_TOPIC_BYTES = 65_535  # MQTT's own limit; encoding makes properties longer
TIME_TO_LIVE = timedelta(hours=1)
LONGEST_TIME_TO_LIVE = timedelta(days=2)
FEEDBACK_BATCH = 100
ACKS = ("none", "positive", "negative", "full")

_SYSTEM = {
    "iothub-messageid": "$.mid",
    "iothub-correlationid": "$.cid",
    "iothub-contenttype": "$.ct",
    "iothub-contentencoding": "$.ce",
}
_APPLICATION = "iothub-app-"

routes = web.RouteTableDef()


@routes.post("/devices/{id}/messages/devicebound")
async def send(request: web.Request) -> web.Response:
    """Queue a message: the body is its payload, the headers iothub-… are its properties."""
    device = existing_device(request)
    hub = linked_hub(request, device)
    message = _message(request, device, await request.read())
    try:
        message = hub.messages.send(message)
    except QueueFull:
        raise ApiError(
            403004, f"{MAX_QUEUED} messages wait for '{device.device_id}' already: it must take some, or they expire."
        ) from None
    answer = {
        "deviceId": message.device_id,
        "hub": message.hub,
        "sequence": message.sequence,
        "messageId": message.system.get("$.mid"),
        "expiryTimeUtc": utc_text(message.expires),
    }
    return web.json_response(answer, status=201)


@routes.delete("/devices/{id}/commands")
async def purge(request: web.Request) -> web.Response:
    """Azure's "purge command queue"."""
    device = existing_device(request)
    count = linked_hub(request, device).messages.purge(device.device_id, "by the service")
    return web.json_response({"deviceId": device.device_id, "moduleId": None, "totalMessagesPurged": count})


@routes.get("/messages/serviceBound/feedback")
async def feedback(request: web.Request) -> web.Response:
    """The oldest feedback, up to a batch: it comes again until it is deleted by the etag. 204 when there is none."""
    found = service_of(request).registry.feedback(wanted_hub(request), FEEDBACK_BATCH)
    if not found:
        return web.Response(status=204)
    return web.json_response([_shown(one) for one in found], headers={"ETag": f'"{found[-1].sequence}"'})


@routes.delete("/messages/serviceBound/feedback/{lock_token}")
async def complete_feedback(request: web.Request) -> web.Response:
    """Forget the batch that had this etag."""
    token = request.match_info["lock_token"].strip('"')
    through = in_range(token, "the lock token", 2**62)
    if not service_of(request).registry.delete_feedback(wanted_hub(request), through):
        raise ApiError(412002, f"There is no feedback with the lock token '{shortened(token)}' (any more).")
    return web.Response(status=204)


def _message(request: web.Request, device: DeviceIdentity, payload: bytes) -> CloudMessage:
    now = service_of(request).now()
    properties: dict[str, str | None] = {}
    for name, value in request.headers.items():
        if name.lower().startswith(_APPLICATION):
            properties[_application_name(name[len(_APPLICATION) :])] = _text(name, value)
    system = {
        wire: _text(header, request.headers[header]) for header, wire in _SYSTEM.items() if header in request.headers
    }
    expires = _expiry(request, now)
    if "iothub-expiry" in request.headers:
        system["$.exp"] = utc_text(expires)
    ack = request.headers.get("iothub-ack", "none").lower()
    if ack not in ACKS:
        raise invalid(f"'iothub-ack' must be one of {', '.join(ACKS)}, not '{shortened(ack)}'.")
    message = CloudMessage(0, device.hub, device.device_id, payload, properties, system, ack, now, expires)
    texts = [*system.values(), *properties, *(value or "" for value in properties.values())]
    size_bytes = len(payload) + sum(len(text.encode()) for text in texts)
    if size_bytes > MAX_MESSAGE_BYTES:
        raise ApiError(413001, f"The message has {size_bytes} bytes; at most {MAX_MESSAGE_BYTES} are taken.")
    if len(message_topic(message)) > MAX_TOPIC_BYTES:
        raise ApiError(413001, "The message's properties are too long for the topic of an MQTT message.")
    return message


def _expiry(request: web.Request, now: datetime) -> datetime:
    text = request.headers.get("iothub-expiry")
    if text is None:
        return now + TIME_TO_LIVE
    try:
        expires = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"'iothub-expiry' must be a time such as {utc_text(now)}, not '{shortened(text)}'.") from None
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    expires = expires.astimezone(UTC)
    if expires > now + LONGEST_TIME_TO_LIVE:
        raise invalid(f"'iothub-expiry' must be within {LONGEST_TIME_TO_LIVE.days} days.")
    return expires


def _application_name(name: str) -> str:
    if not name or name.startswith("$"):
        raise invalid(f"'{_APPLICATION}{shortened(name)}': an application's property needs a name that is none of $….")
    return name


def _text(header: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of a header that were no UTF-8
        raise invalid(f"The header '{shortened(header)}' is not UTF-8 text.") from None
    return value


def _shown(one: Feedback) -> dict[str, str]:
    return {
        "originalMessageId": one.message_id,
        "enqueuedTimeUtc": utc_text(one.time),
        "statusCode": one.status,
        "description": one.description,
        "deviceId": one.device_id,
        "deviceGenerationId": one.generation_id,
    }
