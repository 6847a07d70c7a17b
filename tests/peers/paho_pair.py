"""paho-mqtt at one end of a loopback connection, the test at the other: what paho writes, byte for byte. No thread."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 10


class PahoPair:
    """A paho client with a session that is kept, as this project's, and its server's socket.

    client: paho's; drive it by loop_misc.
    """

    def __init__(self, listener: socket.socket, client_id: str = "dev") -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=mqtt.MQTTv311)
        self._listener = listener
        self._server: socket.socket | None = None

    def connect(self, keep_alive_s: int = 240) -> bytes:
        """Open a connection; paho's CONNECT. The one before is broken off."""
        if self._server is not None:
            self._break_off()
        self.client.connect("127.0.0.1", self._listener.getsockname()[1], keep_alive_s)
        self._server, _ = self._listener.accept()
        self._server.settimeout(TIMEOUT_S)
        # Reset when closed: thousands of connections must not each leave a port in TIME-WAIT.
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.read()

    def read(self) -> bytes:
        """The next packet that paho writes."""
        header = self._take(2)
        while header[-1] & 0x80:
            header += self._take(1)
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(header[1:]))
        return header + self._take(length)

    def answer(self, data: bytes, taken: Callable[[], object]) -> None:
        """Send paho a packet, and let it read until that is taken."""
        assert self._server is not None
        self._server.sendall(data)
        while not taken():
            assert select.select([self.client.socket()], [], [], TIMEOUT_S)[0]
            self.client.loop_read()

    def accept(self, session_present: bool = False) -> None:
        """Answer CONNECT."""
        self.answer(bytes((0x20, 2, session_present, 0)), self.client.is_connected)

    def close(self) -> None:
        self.client.on_disconnect = None
        if self._server is not None:
            self._break_off()

    def _take(self, count: int) -> bytes:
        assert self._server is not None
        data = b""
        while len(data) < count:
            if self.client.want_write():
                self.client.loop_write()
            data += self._server.recv(count - len(data))
        return data

    def _break_off(self) -> None:
        assert self._server is not None
        self._server.close()
        self._server = None
        self.client.loop_read()  # learns of it and closes its own end


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A loopback listener on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        yield listener
