"""What a client of the TLS port speaks, by its first byte: MQTT begins with CONNECT (0x10), HTTP with a capital."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from azureiot_tools.emulator.peer import Peer, Report
from azureiot_tools.emulator.tls import TlsTransport


class FirstByte(asyncio.Protocol):
    """Waits for the first byte, for wait_s at most, and hands the connection over."""

    def __init__(
        self,
        mqtt: Callable[[], asyncio.Protocol],
        http: Callable[[], asyncio.BaseProtocol],
        report: Report,
        wait_s: float,
    ) -> None:
        self._mqtt = mqtt
        self._http = http
        self._report = report
        self._wait_s = wait_s
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(TlsTransport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._silent)

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        protocol = cast(asyncio.Protocol, self._http() if data[:1].isupper() else self._mqtt())
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def eof_received(self) -> None:
        self._end("disconnected", "the client closed the connection without DISCONNECT", "")

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof_received()

    def _silent(self) -> None:
        self._end("dropped", f"no CONNECT came within {self._wait_s:g} s", "MQTT 3.1.1 §3.1.4")

    def _end(self, kind: str, reason: str, section: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._timer.cancel()
        peer: Peer = self._transport.get_extra_info("peer")
        self._report(kind, "", f"{reason} ({peer.address})", section)
        self._transport.close()
