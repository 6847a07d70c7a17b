"""A small TLS server for judging the client: it notes what arrives and answers CONNECT and QoS 1 messages."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem


class TlsServer:
    """Listens on a free loopback port; serves one connection after another.

    received: every byte that came outside TLS (`silent`) or inside it.  sni: the names asked for.
    silent: accept, read and never answer, not even the handshake.  client_root: ask for a client certificate under it.
    """

    def __init__(
        self, credential: Credential | None, *, silent: bool = False, client_root: Credential | None = None
    ) -> None:
        self.received = b""
        self.sni: list[str | None] = []
        self._silent = silent
        self._context = None if credential is None else _context(credential, self.sni, client_root)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._open: list[socket.socket] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            with suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        if self._silent or self._context is None:
            while data := connection.recv(4096):
                self.received += data
            return
        with self._context.wrap_socket(connection, server_side=True) as tls:
            self._open.append(tls)
            while data := tls.recv(65536):
                self.received += data
                if data[0] == 0x10:
                    tls.sendall(b"\x20\x02\x00\x00")
                elif data[0] & 0xF6 == 0x32:
                    topic_at = 2 if data[1] < 128 else 3
                    after = topic_at + 2 + int.from_bytes(data[topic_at : topic_at + 2], "big")
                    tls.sendall(b"\x40\x02" + data[after : after + 2])


@contextmanager
def serving(credential: Credential | None, **options: Any) -> Iterator[TlsServer]:
    """A TlsServer for as long as the block runs."""
    server = TlsServer(credential, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _context(credential: Credential, names: list[str | None], client_root: Credential | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # TLS 1.2, as Azure's: with 1.3 a refused client certificate shows only after the handshake.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if client_root is not None:
        context.load_verify_locations(cadata=to_pem([client_root.certificate]).decode())
        context.verify_mode = ssl.CERT_REQUIRED
    with tempfile.NamedTemporaryFile() as file:
        file.write(key_to_pem(credential.key) + to_pem(credential.certificates))
        file.flush()
        context.load_cert_chain(Path(file.name))

    def note(_: Any, name: str | None, __: Any) -> None:
        names.append(name)

    context.sni_callback = note
    return context
