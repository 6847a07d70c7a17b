"""A hub as the broker's policy: who may connect, subscribe and publish (docs/protocol.md §3.1–3.4, §3.9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.authentication import authenticate
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.hub.telemetry import MAX_MESSAGE_BYTES, TelemetryIntake, property_bag
from azureiot_tools.emulator.hub.username import parse_username
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.mqtt.packets import Connect, Publish, Will
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.telemetry_log import TelemetryLog

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
        self._telemetry = TelemetryIntake(host, events, telemetry, now)
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
        authenticate(identity, peer, connect)
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
        self._telemetry.accept(session.principal, property_bag(session.principal, message), message.payload)

    def on_will(self, session: Session[ConnectedDevice], will: Will) -> None:
        bag = property_bag(session.principal, will)
        self._telemetry.accept(session.principal, bag | {"iothub-MessageType": "Will"}, will.payload)

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
            property_bag(device, will)
        except Drop as drop:
            raise Reject(f"the will is {drop.reason}", drop.section) from None
