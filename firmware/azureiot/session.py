"""MQTT over one link: connect, subscribe, publish, acknowledge, stay alive. Knows nothing of Azure; never blocks."""

import azureiot.packets as packets
import azureiot.runtime as runtime
from azureiot.errors import AzureIoTError
from azureiot.receiver import Receiver
from azureiot.runtime import READ, WRITE, const

_FIRST_BUFFER_BYTES = const(512)
_FOREVER_MS = const(0x3FFFFFF)
_READS_PER_STEP = const(16)
_MAX_ACKNOWLEDGEMENTS = const(16)
_PING = const(0)  # no packet id
# CPython takes a write whole or not at all: in pieces a slow link shows its progress. A TLS record holds no more.
_WRITE_BYTES = const(16384)


class Session:
    """One MQTT session over one link, from CONNECT to the end of both.

    link: a fresh Link (or what has its methods).
    handler: is told what arrives: on_connected(session_present), on_subscribed(granted_qos),
        on_acknowledged(packet_id), on_message(topic, payload, packet_id) with payload a memoryview only good until it
        returns, and on_oversized(packet_bytes, packet_id). A packet_id other than 0 is to be given to `acknowledge`.
    clock: what has ticks_ms and ticks_diff.
    keep_alive_s: the longest silence from this side (MQTT 3.1.1 §3.1.2.10); 0 for none.
    response_timeout_s: how long the server may owe an answer (SUBACK, PUBACK, PINGRESP) or take no bytes.
    connect_timeout_s: how long name, connection, handshake and CONNACK may take together; a throttling hub takes 55 s
        (docs/protocol.md §3.2).
    max_packet_bytes: longer packets are skipped without buffering.

    `step()` raises AzureIoTError when the session is over; `idle` says that a packet may be given to it.
    """

    def __init__(
        self,
        link,
        handler,
        clock=runtime,
        keep_alive_s: int = 240,
        max_packet_bytes: int = 4096,
        response_timeout_s: int = 20,
        connect_timeout_s: int = 60,
    ):
        self.link = link
        self.connected = False  # CONNACK has come
        self.last_packet_id = 0  # the last one given out
        self._handler = handler
        self._clock = clock
        self._keep_alive_ms = keep_alive_s * 1000
        self._connect_timeout_ms = connect_timeout_s * 1000
        # A half-open link must be found before the server's 1.5 × keep-alive runs out.
        self._response_timeout_ms = min(response_timeout_s * 1000, self._keep_alive_ms // 2 or _FOREVER_MS)
        self._receiver = Receiver(self._on_packet, handler.on_oversized, max_packet_bytes)
        self._make_room(_FIRST_BUFFER_BYTES)
        self._sent = self._to_send = 0
        self._acknowledgements = []  # packet ids, waiting for room to be sent
        self._owed = []  # what the server owes an answer to: packet ids, of SUBSCRIBEs negative; _PING for a PINGRESP
        self._written_ms = clock.ticks_ms()  # when this side was last heard: for keep-alive
        self._progress_ms = self._written_ms  # when what is waited for last moved: for patience

    # What one can send; only while `idle`. Each packet goes out in one write, as far as the link takes it.

    @property
    def idle(self) -> bool:
        """Whether the last packet has left and the next may come."""
        return self.connected and self._sent == self._to_send

    @property
    def reached(self) -> bool:
        """Whether the server has been reached: if this fails now, it is an answer that is missing."""
        return self.connected or self._sent == self._to_send

    def connect(self, client_id: bytes, username: "bytes | None" = None, password: "bytes | None" = None) -> None:
        """Queue the CONNECT: it goes out as soon as the link is open. It asks for the session of before (§3.1.2.4)."""
        self._encode(packets.connect, client_id, username, password, self._keep_alive_ms // 1000)

    def subscribe(self, topic_filter: bytes) -> None:
        """Ask for QoS 1 delivery of what `topic_filter` matches."""
        packet_id = self.next_packet_id()
        self._encode(packets.subscribe, packet_id, topic_filter)
        self._owed.append(-packet_id)
        self._flush()

    def publish(self, topic: bytes, payload: bytes, packet_id: int = 0, duplicate: bool = False) -> None:
        """Send a message: QoS 1 with a packet id, QoS 0 without."""
        self._encode(packets.publish, topic, payload, packet_id, duplicate)
        if packet_id:
            self._owed.append(packet_id)
        self._flush()

    def acknowledge(self, packet_id: int) -> None:
        """Send PUBACK when there is room."""
        self._acknowledgements.append(packet_id)

    def next_packet_id(self) -> int:
        """The next packet id: 1 to 65,535, then 1 again (§2.3.1)."""
        self.last_packet_id = self.last_packet_id % 65535 + 1
        return self.last_packet_id

    def close(self) -> None:
        """End the session, with DISCONNECT when it can be sent, so that no will is published (§3.14)."""
        try:
            if self.idle:
                self._encode(packets.signal, packets.DISCONNECT)
                self._flush()
        except AzureIoTError:
            pass  # it was already gone
        self.connected = False
        self.link.close()

    # What happens by itself.

    def step(self) -> int:
        """Do what can be done without waiting; what to wait for next (READ, WRITE, NAME), at most `timeout_ms()` long.

        Raises AzureIoTError when the session is over.
        """
        if self.connected and 0 < self._keep_alive_ms * 3 // 2 < self._silent_ms():
            # The program has not called for so long that the server has dropped this client (docs/protocol.md §3.3).
            raise self._over("closed the connection", "closed")
        if self._patience_ms() <= 0:
            if self.reached:
                raise self._over("did not answer", "timeout", "no-answer")
            raise self._over("could not be reached", "timeout")
        mask = self.link.step()
        if mask:
            return mask
        self._flush()
        if self._sent < self._to_send and not self.connected:
            return (
                WRITE  # until CONNECT has left nothing can come, and on MicroPython only writing drives the handshake
            )
        while self._acknowledgements and self.idle:
            self._encode(packets.acknowledge, self._acknowledgements.pop(0))
            self._flush()
        if self.idle and self._keep_alive_ms and _PING not in self._owed and self._silent_ms() >= self._keep_alive_ms:
            self._encode(packets.signal, packets.PINGREQ)
            self._owed.append(_PING)
            self._flush()
        return self._read()

    def _read(self):
        """Read until there is nothing more or this step's share is done; what to wait for."""
        for _ in range(_READS_PER_STEP):
            if len(self._acknowledgements) >= _MAX_ACKNOWLEDGEMENTS:
                return WRITE  # a server that takes no PUBACK gets nothing more read
            count = self._receiver.read(self.link)
            if count == 0:
                raise self._over("closed the connection", "closed")
            if count is None:
                return READ if self._sent == self._to_send and not self._acknowledgements else READ | WRITE
        return READ | WRITE  # writing is possible at once: so is the next step

    def timeout_ms(self) -> int:
        """Milliseconds until `step` must be called even if nothing happens."""
        if not self.connected:
            return min(self._patience_ms(), self.link.timeout_ms())
        if self._keep_alive_ms and self.idle and _PING not in self._owed:
            return min(self._patience_ms(), self._keep_alive_ms - self._silent_ms())
        return self._patience_ms()

    def _patience_ms(self):
        """Milliseconds until the server has owed something, or taken no bytes, for too long."""
        if not self.connected:
            return self._connect_timeout_ms - self._since_ms(self._progress_ms)
        if self._owed or self._sent < self._to_send:
            return self._response_timeout_ms - self._since_ms(self._progress_ms)
        return _FOREVER_MS

    def _since_ms(self, then_ms):
        return self._clock.ticks_diff(self._clock.ticks_ms(), then_ms)

    def _silent_ms(self):
        return self._since_ms(self._written_ms)

    def _over(self, words, code, cause=""):
        return AzureIoTError("%s:%d %s." % (self.link.host, self.link.port, words), code, True, cause=cause)

    # Packets out.

    def _make_room(self, size):
        self._sending = bytearray(size)
        self._view = memoryview(self._sending)

    def _encode(self, encoder, *fields):
        size = encoder(self._sending, *fields)
        if size < 0:
            self._make_room(-size)
            size = encoder(self._sending, *fields)
        if self.connected and not self._owed:
            self._progress_ms = self._clock.ticks_ms()  # patience begins now
        self._sent = 0
        self._to_send = size

    def _flush(self):
        """Offer what is unsent, and exactly that: mbedTLS demands it (docs/micropython.md §2.1)."""
        while self._sent < self._to_send:
            written = self.link.write(self._view[self._sent : min(self._to_send, self._sent + _WRITE_BYTES)])
            if not written:
                return
            self._sent += written
            self._written_ms = self._clock.ticks_ms()
            if self.connected:
                self._progress_ms = self._written_ms

    # Packets in.

    def _on_packet(self, buffer, start, end):
        at = packets.body(buffer, start, end)
        kind = buffer[start] & 0xF0
        if kind == packets.CONNACK:
            self._on_connack(buffer[at], buffer[at + 1])
        elif not self.connected:
            raise packets.malformed("a packet before CONNACK")
        elif kind == packets.PUBLISH:
            payload = packets.topic_end(buffer, at, end)
            topic = _text(buffer, at + 2, payload)
            packet_id = 0
            if buffer[start] & 6:
                packet_id = packets.packet_id(buffer, payload, end)
                payload += 2
            self._handler.on_message(topic, memoryview(buffer)[payload:end], packet_id)
        else:
            answered = _PING if kind == packets.PINGRESP else packets.packet_id(buffer, at, end)
            if kind == packets.PUBACK:
                self._handler.on_acknowledged(answered)
            elif kind == packets.SUBACK:
                answered = -answered
            if answered in self._owed:  # what was not asked for is no sign of progress
                self._owed.remove(answered)
                self._progress_ms = self._clock.ticks_ms()
                if kind == packets.SUBACK:
                    self._handler.on_subscribed(buffer[at + 2])

    def _on_connack(self, flags, code):
        if self.connected:
            raise packets.malformed("a second CONNACK")
        if code:
            raise packets.refused("%s:%d" % (self.link.host, self.link.port), code)
        self.connected = True
        self._handler.on_connected(bool(flags & 1))


def _text(buffer, start, end):
    try:
        return str(memoryview(buffer)[start:end], "utf8")
    except UnicodeError:
        raise packets.malformed("a topic that is not UTF-8")
