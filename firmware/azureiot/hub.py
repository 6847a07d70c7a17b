"""IoT Hub over MQTT: user names, topics, and what a message's payload is (docs/protocol.md §3). No I/O."""

import json

from azureiot.encoding import bag
from azureiot.errors import AzureIoTError
from azureiot.outbox import Message
from azureiot.runtime import const

API_VERSION = "2021-04-12"
MAX_MESSAGE_BYTES = 262144  # body, properties and their names together (§3.5)
_MAX_PROPERTIES_BYTES = const(65000)  # what fits a topic of 65,535 bytes beside the device id (MQTT 3.1.1 §1.5.3)


def username(host: str, device_id: str) -> str:
    """The user name in a device's CONNECT to `host` (§3.1); the client id is the device id."""
    return "%s/%s/?api-version=%s" % (host, device_id, API_VERSION)


def telemetry_prefix(device_id: str) -> bytes:
    """What the topics of a device's messages begin with; the property bag follows (§3.5)."""
    return ("devices/%s/messages/events/" % device_id).encode()


def telemetry(
    payload, properties=None, content_type=None, content_encoding: "str | None" = None, message_id: "str | None" = None
) -> Message:
    """A device-to-cloud message (§3.5).

    payload: bytes-like, text, or what JSON can hold: then its content type and encoding are set, unless given.
    properties: application properties, a dict, or pairs where their order matters.
    Raises AzureIoTError when it is too long for the hub, which would close the connection without a word.
    """
    if isinstance(payload, (bytes, bytearray, memoryview)):
        payload = bytes(payload)  # a copy: the caller may use its buffer again before this is sent
    else:
        if not isinstance(payload, str):
            payload = json.dumps(payload)
            content_type = content_type or "application/json"
        payload = payload.encode()
        content_encoding = content_encoding or "utf-8"
    pairs = []
    for pair in (("$.mid", message_id), ("$.ct", content_type), ("$.ce", content_encoding)):
        if pair[1] is not None:
            pairs.append(pair)
    if properties:
        pairs.extend(properties.items() if isinstance(properties, dict) else properties)
    ending = bag(pairs).encode()
    if len(ending) > _MAX_PROPERTIES_BYTES or len(ending) + len(payload) > MAX_MESSAGE_BYTES:
        text = "A message of %d bytes with %d bytes of properties is too long for IoT Hub." % (
            len(payload),
            len(ending),
        )
        raise AzureIoTError(text, "too-long")
    return Message(ending, payload)
