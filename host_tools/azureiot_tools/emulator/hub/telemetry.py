"""Device-to-cloud messages: their topic's property bag, their limits, and what the hub adds (docs/protocol.md §3.5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from azureiot_tools.emulator.azure_json import telemetry_body, utc_text
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.packets import Publish, Will
from azureiot_tools.emulator.mqtt.session import Drop
from azureiot_tools.emulator.records import Telemetry
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.topics import parse_query

MAX_MESSAGE_BYTES = 256 * 1024  # body, system values, application names and values: docs/protocol.md §3.5


class TelemetryIntake:
    """What a hub does with its devices' messages."""

    def __init__(self, host: str, events: Events, log: TelemetryLog, now: Callable[[], datetime]) -> None:
        self._host = host
        self._events = events
        self._log = log
        self._now = now

    def accept(self, device: ConnectedDevice, bag: dict[str, str | None], payload: bytes) -> None:
        """Keep a message. Raises Drop when it is too long."""
        system = {name: value or "" for name, value in bag.items() if name.startswith("$.")}
        properties = {name: value for name, value in bag.items() if name not in system}
        counted = [*system.values(), *properties, *(value or "" for value in properties.values())]
        size_bytes = len(payload) + sum(len(text.encode("utf-8", "surrogatepass")) for text in counted)
        if size_bytes > MAX_MESSAGE_BYTES:
            raise Drop(
                f"a message of {size_bytes} bytes; at most {MAX_MESSAGE_BYTES} are taken", "docs/protocol.md §3.5"
            )
        now = self._now()
        message = Telemetry(
            sequence=0,
            hub=self._host,
            device_id=device.identity.device_id,
            payload=payload,
            properties=properties,
            system=system | _stamps(device, system, now),
            enqueued=now,
        )
        self._log.add(message)
        shown = telemetry_body(message)
        self._events.publish("telemetry", message.device_id, _summary(shown["payload"], properties), "", **shown)


def property_bag(device: ConnectedDevice, message: Publish | Will) -> dict[str, str | None]:
    """The properties of telemetry: its topic's, and RETAIN as one (docs/protocol.md §3.5, §3.4).

    Raises Drop for a topic that is none of telemetry (§3.9).
    """
    topic = message.topic
    device_id = device.identity.device_id
    events_topic = f"devices/{device_id}/messages/events"
    if topic != events_topic and not topic.startswith(events_topic + "/"):
        raise Drop(f"a PUBLISH to '{topic}'; '{device_id}' publishes to {events_topic}/", "docs/protocol.md §3.9")
    bag = parse_query(topic.removeprefix(events_topic).removeprefix("/").removeprefix("?").removesuffix("/"))
    return bag | {"mqtt-retain": "true"} if message.retain else bag


def _stamps(device: ConnectedDevice, system: dict[str, str], now: datetime) -> dict[str, str]:
    """What the hub adds to a message, so that a back end can trust it (docs/protocol.md §3.5)."""
    kind = "sas" if device.identity.authentication == "sas" else "x509"
    method = {"scope": "device", "type": kind, "issuer": "iothub", "acceptingIpFilterRule": None}
    stamps = {
        "iothub-connection-device-id": device.identity.device_id,
        "iothub-connection-auth-method": json.dumps(method, separators=(",", ":")),
        "iothub-connection-auth-generation-id": device.identity.generation_id,
        "iothub-enqueuedtime": utc_text(now),
    }
    if device.model_id:
        stamps["dt-dataschema"] = device.model_id
    if "$.sub" in system:
        stamps["dt-subject"] = system["$.sub"]
    return stamps


def _summary(payload: str, properties: dict[str, str | None]) -> str:
    shown = payload if len(payload) <= 200 else f"{payload[:200]}… ({len(payload)} characters)"
    bag = " ".join(name if value is None else f"{name}={value}" for name, value in properties.items())
    return f"{shown} {bag[:200]}".rstrip()
