"""IoT Hub over MQTT: user names, topics, and what a message's payload is (docs/protocol.md §3). No I/O."""

import json

from azureiot.encoding import bag
from azureiot.errors import AzureIoTError
from azureiot.outbox import Message

API_VERSION = "2021-04-12"
MAX_MESSAGE_BYTES = 262144  # body, properties and their names together (§3.5)


def username(host: str, device_id: str) -> str:
    """The user name in a device's CONNECT to `host` (§3.1); the client id is the device id."""
    return "%s/%s/?api-version=%s" % (host, device_id, API_VERSION)


def telemetry(
    device_id: str,
    payload: "dict | list | str | bytes",
    properties: "dict | list | tuple | None" = None,
    content_type: "str | None" = None,
    content_encoding: "str | None" = None,
    message_id: "str | None" = None,
) -> Message:
    """A device-to-cloud message (§3.5).

    payload: bytes, text, or what JSON can hold: then its content type and encoding are set, unless given.
    properties: application properties, a dict, or pairs where their order matters.
    Raises AzureIoTError when it is too long for the hub, which would close the connection without a word.
    """
    if isinstance(payload, (dict, list)):
        payload = json.dumps(payload)
        content_type = content_type or "application/json"
    if isinstance(payload, str):
        payload = payload.encode()
        content_encoding = content_encoding or "utf-8"
    pairs = [
        pair
        for pair in (("$.mid", message_id), ("$.ct", content_type), ("$.ce", content_encoding))
        if pair[1] is not None
    ]
    if properties:
        pairs.extend(properties.items() if isinstance(properties, dict) else properties)
    topic = ("devices/%s/messages/events/%s" % (device_id, bag(pairs))).encode()
    size = len(topic) + len(payload)
    if size > MAX_MESSAGE_BYTES:
        raise AzureIoTError(
            "A message of %d bytes is too long for IoT Hub (%d)." % (size, MAX_MESSAGE_BYTES), "too-long"
        )
    return Message(topic, payload)
