"""An IoT hub over MQTT: who may connect, and telemetry (docs/protocol.md §3.1–3.5, §3.9)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from azureiot_tools.emulator.azure_json import telemetry_body, utc_text
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.mqtt.packets import Connect, Publish, Will
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.registry import DeviceIdentity, Registry, Telemetry
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.topics import parse_query

MAX_MESSAGE_BYTES = 256 * 1024  # body, system values, application names and values: docs/protocol.md §3.5
MAX_TOPIC_BYTES = 64 * 1024
MAX_SUBSCRIPTIONS = 5  # docs/protocol.md §3.9

# The documented topics a device may subscribe to, in the spellings of the SDKs (docs/protocol.md §3.6–3.8, §6.2, §8).
_SUBSCRIPTIONS = (
    "devices/{device_id}/messages/devicebound/#",
    "devices/+/messages/devicebound/#",
    "$iothub/methods/POST/#",
    "$iothub/methods/#",
    "$iothub/twin/res/#",
    "$iothub/twin/res/200/#",
    "$iothub/twin/PATCH/properties/desired/#",
    "$iothub/credentials/res/#",
)

_USERNAME = re.compile(r"(?P<host>[^/]+)/(?P<device_id>[^/]+)(?:/(?P<module_id>[^/?=&]+))?(?:/\??(?P<query>.*))?")


@dataclass(frozen=True, slots=True)
class Username:
    """A CONNECT's username (docs/protocol.md §3.1). host: in lower case."""

    host: str
    device_id: str
    module_id: str | None
    model_id: str | None


def parse_username(username: str) -> Username | None:
    """`{hubHost}/{deviceId}[/{moduleId}]/?api-version=…`; old clients leave out the "?", or the query.

    Returns None for anything else.
    """
    match = _USERNAME.fullmatch(username)
    if match is None:
        return None
    query = parse_query(match["query"] or "")
    return Username(match["host"].lower(), match["device_id"], match["module_id"], query.get("model-id"))


@dataclass(frozen=True, slots=True)
class ConnectedDevice:
    """A device that has been let in. model_id: its Plug and Play model, as announced in the username."""

    identity: DeviceIdentity
    model_id: str | None


class Hub(Service[ConnectedDevice]):
    """One hub; its sessions survive their connections (clean session 0, docs/protocol.md §3.1)."""

    max_packet_bytes = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 4
    keeps_sessions = True

    def __init__(
        self,
        host: str,
        registry: Registry,
        identities: Identities,
        events: Events,
        telemetry: TelemetryLog,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__()
        self.name = f"hub {host}"
        self._host = host
        self._registry = registry
        self._events = events
        self._telemetry = telemetry
        self._now = now
        identities.watch(host, self._identity_changed)

    def on_connect(self, peer: Peer, connect: Connect) -> tuple[str, ConnectedDevice]:
        """Every refusal is CONNACK 5, whatever the fault (docs/protocol.md §3.2); the reason is for the developer."""
        username = parse_username(connect.username or "")
        if username is None:
            raise Reject("the username is not {hubHost}/{deviceId}/?api-version=…", "docs/protocol.md §3.1")
        if username.module_id is not None:
            raise Reject(
                f"the username names the module '{username.module_id}'; the emulator has no modules",
                "docs/protocol.md §3.1",
            )
        if connect.client_id != username.device_id:
            raise Reject(
                f"the client id '{connect.client_id}' is not the username's device id '{username.device_id}'",
                "docs/protocol.md §3.1",
            )
        identity = self._registry.device(self._host, username.device_id)
        if identity is None:
            raise Reject(
                f"the hub {self._host} knows no device '{username.device_id}': it must register with DPS first",
                "docs/protocol.md §3.2",
            )
        if not identity.enabled:
            raise Reject(f"the device '{identity.device_id}' is disabled in the hub", "docs/protocol.md §3.2")
        _check_certificate(identity, peer, connect)
        device = ConnectedDevice(identity, username.model_id)
        if connect.will is not None:
            self._check_will(device, connect.will)
        return identity.device_id, device

    def on_subscribe(self, session: Session[ConnectedDevice], topic_filter: str, qos: int) -> int:
        device_id = session.principal.identity.device_id
        if topic_filter not in [known.format(device_id=device_id) for known in _SUBSCRIPTIONS]:
            raise Drop(f"a SUBSCRIBE to '{topic_filter}', which is no topic of a hub", "docs/protocol.md §3.9")
        if len(session.subscriptions.keys() | {topic_filter}) > MAX_SUBSCRIPTIONS:
            raise Drop(f"more than {MAX_SUBSCRIPTIONS} subscriptions", "docs/protocol.md §3.9")
        return min(qos, 1)

    def on_publish(self, session: Session[ConnectedDevice], message: Publish) -> None:
        self._accept(session.principal, self._property_bag(session.principal, message), message.payload)

    def on_will(self, session: Session[ConnectedDevice], will: Will) -> None:
        bag = self._property_bag(session.principal, will)
        self._accept(session.principal, bag | {"iothub-MessageType": "Will"}, will.payload)

    def _identity_changed(self, device_id: str, identity: DeviceIdentity | None) -> None:
        """Close the connection of a device that may no longer be here (docs/protocol.md §3.9); forget a deleted one."""
        session = self.sessions.get(device_id)
        if session is None or (identity is not None and identity.enabled):
            return
        if session.link is not None:
            what = "deleted from" if identity is None else "disabled in"
            session.link.close("dropped", f"the device was {what} the hub while connected", "docs/protocol.md §3.9")
        if identity is None:
            self.sessions.pop(device_id, None)  # gone already, if it was not persistent

    def _check_will(self, device: ConnectedDevice, will: Will) -> None:
        if will.qos == 2:
            raise Reject("the will has QoS 2, with which nothing may be published", "docs/protocol.md §3.4")
        try:
            self._property_bag(device, will)
        except Drop as drop:
            raise Reject(f"the will is {drop.reason}", drop.section) from None

    def _property_bag(self, device: ConnectedDevice, message: Publish | Will) -> dict[str, str | None]:
        """The properties of telemetry: its topic's, and RETAIN as one (docs/protocol.md §3.5, §3.4).

        Raises Drop for a topic that is none of telemetry (§3.9).
        """
        topic = message.topic
        device_id = device.identity.device_id
        events_topic = f"devices/{device_id}/messages/events"
        if topic != events_topic and not topic.startswith(events_topic + "/"):
            hint = (
                " (twins, methods and credentials are not emulated yet)"
                if topic.startswith("$iothub/")
                else f"; '{device_id}' publishes to {events_topic}/"
            )
            raise Drop(f"a PUBLISH to '{topic}'{hint}", "docs/protocol.md §3.9")
        bag = parse_query(topic.removeprefix(events_topic).removeprefix("/").removeprefix("?").removesuffix("/"))
        return bag | {"mqtt-retain": "true"} if message.retain else bag

    def _accept(self, device: ConnectedDevice, bag: dict[str, str | None], payload: bytes) -> None:
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
        self._telemetry.add(message)
        shown = telemetry_body(message)
        self._events.publish("telemetry", message.device_id, _summary(shown["payload"], properties), "", **shown)


def _check_certificate(identity: DeviceIdentity, peer: Peer, connect: Connect) -> None:
    """The leaf must be the one whose thumbprint the hub holds (docs/protocol.md §2.5, §4.4)."""
    if not peer.chain:
        also = "; SAS tokens are not checked by this emulator" if connect.password else ""
        raise Reject(f"'{identity.device_id}' presented no client certificate{also}", "docs/protocol.md §4.4")
    thumbprint = hashlib.sha256(peer.chain[0]).hexdigest().upper()
    if thumbprint not in identity.thumbprints:
        known = ", ".join(f"{known[:16]}…" for known in identity.thumbprints) or "none"
        raise Reject(
            f"the certificate of '{identity.device_id}' has the SHA-256 thumbprint {thumbprint[:16]}… and the "
            f"hub knows {known}: after a renewal the device must register with DPS again",
            "docs/protocol.md §2.5",
        )


def _stamps(device: ConnectedDevice, system: dict[str, str], now: datetime) -> dict[str, str]:
    """What the hub adds to a message, so that a back end can trust it (docs/protocol.md §3.5)."""
    method = {"scope": "device", "type": "x509", "issuer": "iothub", "acceptingIpFilterRule": None}
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
