"""Cloud-to-device messages: a queue for each device, kept until the device has acknowledged (docs/protocol.md §3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.session import Session
from azureiot_tools.emulator.records import CloudMessage, Feedback
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.timers import Timer, Timers

MAX_QUEUED = 50
MAX_DELIVERIES = 10  # the service's default (§9, not verified over MQTT)
LOCK = timedelta(seconds=60)
_SECTION = "docs/protocol.md §3.6"

# The end of a message, by the feedback's status code.
SUCCESS, EXPIRED, TOO_OFTEN, PURGED = "Success", "Expired", "DeliveryCountExceeded", "Purged"
_SAID = {
    SUCCESS: "completed: the device has acknowledged it",
    EXPIRED: "expired before the device had acknowledged it",
    TOO_OFTEN: f"given up: {MAX_DELIVERIES} connections ended before the device had acknowledged it",
    PURGED: "purged",
}


class QueueFull(Exception):
    """MAX_QUEUED messages wait for the device already."""


@dataclass(slots=True)
class _Delivery:
    """A message that was sent with QoS 1 and is locked until its PUBACK. lock: None once its connection has gone."""

    sequence: int
    lock: Timer | None


class CloudToDevice:
    """The queues of one hub's devices, kept in the registry. Belongs to the emulator's loop."""

    def __init__(
        self,
        host: str,
        sessions: Mapping[str, Session[ConnectedDevice]],
        registry: Registry,
        events: Events,
        timers: Timers,
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._registry = registry
        self._events = events
        self._timers = timers
        self._deliveries: dict[str, dict[int, _Delivery]] = {}  # by the session's name, then by packet identifier
        self._expiry: Timer | None = None
        self._watch_expiry()

    def send(self, message: CloudMessage) -> CloudMessage:
        """Queue a message, and deliver it if the device is there. Returns it with its number. Raises QueueFull."""
        queued = self._registry.count_messages(self._host, message.device_id)
        if queued >= MAX_QUEUED:
            raise QueueFull
        message = self._registry.add_message(message)
        self._tell(message, f"queued, {queued + 1} of {MAX_QUEUED}")
        self._watch_expiry()
        session = self._sessions.get(message.device_id)
        if session is not None:
            self.deliver(session)
        return message

    def deliver(self, session: Session[ConnectedDevice]) -> None:
        """Send all that waits for a device, if it is there and has subscribed; not what it has and is still locked."""
        granted = session.granted(_topic_of(session.name))
        if session.link is None or granted is None:
            return
        now = self._timers.now()
        messages = [one for one in self._registry.messages(self._host, session.name) if one.expires > now]
        deliveries = self._deliveries.setdefault(session.name, {})
        self._clear(deliveries, {message.sequence for message in messages})
        on_their_way = {delivery.sequence: packet_id for packet_id, delivery in deliveries.items()}
        for message in messages:
            packet_id = on_their_way.get(message.sequence)
            if packet_id is not None and deliveries[packet_id].lock is not None:
                continue
            if packet_id is not None and granted:
                session.publish_again(message_topic(message), message.payload, packet_id)
                self._tell(message, "delivered again: it has had no PUBACK", _SECTION)
            else:
                packet_id = session.publish(message_topic(message), message.payload)
                if packet_id is None:
                    return  # the client was sent away
                self._tell(message, "delivered" if packet_id else "delivered with QoS 0")
            if packet_id:
                deliveries[packet_id] = _Delivery(message.sequence, self._lock(session.name, packet_id))
            else:
                self._end(message, SUCCESS)

    def acknowledged(self, session: Session[ConnectedDevice], packet_id: int) -> None:
        """The device's PUBACK completes a message."""
        delivery = self._deliveries.get(session.name, {}).pop(packet_id, None)
        if delivery is None:
            return  # it was for something else than a message
        if delivery.lock is not None:
            delivery.lock.cancel()
        message = self._registry.message(delivery.sequence)
        if message is not None:  # else it has expired, or was purged
            self._end(message, SUCCESS)

    def left(self, session: Session[ConnectedDevice]) -> None:
        """The connection has gone: what it left without PUBACK is sent again over the next one.

        Such an end counts as a delivery, unlike a lock's (§3.6; of connections that is not verified).
        """
        for delivery in self._deliveries.get(session.name, {}).values():
            if delivery.lock is None:
                continue
            delivery.lock.cancel()
            delivery.lock = None
            message = self._registry.message(delivery.sequence)
            if message is None:
                continue
            message = replace(message, delivery_count=message.delivery_count + 1)
            if message.delivery_count >= MAX_DELIVERIES:
                self._end(message, TOO_OFTEN)
            else:
                self._registry.put_message(message)
        if not session.persistent:
            self.forget(session.name)

    def purge(self, device_id: str, why: str) -> int:
        """Delete all that waits for a device; how many messages that was."""
        messages = self._registry.messages(self._host, device_id)
        for message in messages:
            self._end(message, PURGED, why)
        return len(messages)

    def forget(self, device_id: str) -> None:
        """The device's session is over: what was sent over it has no packet identifier any more."""
        for delivery in self._deliveries.pop(device_id, {}).values():
            if delivery.lock is not None:
                delivery.lock.cancel()

    def _clear(self, deliveries: dict[int, _Delivery], waiting: set[int]) -> None:
        """Forget deliveries of messages that have come to their end without a PUBACK."""
        for packet_id, delivery in list(deliveries.items()):
            if delivery.sequence not in waiting:
                if delivery.lock is not None:
                    delivery.lock.cancel()
                del deliveries[packet_id]

    def _lock(self, device_id: str, packet_id: int) -> Timer:
        return self._timers.at(self._timers.now() + LOCK, lambda: self._unlock(device_id, packet_id))

    def _unlock(self, device_id: str, packet_id: int) -> None:
        """The lock's time is up: the message is queued again, and so delivered again."""
        self._deliveries[device_id][packet_id].lock = None
        session = self._sessions.get(device_id)
        if session is not None:
            self.deliver(session)

    def _expire(self) -> None:
        for message in self._registry.expired_messages(self._host, self._timers.now()):
            self._end(message, EXPIRED)
        self._watch_expiry()

    def _watch_expiry(self) -> None:
        """Look at the queues again when the next message expires."""
        expires = self._registry.next_expiry(self._host)
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = None if expires is None else self._timers.at(expires, self._expire)

    def _end(self, message: CloudMessage, status: str, why: str = "") -> None:
        """A message has come to its end: forget it, and keep what the sender wants to be told."""
        wanted = {"positive": status == SUCCESS, "negative": status != SUCCESS, "full": True, "none": False}[
            message.ack
        ]
        identity = self._registry.device(self._host, message.device_id)
        feedback = None
        if wanted and identity is not None:
            feedback = Feedback(
                sequence=0,
                hub=self._host,
                device_id=message.device_id,
                generation_id=identity.generation_id,
                message_id=message.system.get("$.mid", ""),
                status=status,
                description=status,
                time=self._timers.now(),
            )
        self._registry.delete_message(message.sequence, feedback)
        self._tell(message, f"{_SAID[status]}{why and ': '}{why}", "" if status == SUCCESS else _SECTION)

    def _tell(self, message: CloudMessage, what: str, section: str = "") -> None:
        name = message.system.get("$.mid") or f"no. {message.sequence}"
        text = f"message {name} {what}"
        message_id = message.system.get("$.mid")
        self._events.publish(
            "message", message.device_id, text, section, hub=self._host, sequence=message.sequence, messageId=message_id
        )


def message_topic(message: CloudMessage) -> str:
    """The topic with the property bag at its end, spelt as the service does (§3.6).

    "$.to" is always there: the C# SDK does not take an empty bag.
    """
    system = message.system | {"$.to": f"/devices/{message.device_id}/messages/devicebound"}
    bag: dict[str, str | None] = {name: system[name] for name in _SYSTEM if name in system}
    if message.ack != "none":
        bag["iothub-ack"] = message.ack
    bag |= message.properties
    pairs = (
        quote(name, safe="") + ("" if value is None else f"={quote(value, safe='')}") for name, value in bag.items()
    )
    return _topic_of(message.device_id) + "&".join(pairs)


# In the order in which they were seen (§3.6).
_SYSTEM = ("$.mid", "$.cid", "$.to", "$.ct", "$.ce", "$.exp")


def _topic_of(device_id: str) -> str:
    return f"devices/{device_id}/messages/devicebound/"
