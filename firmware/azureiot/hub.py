"""IoT Hub over MQTT: user names and topics (docs/protocol.md §3). Text in, text out."""

from azureiot.encoding import bag

API_VERSION = "2021-04-12"
MAX_MESSAGE_BYTES = 262144  # body, properties and their names together (§3.5)


def username(host, device_id):
    """The user name in a device's CONNECT to `host` (§3.1); the client id is the device id."""
    return "%s/%s/?api-version=%s" % (host, device_id, API_VERSION)


def telemetry_topic(device_id, properties=None, content_type=None, content_encoding=None, message_id=None):
    """The topic of a device-to-cloud message (§3.5).

    properties: application properties, a dict, or pairs where their order matters.
    """
    pairs = []
    for key, value in (("$.mid", message_id), ("$.ct", content_type), ("$.ce", content_encoding)):
        if value is not None:
            pairs.append((key, value))
    if properties:
        pairs.extend(properties.items() if isinstance(properties, dict) else properties)
    return "devices/%s/messages/events/%s" % (device_id, bag(pairs))
