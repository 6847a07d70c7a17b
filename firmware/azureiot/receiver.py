"""Whole MQTT packets out of a link's bytes, in a buffer that is bounded whatever the server sends."""

import azureiot.packets as packets
from azureiot.runtime import const

_FIRST_BUFFER_BYTES = const(512)


class Receiver:
    """Cuts what arrives into packets.

    on_packet(buffer, start, end): is given each whole packet; the buffer is only good until it returns.
    on_oversized(packet_bytes, packet_id): a PUBLISH above max_packet_bytes was skipped without being stored.
    """

    def __init__(self, on_packet, on_oversized, max_packet_bytes: int):
        self._on_packet = on_packet
        self._on_oversized = on_oversized
        self._max_packet_bytes = max_packet_bytes
        self._buffer = bytearray(min(_FIRST_BUFFER_BYTES, max_packet_bytes))
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._skip = 0  # bytes of an oversized packet that are still to come

    def read(self, link) -> "int | None":
        """Read once and hand out what is whole: the bytes read, 0 when the peer has closed, None when nothing came.

        Raises AzureIoTError: the link's, or for bytes that are no MQTT.
        """
        count = link.read_into(self._view[self._filled :] if self._filled else self._view)
        if count:
            self._filled += count
            self._cut()
        return count

    def _cut(self):
        start = min(self._skip, self._filled)
        self._skip -= start
        while start < self._filled:
            size = packets.frame(self._buffer, start, self._filled)
            if size > self._max_packet_bytes:
                taken = self._begin_skip(start, start + size)
                if not taken:
                    break
                start += taken
            elif size and start + size <= self._filled:
                self._on_packet(self._buffer, start, start + size)
                start += size
            else:
                if size:
                    packets.body(self._buffer, start, start + size)  # what is no MQTT shows in the header
                    if size > len(self._buffer):
                        self._grow(size)
                break
        if start:  # an unfinished packet moves to the front
            self._filled -= start
            if self._filled:
                self._view[: self._filled] = self._view[start : start + self._filled]

    def _grow(self, size):
        buffer = bytearray(size)
        buffer[: self._filled] = self._view[: self._filled]
        self._buffer = buffer
        self._view = memoryview(buffer)

    def _begin_skip(self, start, end):
        """Give up the packet at buffer[start:end]; the bytes of it that are here, or 0 if its id is still to come."""
        at = packets.body(self._buffer, start, end)
        if at + 2 <= self._filled:
            at = packets.topic_end(self._buffer, at, end)
            identified = self._buffer[start] & 6  # QoS above 0: a packet id follows the topic
            if at + 2 <= self._filled or not identified:
                self._on_oversized(end - start, packets.packet_id(self._buffer, at, end) if identified else 0)
                taken = min(end, self._filled) - start
                self._skip = end - start - taken
                return taken
        if self._filled == len(self._buffer) and not start:
            if self._filled >= self._max_packet_bytes:
                raise packets.malformed("a topic of more than %d bytes" % self._max_packet_bytes)
            self._grow(self._max_packet_bytes)
        return 0
