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

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message, with the QoS that the client's subscription was granted.

        Returns False, and sends nothing, when the client is away or has not subscribed to the topic.
        Raises Drop when the client acknowledges nothing.
        """
        granted = max(
            (qos for topic_filter, qos in self.subscriptions.items() if packets.matches(topic_filter, topic)),
            default=None,
        )
        if granted is None or self.link is None:
            return False
        self.link.send(packets.publish(topic, payload, granted, self._next_packet_id() if granted else 0))
        return True

    def acknowledge(self, packet_id: int) -> None:
        """The client's PUBACK."""
        self._unacknowledged.discard(packet_id)

    def _next_packet_id(self) -> int:
        if len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            raise Drop(f"{MAX_UNACKNOWLEDGED} messages sent to the client have had no PUBACK", "MQTT 3.1.1 §4.3.2")
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
        present = session is not None and persistent
        if session is None or not present:
            session = self.sessions[name] = Session(name, principal, persistent)
        session.principal, session.link = principal, link
        return session, present

    def close(self, session: Session[Principal]) -> None:
        """The session's connection has gone."""
        session.link = None
        if not session.persistent:
            del self.sessions[session.name]
