"""MQTT 3.1.1 packets as a client needs them: encode into a caller's buffer, decode from one. No socket, no clock.

An encoder returns the number of bytes it wrote; where the buffer is too small it writes nothing and returns minus the
number of bytes it needs. Texts are bytes, at most 65,535 of them.
Section numbers are those of the OASIS MQTT 3.1.1 specification.
"""

from azureiot.errors import AzureIoTError
from azureiot.runtime import const

# Packet types with their fixed flags: the first byte of a packet (§2.2).
CONNECT = const(0x10)
CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBSCRIBE = const(0x82)
SUBACK = const(0x90)
PINGREQ = const(0xC0)
PINGRESP = const(0xD0)
DISCONNECT = const(0xE0)

# The bodies a client may receive and how long they are; PUBLISH is the only one of any length (§3).
_BODY_BYTES = {CONNACK: 2, PUBACK: 2, SUBACK: 3, PINGRESP: 0}


def malformed(what: str) -> AzureIoTError:
    """The error for a packet that breaks the protocol: the connection must be closed (§4.8)."""
    return AzureIoTError("The server broke the MQTT protocol: %s." % what, "mqtt", True)


def refused(where: str, code: int) -> AzureIoTError:
    """The error for a CONNACK with a return code other than 0 (§3.2.2.3); only 3 may pass by itself."""
    words = "return code %d" % code
    cause = ""
    if code == 3:
        words = "server unavailable"
    elif code == 4 or code == 5:
        words = "not authorized"
    elif code != 2:
        cause = "mqtt"  # no server of Azure's
    return AzureIoTError("%s refused the connection: %s." % (where, words), "connack-%d" % code, code == 3, cause=cause)


def connect(
    buffer: bytearray,
    client_id: bytes,
    username: "bytes | None" = None,
    password: "bytes | None" = None,
    keep_alive_s: int = 240,
) -> int:
    """CONNECT (§3.1), with clean session 0: the server keeps subscriptions and what waits for this client."""
    flags = 0
    fields = [client_id]
    if username is not None:
        flags |= 0x80
        fields.append(username)
    if password is not None:
        flags |= 0x40
        fields.append(password)
    remaining = 10
    for field in fields:
        remaining += 2 + len(field)
    end = _header(buffer, CONNECT, remaining)
    if end < 0:
        return end
    end = _text(buffer, end, b"MQTT")
    buffer[end] = 4  # protocol level: 3.1.1
    buffer[end + 1] = flags
    end = _uint16(buffer, end + 2, keep_alive_s)
    for field in fields:
        end = _text(buffer, end, field)
    return end


def subscribe(buffer: bytearray, packet_id: int, topic_filter: bytes, qos: int = 1) -> int:
    """SUBSCRIBE to one topic filter (§3.8)."""
    end = _header(buffer, SUBSCRIBE, 5 + len(topic_filter))
    if end < 0:
        return end
    end = _text(buffer, _uint16(buffer, end, packet_id), topic_filter)
    buffer[end] = qos
    return end + 1


def publish(buffer: bytearray, topic: bytes, payload: bytes, packet_id: int = 0, duplicate: bool = False) -> int:
    """PUBLISH (§3.3): QoS 1 with a packet id, QoS 0 without (packet_id 0)."""
    remaining = 2 + len(topic) + len(payload)
    first = PUBLISH
    if packet_id:
        remaining += 2
        first |= 0x0A if duplicate else 0x02
    end = _header(buffer, first, remaining)
    if end < 0:
        return end
    end = _text(buffer, end, topic)
    if packet_id:
        end = _uint16(buffer, end, packet_id)
    buffer[end : end + len(payload)] = payload
    return end + len(payload)


def acknowledge(buffer: bytearray, packet_id: int) -> int:
    """PUBACK (§3.4)."""
    end = _header(buffer, PUBACK, 2)
    return end if end < 0 else _uint16(buffer, end, packet_id)


def signal(buffer: bytearray, packet_type: int) -> int:
    """A packet without a body: PINGREQ or DISCONNECT (§3.12, §3.14)."""
    return _header(buffer, packet_type, 0)


def frame(buffer: bytearray, start: int, filled: int) -> int:
    """The bytes that the packet at `start` takes up, header included; 0 while its header is not complete (§2.2.3).

    Raises AzureIoTError when the length has more than four bytes.
    """
    remaining = shift = 0
    i = start + 1
    while i < filled:
        byte = buffer[i]
        remaining |= (byte & 0x7F) << shift
        i += 1
        if not byte & 0x80:
            return i - start + remaining
        shift += 7
        if shift > 21:
            raise malformed("a packet length of more than four bytes")
    return 0


def body(buffer: bytearray, start: int, end: int) -> int:
    """Where the body of the packet in buffer[start:end] begins (§2.2.2).

    Raises AzureIoTError unless its type, flags and length fit together.
    """
    first = buffer[start]
    at = start + 2
    while buffer[at - 1] & 0x80:
        at += 1
    if first & 0xF0 == PUBLISH:
        if first & 0x06 > 0x02 or first & 0x0E == 0x08:  # QoS 2 was never asked for; DUP needs QoS 1
            raise malformed("a PUBLISH with flags %d" % (first & 0x0F))
    elif _BODY_BYTES.get(first, -1) != end - at:
        raise malformed("a packet of type %d with %d bytes" % (first, end - at))
    return at


def topic_end(buffer: bytearray, at: int, end: int) -> int:
    """Where the topic of a PUBLISH whose body is buffer[at:end] ends. Raises AzureIoTError when it does not fit."""
    if at + 2 > end:
        raise malformed("a PUBLISH without a topic")
    at += 2 + uint16(buffer, at)
    if at > end:
        raise malformed("a topic that is longer than its packet")
    return at


def packet_id(buffer: bytearray, at: int, end: int) -> int:
    """The packet id at buffer[at]. Raises AzureIoTError when it is missing or 0 (§2.3.1)."""
    value = uint16(buffer, at) if at + 2 <= end else 0
    if not value:
        raise malformed("a packet id of 0 or none")
    return value


def uint16(buffer: bytearray, at: int) -> int:
    """Two bytes, most significant first."""
    return buffer[at] << 8 | buffer[at + 1]


def _header(buffer, first, remaining):
    """The fixed header; its end, or minus the bytes the whole packet needs."""
    size = 2 + remaining
    rest = remaining >> 7
    while rest:
        size += 1
        rest >>= 7
    if size > len(buffer):
        return -size
    buffer[0] = first
    end = 1
    while True:
        buffer[end] = remaining & 0x7F | (0x80 if remaining > 0x7F else 0)
        end += 1
        remaining >>= 7
        if not remaining:
            return end


def _text(buffer, at, text):
    end = _uint16(buffer, at, len(text)) + len(text)
    buffer[at + 2 : end] = text
    return end


def _uint16(buffer, at, value):
    buffer[at] = value >> 8
    buffer[at + 1] = value & 0xFF
    return at + 2
