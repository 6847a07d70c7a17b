"""The other end of a connection, whatever it speaks over TLS; and how a connection says what happened to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[str, str, str, str], object]  # what happened: kind, client id, text, section of the rule


@dataclass(frozen=True, slots=True)
class Peer:
    """A client after its TLS handshake.

    address: "127.0.0.1:54321".  chain: the certificates as sent, DER, leaf first; () without client certificate.
    server_name: the TLS SNI, None when the client sent none.
    """

    address: str
    chain: tuple[bytes, ...] = ()
    server_name: str | None = None
    tls_version: str = ""
