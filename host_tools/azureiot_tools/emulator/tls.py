"""TLS as Azure does it: a client certificate is asked for, and judged later, at CONNECT (docs/protocol.md §4.4).

Python's own `ssl` cannot accept a certificate that it does not know; pyOpenSSL's verify callback can. Here its memory
BIOs stand between asyncio's plain transport and the protocol above.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from OpenSSL import SSL, crypto

from azureiot_tools.certificates.credential import Credential
from azureiot_tools.emulator.peer import Peer, Report

# How long a closed connection may take to send its rest and to see the client close too, before it is cut.
CLOSING_S = 2.0
_CHUNK_BYTES = 64 * 1024
# How much of one client is served before it is the others' turn.
_TURN_BYTES = 4 * 1024
# Connections that the system keeps for us. asyncio tries to accept as many at once, and logs each that it cannot.
BACKLOG = 100
_HANDSHAKE_RECORD = b"\x16"

# All that Azure offers in TLS 1.2 (docs/protocol.md §4.2); a client without any of these must fail here too. RSA comes
# first: only a client that offers nothing but ECDSA is shown the ECC certificate.
_CIPHERS = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for signature in ("RSA", "ECDSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA384", "AES128-SHA256")
)

# What OpenSSL says of a failed handshake → what that means here.
_FAILURES = {
    "alert unknown ca": "the client does not trust this server's certificate: give it the emulator's CA",
    "alert certificate unknown": "the client refused this server's certificate",
    "alert bad certificate": "the client refused this server's certificate: it is for another name, or from another CA",
    "alert certificate expired": "the client found this server's certificate expired: compare the two clocks",
    "alert handshake failure": "the client found no TLS parameters in common",
    "alert protocol version": "the client speaks no TLS version in common",
    "alert decrypt error": "the client could not check this server's signature",
    "alert": "the client ended the handshake",
    "http request": "plain HTTP came to the TLS port: the service API has a port of its own",
    "wrong version number": "what came is not TLS: MQTT without TLS is not spoken here",
    "packet length too long": "what came is not TLS",
    "unsupported protocol": "the client speaks neither TLS 1.2 nor, to a hub's device endpoint, TLS 1.3",
    "no shared cipher": "the client offers no cipher suite in common",
    "bad signature": "the client's private key does not belong to its certificate",
}


def _context(credentials: Sequence[Credential], newest_version: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(newest_version)
    context.set_cipher_list(_CIPHERS.encode())
    for credential in credentials:
        context.use_privatekey(credential.key)
        context.use_certificate(credential.certificate)
        for certificate in credential.chain:
            context.add_extra_chain_cert(certificate)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    # A resumed session knows the client's leaf but not the intermediates it sent, and would be refused for their want.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    return context


class Listener:
    """Accepts TLS connections and sets a protocol on each.

    credentials: the server's certificates, one for each type of key.  factory: makes the protocol; its
    `connection_made` is called once the handshake is done, with a transport whose extra info "peer" is a `Peer`.
    report: told what fails before that.  max_connections: more are closed at once.
    """

    def __init__(
        self,
        credentials: Sequence[Credential],
        factory: Callable[[], asyncio.Protocol],
        report: Report,
        *,
        max_connections: int,
        handshake_s: float,
    ) -> None:
        self._classic = _context(credentials, SSL.TLS1_2_VERSION)
        self._device_endpoint = _context(credentials, SSL.TLS1_3_VERSION)
        self.factory = factory
        self.report = report
        self.max_connections = max_connections
        self.handshake_s = handshake_s
        self.open: set[TlsTransport] = set()
        self._servers: list[asyncio.Server] = []

    async def start(self, host: str, port: int) -> int:
        """Listen, here too; returns the port, which the system chose when `port` is 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TlsTransport(self), host, port, backlog=BACKLOG)
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    def context(self, hello: bytes) -> SSL.Context:
        """TLS 1.3 is for a hub's device endpoint, `{hub}.device.{domain}`, alone (docs/protocol.md §4.1, §4.6).

        hello: the ClientHello, in which the server name stands in clear. OpenSSL settles the version before it calls
        back for the name, so it is looked for here.
        """
        return self._device_endpoint if b".device." in hello.lower() else self._classic

    async def stop(self) -> None:
        """Accept no more and cut what is open."""
        for server in self._servers:
            server.close()
        for transport in list(self.open):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """Between asyncio's plain transport (for which it is the protocol) and the protocol above (its transport)."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self._hello = bytearray()
        self._tls: SSL.Connection  # there once the ClientHello is whole
        self._started = False
        self._above: asyncio.Protocol | None = None  # set once the handshake is done
        self._peer: Peer | None = None
        self._paused = False  # by the protocol above
        self._turn: asyncio.Handle | None = None  # set while there is more to serve than one turn allows
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    # The protocol side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername") or ("?", 0)
        self._address = f"{address[0]}:{address[1]}"
        listener = self._listener
        listener.open.add(self)
        if len(listener.open) > listener.max_connections:
            self._fail(f"there are {listener.max_connections} connections already")
            return
        self._set_timer(listener.handshake_s, self._handshake_timed_out)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return  # closed on this side: what still comes is read so that TCP need not reset, and forgotten
        if not self._started:
            self._hello += data
            if not _is_whole(self._hello):
                return
            self._started = True
            data = bytes(self._hello)
            self._tls = SSL.Connection(self._listener.context(data), None)
            self._tls.set_accept_state()
        self._tls.bio_write(data)
        if self._turn is None:
            self._serve()

    def eof_received(self) -> None:
        if self._above is not None and not self._closing:
            self._above.eof_received()
        elif self._hello and not self._closing:
            self._fail(
                "the client closed the connection in the middle of the handshake; perhaps it does not trust "
                "this server's certificate"
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.open.discard(self)
        self._closing = True
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        if self._above is not None:
            self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    # The transport side.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peer" else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol takes over from the one above."""
        self._above = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.Protocol, self._above)

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._tls.sendall(data)
            self._push()

    def pause_reading(self) -> None:
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._serve_soon()

    def close(self) -> None:
        """Send what is waiting and say goodbye; the client gets CLOSING_S to take it.

        This side is closed first and the other is read until it closes too: closing a socket with unread bytes makes
        TCP reset the connection, and the client might never see the CONNACK that refuses it.
        """
        if self._closing:
            return
        try:
            self._tls.shutdown()
            self._push()
            self._closing = True
            self._raw.write_eof()
            self._raw.resume_reading()
        except (SSL.Error, OSError, RuntimeError):  # the connection is gone already
            self.abort()
            return
        self._set_timer(CLOSING_S, self._raw.abort)

    def abort(self) -> None:
        """Cut the connection."""
        self._closing = True
        self._raw.abort()

    def _serve(self) -> None:
        """One turn: take what has come, and leave it at that when it is much; meanwhile no more is read."""
        self._turn = None
        if self._closing or self._paused:
            return
        try:
            if self._above is None:
                self._handshake()
            self._receive()
        except SSL.WantReadError:  # all is taken
            self._push()
            self._raw.resume_reading()
        except SSL.Error as error:
            self._push()  # the alert that tells the client why
            if self._above is None:
                self._fail(_in_words(error))
            else:
                self._raw.abort()
        else:
            if not self._closing:
                self._raw.pause_reading()
                self._serve_soon()

    def _serve_soon(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._serve)

    def _handshake(self) -> None:
        """Raises WantReadError until the handshake is done."""
        self._tls.do_handshake()
        self._push()
        if self._timer is not None:
            self._timer.cancel()
        server_name = self._tls.get_servername()
        self._peer = Peer(
            self._address,
            _chain(self._tls),
            server_name.decode("latin-1") if server_name else None,
            self._tls.get_protocol_version_name(),
        )
        self._above = self._listener.factory()
        self._above.connection_made(self)

    def _receive(self) -> None:
        """Raises WantReadError when nothing is left before the turn is over."""
        taken_bytes = 0
        try:
            while taken_bytes < _TURN_BYTES and not (self._closing or self._paused):
                data = self._tls.recv(_TURN_BYTES)
                taken_bytes += len(data)
                cast(asyncio.Protocol, self._above).data_received(data)
        except SSL.ZeroReturnError:  # close_notify
            if not cast(asyncio.Protocol, self._above).eof_received():
                self.close()

    def _push(self) -> None:
        """Hand what TLS wants to send to the plain transport."""
        try:
            while True:
                self._raw.write(self._tls.bio_read(_CHUNK_BYTES))
        except SSL.WantReadError:
            pass

    def _handshake_timed_out(self) -> None:
        self._fail(f"the TLS handshake was not done within {self._listener.handshake_s:g} s")

    def _set_timer(self, delay_s: float, then: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, then)

    def _fail(self, reason: str) -> None:
        if not self._closing:
            self._closing = True
            self._raw.close()
            self._set_timer(CLOSING_S, self._raw.abort)
            self._listener.report("tls", "", f"{self._address}: {reason}", "docs/protocol.md §4")


def _is_whole(hello: bytearray) -> bool:
    """Whether this is a whole TLS record, or none at all: OpenSSL says what is wrong with that."""
    if not hello.startswith(_HANDSHAKE_RECORD):
        return True
    return len(hello) >= 5 and len(hello) >= 5 + int.from_bytes(hello[3:5], "big")


def _chain(tls: SSL.Connection) -> tuple[bytes, ...]:
    """The client's certificates as DER, leaf first. OpenSSL leaves the leaf out of a server's peer chain.

    Bytes, not parsed certificates: what OpenSSL lets pass need not parse, and to say so is attestation's business.
    """
    leaf = tls.get_peer_certificate()
    if leaf is None:
        return ()
    chain = [
        crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        for certificate in (leaf, *(tls.get_peer_cert_chain() or ()))
    ]
    return tuple(chain[1:] if chain[0] in chain[1:2] else chain)


def _in_words(error: SSL.Error) -> str:
    said = "; ".join(reason for *_, reason in error.args[0]) if error.args and isinstance(error.args[0], list) else ""
    said = said or str(error) or type(error).__name__
    meaning = next((words for text, words in _FAILURES.items() if text in said), "the TLS handshake failed")
    return f"{meaning} (OpenSSL: {said})"
