"""What tests put in the place of clock, link and server. Runs on both runtimes."""

from azureiot.errors import AzureIoTError
from azureiot.link import Link


def raises(call, code=None):
    """The AzureIoTError that call() raises; fails when it raises none, or one with another code."""
    try:
        call()
    except AzureIoTError as error:
        assert code is None or error.code == code, "code %r, not %r" % (error.code, code)
        return error
    raise AssertionError("nothing was raised")


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.now_ms = 1000

    def ticks_ms(self):
        return self.now_ms

    def ticks_diff(self, later, earlier):
        return later - earlier


class FakeLink:
    """A link whose other end is the test: `feed` what the server sends, look at `sent`."""

    def __init__(self, host="hub.example", port=8883, context=None):
        self.host = host
        self.port = port
        self.socket = self
        self.sent = bytearray()
        self.writes = 0  # calls that took something
        self.window = 1 << 30  # how many more bytes a write takes before it would block
        self.opening = []  # masks that step() returns before the link is open
        self.closed = False
        self.ended = False  # the server has closed
        self._incoming = b""

    unresolved = Link.unresolved

    def resolved(self, addresses):
        pass

    def timeout_ms(self):
        return 1 << 26

    def feed(self, data):
        self._incoming += data

    def step(self):
        return self.opening.pop(0) if self.opening else 0

    def read_into(self, view):
        if not self._incoming:
            return 0 if self.ended else None
        count = min(len(view), len(self._incoming))
        view[:count] = self._incoming[:count]
        self._incoming = self._incoming[count:]
        return count

    def write(self, view):
        if self.closed:
            raise AzureIoTError("closed", "closed", True)
        count = min(len(view), self.window)
        if count == 0:
            return None
        self.window -= count
        self.sent.extend(view[:count])
        self.writes += 1
        return count

    def close(self):
        self.closed = True

    def take(self):
        """The packets sent since the last call, as (first byte, body) pairs."""
        data, self.sent = bytes(self.sent), bytearray()
        return split(data)


class Recorder:
    """A session's handler that writes down what it is told."""

    def __init__(self):
        self.events = []

    def on_connected(self, session_present):
        self.events.append(("connected", session_present))

    def on_subscribed(self, granted_qos):
        self.events.append(("subscribed", granted_qos))

    def on_acknowledged(self, packet_id):
        self.events.append(("acknowledged", packet_id))

    def on_message(self, topic, payload, packet_id):
        self.events.append(("message", topic, bytes(payload), packet_id))

    def on_oversized(self, packet_bytes, packet_id):
        self.events.append(("oversized", packet_bytes, packet_id))


# What a server sends.

PINGRESP = b"\xd0\x00"


def connack(code=0, session_present=0):
    return bytes((0x20, 2, session_present, code))


def suback(packet_id, granted_qos=1):
    return bytes((0x90, 3, packet_id >> 8, packet_id & 255, granted_qos))


def puback(packet_id):
    return bytes((0x40, 2, packet_id >> 8, packet_id & 255))


def publish(topic, payload, packet_id=0):
    topic = topic.encode()
    body = bytes((len(topic) >> 8, len(topic) & 255)) + topic
    if packet_id:
        body += bytes((packet_id >> 8, packet_id & 255))
    body += payload
    return bytes((0x32 if packet_id else 0x30,)) + length(len(body)) + body


def length(value):
    """A remaining length, MQTT 3.1.1 §2.2.3."""
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)


# What a client sent.


def split(data):
    """A byte stream as (first byte, body) pairs."""
    found = []
    while data:
        size = shift = 0
        at = 1
        while True:
            size |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 128:
                break
        assert len(data) >= at + size, "half a packet"
        found.append((data[0], data[at : at + size]))
        data = data[at + size :]
    return found


def published(packet):
    """(topic, payload, packet id) of a PUBLISH from `split`."""
    first, body = packet
    assert first & 0xF0 == 0x30, "no PUBLISH"
    end = 2 + (body[0] << 8 | body[1])
    topic = str(body[2:end], "utf8")
    if first & 6:
        return topic, body[end + 2 :], body[end] << 8 | body[end + 1]
    return topic, body[end:], 0
