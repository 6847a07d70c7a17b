"""A hub as the broker's policy: who may connect, subscribe and publish (docs/protocol.md §3.1–3.4, §3.9)."""

from __future__ import annotations

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.authentication import authenticate
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.hub.faults import Faults
from azureiot_tools.emulator.hub.messages import CloudToDevice
from azureiot_tools.emulator.hub.methods import DirectMethods
from azureiot_tools.emulator.hub.telemetry import MAX_MESSAGE_BYTES, TelemetryIntake, property_bag
from azureiot_tools.emulator.hub.token_expiry import TokenExpiry
from azureiot_tools.emulator.hub.twin_requests import TwinRequests
from azureiot_tools.emulator.hub.username import parse_username
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.mqtt.packets import Connect, Publish, Will
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import DeviceIdentity, KeptSession
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import SasRules
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.timers import Timers
from azureiot_tools.emulator.twins import Twins

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
    """One hub; its sessions survive their connections and the emulator (clean session 0, docs/protocol.md §3.1).

    methods, messages: what the service API does with the hub's devices. basic_tier: a hub without twins, methods and
    messages to devices.
    """

    max_packet_bytes = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 4
    keeps_sessions = True

    def __init__(
        self,
        host: str,
        registry: Registry,
        identities: Identities,
        twins: Twins,
        events: Events,
        telemetry: TelemetryLog,
        timers: Timers,
        sas: SasRules,
        *,
        basic_tier: bool = False,
    ) -> None:
        super().__init__()
        self.name = f"hub {host}"
        self._host = host
        self._registry = registry
        self.basic_tier = basic_tier
        self._now = timers.now
        self._sas = sas
        self._expiry = TokenExpiry(timers)
        self.methods = DirectMethods(host, self.sessions, events, timers)
        self.messages = CloudToDevice(host, self.sessions, registry, events, timers)
        self._twins = TwinRequests(host, self.sessions, twins, events, timers.now)
        self._faults = Faults(events, timers)
        self._telemetry = TelemetryIntake(host, events, telemetry, timers.now)
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
        until = authenticate(identity, peer, connect, self._now(), self._sas)
        device = ConnectedDevice(identity, username.model_id, username.api_version, until)
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
        topic = message.topic
        if self.basic_tier and topic.startswith("$iothub/"):
            raise Drop(f"a PUBLISH to '{topic}' at a hub of the Basic tier (403010)", "docs/protocol.md §3.9")
        if topic.startswith("$iothub/twin/"):
            self._twins.requested(session, message)
        elif topic.startswith("$iothub/methods/"):
            self.methods.answered(session, message)
        elif topic.startswith("$iothub/credentials/"):
            raise Drop(
                f"a PUBLISH to '{topic}': certificates that the hub itself issues, a preview, are not emulated",
                "docs/protocol.md §6.2",
            )
        else:
            self._take_telemetry(session, message)

    def _take_telemetry(self, session: Session[ConnectedDevice], message: Publish) -> None:
        bag = property_bag(session.principal, message)
        self._telemetry.accept(session.principal, bag, message.payload)
        self._faults.order(session, bag)

    def recall(self, name: str) -> dict[str, int] | None:
        kept = self._registry.session(self._host, name)
        return None if kept is None else dict(kept.subscriptions)

    def keep(self, session: Session[ConnectedDevice]) -> None:
        if session.persistent:
            self._registry.put_session(KeptSession(self._host, session.name, session.subscriptions))
        else:
            self._registry.delete_session(self._host, session.name)

    def after_connack(self, session: Session[ConnectedDevice]) -> None:
        self._expiry.connected(session)
        if not session.persistent:
            self.messages.forget(session.name)
            self.messages.purge(session.name, "the device has connected with clean session 1")
        self._serve(session)

    def after_suback(self, session: Session[ConnectedDevice], topic_filter: str) -> None:
        self._serve(session)

    def on_acknowledged(self, session: Session[ConnectedDevice], packet_id: int) -> None:
        self.messages.acknowledged(session, packet_id)

    def close(self, session: Session[ConnectedDevice]) -> None:
        super().close(session)
        self._expiry.left(session)
        self._faults.left(session)
        self.methods.left(session)
        self.messages.left(session)

    def on_will(self, session: Session[ConnectedDevice], will: Will) -> None:
        bag = property_bag(session.principal, will)
        self._telemetry.accept(session.principal, bag | {"iothub-MessageType": "Will"}, will.payload)

    def _serve(self, session: Session[ConnectedDevice]) -> None:
        """The device can be reached in one more way than before: some may have waited for that."""
        self.methods.arrived(session)
        self.messages.deliver(session)

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
            self.messages.forget(device_id)

    def _check_will(self, device: ConnectedDevice, will: Will) -> None:
        if will.qos == 2:
            raise Reject("the will has QoS 2, with which nothing may be published", "docs/protocol.md §3.4")
        try:
            property_bag(device, will)
        except Drop as drop:
            raise Reject(f"the will is {drop.reason}", drop.section) from None
