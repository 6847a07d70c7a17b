"""A server that misbehaves to order: each connection runs the script it was given, byte by byte where that is asked.

A script is a sequence of items: a number waits for the packet that begins with it, bytes are sent, and what is callable
(a method of Peer, mostly) is called with the peer. After the last item the peer is silent until the client goes.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

CONNECT, PUBLISH, PUBLISH_AGAIN, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 0x10, 0x32, 0x3A, 0x40, 0x82, 0xC0, 0xE0

Item = int | bytes | Callable[["Peer"], object]
Script = Sequence[Item]


class Gone(Exception):
    """The client has closed the connection, or reset it."""


class Peer:
    """The server's end of one connection.

    raw: every byte that came, as it came.  packets: (first byte, body) of every MQTT packet inside TLS.
    sni: the host name that the client asked for.
    wrong: what the client did against the script, or why the handshake failed, "" when all went as written.
    drip: send every byte by itself.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, drip: bool = False) -> None:
        self.raw = b""
        self.packets: list[tuple[int, bytes]] = []
        self.wrong = ""
        self.sni: str | None = None
        self.stopped = threading.Event()
        self.sock = sock
        self._drip = drip
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context.sni_callback = self._named
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._secured = False
        self._plain = bytearray()

    def play(self, script: Script) -> None:
        """Run the script, then be silent until the client has gone."""
        try:
            for item in (*script, Peer.hold):
                self.do(item)
        except (Gone, OSError):
            pass
        except Exception as error:  # a mistake in the script
            self.wrong = repr(error)

    def do(self, item: Item) -> None:
        """One item of a script."""
        if isinstance(item, bytes):
            self.send(item)
        elif callable(item):
            item(self)
        else:
            self.takes(item)

    # What scripts are made of.

    def handshake(self) -> None:
        """Complete the TLS handshake; a refused client is told so by an alert, and no more."""
        try:
            self._drive(self._tls.do_handshake)
            self._secured = True
        except ssl.SSLError as error:
            self.wrong = error.reason or str(error)
            self._put(self._outgoing.read())
            self.hold()

    def takes(self, first: int) -> None:
        """Wait for a packet that begins with this byte; before it only pings may come, and are answered."""
        while (got := self.receive()[0]) == PINGREQ != first:
            self.acknowledge()
        if got != first:
            self.wrong = f"0x{got:02x} came where 0x{first:02x} was expected"
            raise Gone

    def send(self, data: bytes) -> None:
        """Send inside TLS when there is some, else in the clear."""
        self._put(self.record(data) if self._secured else data)

    def record(self, data: bytes) -> bytes:
        """`data` as the TLS record that would carry it: for a script that sends only part of it."""
        self._tls.write(data)
        return self._outgoing.read()

    def alert(self) -> None:
        """Send a fatal alert inside TLS: what this end does when it cannot read a record."""
        self._incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        with suppress(ssl.SSLError):
            self._tls.read()
        self._put(self._outgoing.read())
        while True:
            self.pull()

    def serve(self) -> None:
        """From here on a good hub: answer everything until the client goes."""
        while True:
            self.answer(*self.receive())

    def acknowledge(self) -> None:
        """Answer the last packet as a good hub does."""
        self.answer(*self.packets[-1])

    def answer(self, first: int, body: bytes) -> None:
        """What MQTT's §3 has as the answer to this packet."""
        if first == CONNECT:
            self.send(b"\x20\x02\x00\x00")
        elif first == SUBSCRIBE:
            self.send(b"\x90\x03" + body[:2] + b"\x01")
        elif first & 0xF6 == PUBLISH:
            self.send(b"\x40\x02" + message(body)[1])
        elif first == PINGREQ:
            self.send(b"\xd0\x00")

    def hold(self) -> None:
        """Read, answer nothing, until the client goes."""
        while True:
            if self._secured:
                self.receive()
            else:
                self.pull()

    def stall(self) -> None:
        """Not even read, until the test is over."""
        self.stopped.wait()

    def close(self) -> None:
        """End the connection, in order but without a word."""
        self.sock.close()
        raise Gone

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def receive(self) -> tuple[int, bytes]:
        """The next MQTT packet; it is noted."""
        while not (packet := _cut(self._plain)):
            self._read()
        self.packets.append(packet)
        return packet

    def takes_part(self, size: int) -> None:
        """Wait for so many bytes of a packet."""
        while len(self._plain) < size:
            self._read()

    def pull(self) -> None:
        """Take some bytes as they come."""
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.raw += data
        self._incoming.write(data)

    # Bytes.

    def _named(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.sni = name

    def _drive(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                result = call()
                self._put(self._outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self._put(self._outgoing.read())
                self.pull()

    def _read(self) -> None:
        try:
            self._plain += self._drive(lambda: self._tls.read(65536))
        except ssl.SSLError as error:  # a close_notify, or an alert that says what the client thinks of us
            self.wrong = self.wrong or error.reason or str(error)
            raise Gone from None

    def _put(self, data: bytes) -> None:
        size = 1 if self._drip else len(data)
        for at in range(0, len(data), size or 1):
            self.sock.sendall(data[at : at + size])


def message(body: bytes) -> tuple[str, bytes, bytes]:
    """(topic, packet id, payload) in the body of a QoS 1 PUBLISH."""
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end : end + 2], body[end + 2 :]


class Server:
    """Listens on a free loopback port. scripts: one a connection, the last of them for all that follow."""

    def __init__(self, context: ssl.SSLContext, scripts: Sequence[Script], *, drip: bool = False) -> None:
        self.connections: list[Peer] = []
        self._context = context
        self._scripts = scripts
        self._drip = drip
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small buffers, inherited by every connection: a peer that does not read is noticed after little.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)

    def stop(self) -> None:
        """End every connection and wait for what is still on its way."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self._listener.close()
        for peer in self.connections:
            peer.stopped.set()
            with suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a connection of the server hangs"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(sock, self._context, drip=self._drip)
                script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
                self.connections.append(peer)
                self._run(self._play, peer, script)

    def _play(self, peer: Peer, script: Script) -> None:
        with peer.sock:
            peer.play(script)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


@contextmanager
def serving(context: ssl.SSLContext, scripts: Sequence[Script], *, drip: bool = False) -> Iterator[Server]:
    """A Server for as long as the block runs."""
    server = Server(context, scripts, drip=drip)
    try:
        yield server
    finally:
        server.stop()


def _cut(stream: bytearray) -> tuple[int, bytes] | None:
    """Take the first MQTT packet off the stream, as (first byte, body); None while it is not whole."""
    length = shift = 0
    for at in range(1, min(5, len(stream))):
        length |= (stream[at] & 127) << shift
        shift += 7
        if stream[at] < 128:
            end = at + 1 + length
            if len(stream) < end:
                return None
            first, body = stream[0], bytes(stream[at + 1 : end])
            del stream[:end]
            return first, body
    return None
