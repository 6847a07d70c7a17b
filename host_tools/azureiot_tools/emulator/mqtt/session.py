"""Sessions, and what a service must decide about its clients. Nothing here knows a socket or a clock.

A service (DPS, one hub) is the policy: a subclass of `Service`, whose methods are called by `connection.Connection`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from azureiot_tools.emulator.mqtt import packets
from azureiot_tools.emulator.mqtt.packets import Connect, Publish, Will
from azureiot_tools.emulator.peer import Peer

# A client that leaves more of our QoS 1 messages without PUBACK than this is broken; it must not grow our memory.
MAX_UNACKNOWLEDGED = 100


class Reject(Exception):
    """Refuse a CONNECT: CONNACK with `return_code`, then close.

    reason: for the developer, who is told what MQTT does not tell the device.  section: the source of the rule.
    """

    def __init__(self, reason: str, section: str, return_code: int = packets.NOT_AUTHORIZED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.section = section
        self.return_code = return_code


class Drop(Exception):
    """Close the connection without a word, as Azure does; reason and section as in `Reject`."""

    def __init__(self, reason: str, section: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.section = section


class Link(Protocol):
    """What a session needs of its connection."""

    def send(self, packet: bytes) -> None: ...

    def close(self, kind: str, reason: str, section: str = "") -> None: ...


Principal = TypeVar("Principal")


@dataclass(eq=False, slots=True)
class Session(Generic[Principal]):
    """One client's state at a service; outlives its connection when the client asked for that (clean session 0).

    name: among the service's sessions.  principal: who the client is, as `on_connect` found; renewed at every CONNECT.
    subscriptions: topic filter → granted QoS.  link: None while the client is away.
    """

    name: str
    principal: Principal
    persistent: bool
    link: Link | None = None
    subscriptions: dict[str, int] = field(default_factory=dict)
    _unacknowledged: set[int] = field(default_factory=set)
    _last_packet_id: int = 0

    def publish(self, topic: str, payload: bytes, most_qos: int = 1) -> int | None:
        """Send a message, with the QoS that the client's subscription was granted, but no more than `most_qos`.

        Returns its packet identifier, 0 with QoS 0. Returns None, and sends nothing, when the client is away or has not
        subscribed to the topic, or is sent away because it acknowledges nothing.
        """
        granted = self.granted(topic)
        if granted is None or self.link is None:
            return None
        qos = min(granted, most_qos)
        if qos and len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            reason = f"{MAX_UNACKNOWLEDGED} messages sent to the client have had no PUBACK"
            self.link.close("dropped", reason, "MQTT 3.1.1 §4.3.2")
            return None
        packet_id = self._next_packet_id() if qos else 0
        self.link.send(packets.publish(topic, payload, qos, packet_id))
        return packet_id

    def publish_again(self, topic: str, payload: bytes, packet_id: int) -> None:
        """Send a message of QoS 1 once more under its packet identifier (MQTT 3.1.1 §4.4)."""
        if self.link is not None:
            self._unacknowledged.add(packet_id)
            self.link.send(packets.publish(topic, payload, 1, packet_id, dup=True))

    def granted(self, topic: str) -> int | None:
        """The QoS with which the client has subscribed to a topic; None when it has not."""
        return max(
            (qos for topic_filter, qos in self.subscriptions.items() if packets.matches(topic_filter, topic)),
            default=None,
        )

    def acknowledge(self, packet_id: int) -> None:
        """The client's PUBACK."""
        self._unacknowledged.discard(packet_id)

    def detach(self) -> None:
        """The connection has gone. What it left without PUBACK is the service's to send again, or nobody's."""
        self.link = None
        self._unacknowledged.clear()

    def _next_packet_id(self) -> int:
        while True:
            self._last_packet_id = self._last_packet_id % 0xFFFF + 1
            if self._last_packet_id not in self._unacknowledged:
                self._unacknowledged.add(self._last_packet_id)
                return self._last_packet_id


class Service(ABC, Generic[Principal]):
    """A service that MQTT clients connect to, with session names of its own.

    name: as the events call it.  max_packet_bytes: longest packet taken after CONNECT.  keeps_sessions: whether a
    client with clean session 0 finds its session again.

    Raising Drop in any method but `on_connect` closes the client's connection.
    """

    name: str
    max_packet_bytes: int
    keeps_sessions: bool

    def __init__(self) -> None:
        self.sessions: dict[str, Session[Principal]] = {}

    @abstractmethod
    def on_connect(self, peer: Peer, connect: Connect) -> tuple[str, Principal]:
        """Who the client is: the name of its session, and the principal. Raises Reject."""

    @abstractmethod
    def on_publish(self, session: Session[Principal], message: Publish) -> None:
        """Take a message of QoS 0 or 1. What is sent to the client in here follows the PUBACK. Raises Drop."""

    @abstractmethod
    def on_subscribe(self, session: Session[Principal], topic_filter: str, qos: int) -> int:
        """The QoS to grant, or packets.SUBACK_FAILURE. Raises Drop."""

    def recall(self, name: str) -> dict[str, int] | None:
        """The subscriptions of a session that has outlived the process; None when there is none."""

    def keep(self, session: Session[Principal]) -> None:
        """The session is new, or its subscriptions have changed; one that is not persistent takes an older's place."""

    def after_connack(self, session: Session[Principal]) -> None:
        """The client has been let in and told so: what waits for it may be sent now."""

    def after_suback(self, session: Session[Principal], topic_filter: str) -> None:
        """The client has subscribed and been told so: what waits for it may be sent now."""

    def on_acknowledged(self, session: Session[Principal], packet_id: int) -> None:
        """The client's PUBACK of a message; it may be one of none."""

    def on_will(self, session: Session[Principal], will: Will) -> None:
        """The client went without DISCONNECT and had left this message."""

    def open(self, peer: Peer, connect: Connect, link: Link) -> tuple[Session[Principal], bool]:
        """The client's session, and whether it was there before (CONNACK's session present). Raises Reject.

        Another connection of the same client is closed: MQTT 3.1.1 §3.1.4, docs/protocol.md §3.9.
        """
        name, principal = self.on_connect(peer, connect)
        session = self.sessions.get(name)
        if session is not None and session.link is not None:
            session.link.close(
                "dropped", "another connection of the same client took over (400027)", "docs/protocol.md §3.9"
            )
        persistent = self.keeps_sessions and not connect.clean_session
        session = self.sessions.get(name)  # gone now, if it was not persistent
        if session is None and persistent:
            session = self._recalled(name, principal)
        present = session is not None and persistent
        if session is None or not present:
            session = self.sessions[name] = Session(name, principal, persistent)
            self.keep(session)
        session.principal, session.link = principal, link
        return session, present

    def close(self, session: Session[Principal]) -> None:
        """The session's connection has gone."""
        session.detach()
        if not session.persistent:
            del self.sessions[session.name]

    def _recalled(self, name: str, principal: Principal) -> Session[Principal] | None:
        subscriptions = self.recall(name)
        if subscriptions is None:
            return None
        session = self.sessions[name] = Session(name, principal, True, subscriptions=subscriptions)
        return session
