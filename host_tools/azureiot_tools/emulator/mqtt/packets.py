"""MQTT 3.1.1 packets, server side and sans-I/O: decodes all that a client sends, encodes all that a server sends.

The decoder is strict: whatever the specification calls a protocol violation raises `ProtocolError`, which names the
requirement, and never anything else. Section numbers are those of the OASIS standard, MQTT Version 3.1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(8, 15)

ACCEPTED, UNACCEPTABLE_PROTOCOL_VERSION, NOT_AUTHORIZED = 0, 1, 5  # CONNACK return codes, §3.2.2.3
SUBACK_FAILURE = 0x80

# The flags every packet type but PUBLISH must carry, §2.2.2. A type that is not here is none a client may send.
_FLAGS = {
    CONNECT: 0,
    PUBACK: 0,
    PUBREC: 0,
    PUBREL: 2,
    PUBCOMP: 0,
    SUBSCRIBE: 2,
    UNSUBSCRIBE: 2,
    PINGREQ: 0,
    DISCONNECT: 0,
}


class ProtocolError(Exception):
    """The client broke MQTT; the network connection must be closed (§4.8).

    reason: what is wrong, in words.  section: the requirement that it breaks.
    """

    def __init__(self, reason: str, section: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.section = section


class UnsupportedVersion(ProtocolError):
    """A CONNECT of another MQTT version: CONNACK 1, then close (§3.1.2.2)."""


class PacketTooLarge(ProtocolError):
    """A packet longer than the decoder's limit; its body was not buffered."""


@dataclass(slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(slots=True)
class Connect:
    client_id: str
    clean_session: bool
    keep_alive_s: int
    username: str | None
    password: bytes | None
    will: Will | None


@dataclass(slots=True)
class Publish:
    """packet_id is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int


@dataclass(slots=True)
class Acknowledgement:
    """PUBACK, PUBREC, PUBREL or PUBCOMP: `type` says which."""

    type: int
    packet_id: int


@dataclass(slots=True)
class Subscribe:
    packet_id: int
    filters: list[tuple[str, int]]  # topic filter, requested QoS


@dataclass(slots=True)
class Unsubscribe:
    packet_id: int
    filters: list[str]


class PingRequest:
    __slots__ = ()


class Disconnect:
    __slots__ = ()


Packet = Connect | Publish | Acknowledgement | Subscribe | Unsubscribe | PingRequest | Disconnect


class Decoder:
    """Cuts a byte stream into packets.

    max_packet_bytes: the longest remaining length that is taken; may be changed between packets. Between two calls of
    `feed` at most that much and a fixed header is buffered.
    """

    def __init__(self, max_packet_bytes: int) -> None:
        self.max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that `data` completes, one by one, so that those before a bad one are still served.

        Raises ProtocolError; the stream cannot be resumed after it.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while (header := self._fixed_header(start)) is not None:
                body_start, length = header
                end = body_start + length
                if end > len(buffer):
                    break
                body = bytes(memoryview(buffer)[body_start:end])
                first = buffer[start]
                start = end
                yield _decode(first >> 4, first & 0x0F, body)
        finally:
            del buffer[:start]

    def _fixed_header(self, start: int) -> tuple[int, int] | None:
        """(start of the body, remaining length) of the packet at `start`; None while that is incomplete (§2.2)."""
        buffer = self._buffer
        if start < len(buffer):
            _check_type(buffer[start] >> 4, buffer[start] & 0x0F)  # at once: the rest of nonsense may never come
        length = shift = 0
        for position in range(start + 1, min(start + 5, len(buffer))):
            length |= (buffer[position] & 0x7F) << shift
            shift += 7
            if not buffer[position] & 0x80:
                if length > self.max_packet_bytes:
                    raise PacketTooLarge(
                        f"a packet of {length} bytes; at most {self.max_packet_bytes} are taken",
                        "docs/protocol.md §3.9",
                    )
                return position + 1, length
        if shift == 28:
            raise ProtocolError("the remaining length has more than four bytes", "MQTT 3.1.1 §2.2.3")
        return None


def _check_type(packet_type: int, flags: int) -> None:
    if packet_type == PUBLISH:
        if flags & 0x06 == 0x06:
            raise ProtocolError("a PUBLISH with both QoS bits set", "MQTT 3.1.1 §3.3.1.2")
        if flags & 0x08 and not flags & 0x06:
            raise ProtocolError("a PUBLISH of QoS 0 that says it is a duplicate", "MQTT 3.1.1 §3.3.1.1")
        return
    expected = _FLAGS.get(packet_type)
    if expected is None:
        raise ProtocolError(f"packet type {packet_type} is none that a client sends", "MQTT 3.1.1 §2.2.1")
    if flags != expected:
        raise ProtocolError(
            f"packet type {packet_type} has the flags {flags:#06b} instead of {expected:#06b}", "MQTT 3.1.1 §2.2.2"
        )


def _decode(packet_type: int, flags: int, body: bytes) -> Packet:
    if packet_type == PUBLISH:
        return _publish(flags, body)
    fields = _Fields(body)
    read = _READERS.get(packet_type)
    packet = read(fields) if read else Acknowledgement(packet_type, fields.uint16())
    fields.end()
    return packet


class _Fields:
    """Reads the fields of one packet's body in order (§1.5)."""

    __slots__ = ("body", "position")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0

    @property
    def left(self) -> bool:
        return self.position < len(self.body)

    def take(self, length: int) -> bytes:
        start = self.position
        self.position = start + length
        if self.position > len(self.body):
            raise ProtocolError("the packet ends inside a field", "MQTT 3.1.1 §1.5")
        return self.body[start : self.position]

    def uint8(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.uint16()
        if packet_id == 0:
            raise ProtocolError("packet identifier 0", "MQTT 3.1.1 §2.3.1")
        return packet_id

    def binary(self) -> bytes:
        return self.take(self.uint16())

    def string(self) -> str:
        try:
            text = self.binary().decode("utf-8")  # refuses surrogates and overlong forms, as §1.5.3 wants
        except UnicodeDecodeError:
            raise ProtocolError("a string that is not UTF-8", "MQTT 3.1.1 §1.5.3") from None
        if "\0" in text:
            raise ProtocolError("a string with the character U+0000", "MQTT 3.1.1 §1.5.3")
        return text

    def end(self) -> None:
        if self.left:
            raise ProtocolError("bytes left over at the end of a packet", "MQTT 3.1.1 §2.2.3")


def _connect(fields: _Fields) -> Connect:
    name = fields.binary()
    level = fields.uint8()
    if name not in (b"MQTT", b"MQIsdp"):
        raise ProtocolError("the CONNECT's protocol name is not MQTT", "MQTT 3.1.1 §3.1.2.1")
    if (name, level) != (b"MQTT", 4):
        raise UnsupportedVersion(
            f"MQTT protocol level {level}; DPS and IoT Hub speak MQTT 3.1.1, which is level 4", "docs/protocol.md §1.2"
        )
    flags = fields.uint8()
    clean, will, will_qos, will_retain = flags & 0x02, flags & 0x04, flags >> 3 & 3, flags & 0x20
    password, username = flags & 0x40, flags & 0x80
    if flags & 1 or will_qos == 3 or (not will and (will_qos or will_retain)) or (password and not username):
        raise ProtocolError(f"the CONNECT's flags {flags:#010b} contradict each other", "MQTT 3.1.1 §3.1.2.3")
    keep_alive_s = fields.uint16()
    client_id = fields.string()
    return Connect(
        client_id=client_id,
        clean_session=bool(clean),
        keep_alive_s=keep_alive_s,
        will=Will(_topic_name(fields), fields.binary(), will_qos, bool(will_retain)) if will else None,
        username=fields.string() if username else None,
        password=fields.binary() if password else None,
    )


def _publish(flags: int, body: bytes) -> Publish:
    qos = flags >> 1 & 3
    fields = _Fields(body)
    topic = _topic_name(fields)
    packet_id = fields.packet_id() if qos else 0
    return Publish(topic, body[fields.position :], qos, bool(flags & 1), bool(flags & 8), packet_id)


def _topic_name(fields: _Fields) -> str:
    topic = fields.string()
    if not topic:
        raise ProtocolError("an empty topic", "MQTT 3.1.1 §4.7.3")
    if "+" in topic or "#" in topic:
        raise ProtocolError(f"the topic {topic!r} has a wildcard", "MQTT 3.1.1 §4.7.1")
    return topic


def _subscribe(fields: _Fields) -> Subscribe:
    packet_id = fields.packet_id()
    filters = []
    while fields.left:
        topic_filter, qos = _topic_filter(fields), fields.uint8()
        if qos > 2:
            raise ProtocolError(f"a SUBSCRIBE for QoS {qos}", "MQTT 3.1.1 §3.8.3")
        filters.append((topic_filter, qos))
    if not filters:
        raise ProtocolError("a SUBSCRIBE without a topic filter", "MQTT 3.1.1 §3.8.3")
    return Subscribe(packet_id, filters)


def _unsubscribe(fields: _Fields) -> Unsubscribe:
    packet_id = fields.packet_id()
    filters = []
    while fields.left:
        filters.append(_topic_filter(fields))
    if not filters:
        raise ProtocolError("an UNSUBSCRIBE without a topic filter", "MQTT 3.1.1 §3.10.3")
    return Unsubscribe(packet_id, filters)


def _topic_filter(fields: _Fields) -> str:
    topic_filter = fields.string()
    levels = topic_filter.split("/")
    mixed = any(len(level) > 1 and ("#" in level or "+" in level) for level in levels)
    if not topic_filter or mixed or "#" in levels[:-1]:
        raise ProtocolError(f"the topic filter {topic_filter!r} is malformed", "MQTT 3.1.1 §4.7.1")
    return topic_filter


_READERS: dict[int, Callable[[_Fields], Packet]] = {
    CONNECT: _connect,
    SUBSCRIBE: _subscribe,
    UNSUBSCRIBE: _unsubscribe,
    PINGREQ: lambda _: PingRequest(),
    DISCONNECT: lambda _: Disconnect(),
}


def connack(return_code: int, session_present: bool = False) -> bytes:
    return bytes((CONNACK << 4, 2, session_present and return_code == ACCEPTED, return_code))


def publish(topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, *, dup: bool = False) -> bytes:
    """A PUBLISH; packet_id counts with QoS 1 only."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if qos else b"") + payload
    return bytes((PUBLISH << 4 | dup << 3 | qos << 1,)) + _remaining_length(len(body)) + body


def puback(packet_id: int) -> bytes:
    return bytes((PUBACK << 4, 2)) + packet_id.to_bytes(2, "big")


def suback(packet_id: int, return_codes: Sequence[int]) -> bytes:
    body = packet_id.to_bytes(2, "big") + bytes(return_codes)
    return bytes((SUBACK << 4,)) + _remaining_length(len(body)) + body


def unsuback(packet_id: int) -> bytes:
    return bytes((UNSUBACK << 4, 2)) + packet_id.to_bytes(2, "big")


def pingresp() -> bytes:
    return bytes((PINGRESP << 4, 0))


def _remaining_length(length: int) -> bytes:
    encoded = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        encoded.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(encoded)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription's filter covers a topic (§4.7). A leading wildcard covers no topic that starts with $."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
