"""One MQTT connection: bytes in, packets to the service, bytes out; every reason for which it is closed, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from azureiot_tools.emulator.mqtt import packets
from azureiot_tools.emulator.mqtt.packets import (
    Acknowledgement,
    Connect,
    Disconnect,
    Packet,
    PingRequest,
    ProtocolError,
    Publish,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer, Report

# A CONNECT's largest part is the will: 64 KiB of payload.
MAX_CONNECT_BYTES = 80 * 1024

Route = Callable[[Peer, Connect], Service[Any]]  # which service a CONNECT is for; raises Reject


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how much and how many; tests make them short.

    keep_alive_factor, keep_alive_max_s: a client silent for factor × its keep-alive, or for the maximum (also when it
    wants no keep-alive), is dropped; docs/protocol.md §3.3.
    slow_reader_s: how long a client may leave a full send buffer unread.
    """

    connections: int = 5_000
    handshake_s: float = 10.0
    connect_s: float = 10.0
    keep_alive_factor: float = 1.5
    keep_alive_max_s: float = 1767.0
    slow_reader_s: float = 20.0

    def silence_s(self, keep_alive_s: int) -> float:
        """How long a client with this keep-alive may send nothing."""
        wanted_s = keep_alive_s * self.keep_alive_factor
        return min(wanted_s, self.keep_alive_max_s) if wanted_s else self.keep_alive_max_s


class Connection(asyncio.Protocol):
    """The protocol above a TLS transport whose extra info "peer" is a `Peer`."""

    def __init__(self, route: Route, report: Report, limits: Limits) -> None:
        self._route = route
        self._report = report
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._decoder = packets.Decoder(MAX_CONNECT_BYTES)
        self._connect: Connect | None = None
        self._service: Service[Any] | None = None
        self._session: Session[Any] | None = None
        self._out: list[bytes] = []
        self._receiving = False
        self._closed = False
        self._last_packet_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer: Peer = transport.get_extra_info("peer")
        self._timer = self._loop.call_later(self._limits.connect_s, self._no_connect)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._receiving = True  # answers are collected and leave in one TLS record
        try:
            for packet in self._decoder.feed(data):
                self._handle(packet)
                if self._closed:
                    break
        except Reject as refusal:
            self.send(packets.connack(refusal.return_code))
            self.close("refused", f"CONNACK {refusal.return_code}: {refusal.reason}", refusal.section)
        except UnsupportedVersion as error:
            self.send(packets.connack(packets.UNACCEPTABLE_PROTOCOL_VERSION))
            self.close("refused", f"CONNACK {packets.UNACCEPTABLE_PROTOCOL_VERSION}: {error.reason}", error.section)
        except (ProtocolError, Drop) as error:
            self.close("dropped", error.reason, error.section)
        except Exception as error:  # a fault of ours, or of the disk, must not look like Azure's doing
            self._loop.call_exception_handler(
                {
                    "message": f"the emulator failed while it served {self._peer.address}",
                    "exception": error,
                    "protocol": self,
                }
            )
            self.close("dropped", f"the emulator itself failed: {type(error).__name__}: {error}")
        finally:
            self._receiving = False
            self._flush()

    def eof_received(self) -> None:
        self.close("disconnected", "the client closed the connection without DISCONNECT")

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(
            "disconnected",
            f"the connection was lost: {exc}" if exc else "the client closed the connection without DISCONNECT",
        )

    def pause_writing(self) -> None:
        """The client does not read: take no more from it, so that nothing more has to be answered."""
        self._transport.pause_reading()
        self._slow = self._loop.call_later(self._limits.slow_reader_s, self._too_slow)

    def resume_writing(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if not self._closed:
            self._last_packet_s = self._loop.time()
            if self._session is not None:
                self._check_silence()
            self._transport.resume_reading()

    # What the session calls.

    def send(self, packet: bytes) -> None:
        """Send a packet; several that are sent while one chunk is read leave together."""
        if self._closed:
            return
        self._out.append(packet)
        if not self._receiving:
            self._flush()

    def close(self, kind: str, reason: str, section: str = "") -> None:
        """Send what is waiting, close, and report it as an event of this kind. Only the first call counts."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        for timer in (self._timer, self._slow):
            if timer is not None:
                timer.cancel()
        self._transport.close()
        where = self._service.name if self._service else self._peer.address
        self._tell(kind, f"{_shortened(reason)} ({where})", section)
        if self._service is not None and self._session is not None and self._connect is not None:
            self._service.close(self._session)
            if self._connect.will is not None:
                self._service.on_will(self._session, self._connect.will)

    # Packets.

    def _handle(self, packet: Packet) -> None:
        self._last_packet_s = self._loop.time()
        if isinstance(packet, Connect):
            self._open(packet)
            return
        service, session = self._service, self._session
        if service is None or session is None:
            raise ProtocolError("the first packet is not CONNECT", "MQTT 3.1.1 §3.1")
        match packet:
            case Publish():
                self._publish(service, session, packet)
            case Acknowledgement(type=packets.PUBACK):
                session.acknowledge(packet.packet_id)
                service.on_acknowledged(session, packet.packet_id)
            case Acknowledgement():
                raise ProtocolError("an acknowledgement of QoS 2, which is never used here", "docs/protocol.md §3.4")
            case Subscribe():
                self._subscribe(service, session, packet)
            case Unsubscribe():
                for topic_filter in packet.filters:
                    session.subscriptions.pop(topic_filter, None)
                service.keep(session)
                self.send(packets.unsuback(packet.packet_id))
            case PingRequest():
                self.send(packets.pingresp())
            case Disconnect():
                if self._connect is not None:
                    self._connect.will = None  # MQTT 3.1.1 §3.14.4
                self.close("disconnected", "DISCONNECT")

    def _open(self, connect: Connect) -> None:
        if self._connect is not None:
            raise ProtocolError("a second CONNECT on the same connection", "MQTT 3.1.1 §3.1")
        self._connect = connect
        service = self._route(self._peer, connect)
        self._session, present = service.open(self._peer, connect, self)
        self._service = service
        self._decoder.max_packet_bytes = service.max_packet_bytes
        self.send(packets.connack(packets.ACCEPTED, present))
        self._tell(
            "connected",
            f"to {service.name} from {self._peer.address} ({self._peer.tls_version}, server name "
            f"{self._peer.server_name}, keep-alive {connect.keep_alive_s} s"
            f"{', session present' if present else ''})",
        )
        self._silence_s = self._limits.silence_s(connect.keep_alive_s)
        self._check_silence()
        service.after_connack(self._session)

    def _subscribe(self, service: Service[Any], session: Session[Any], packet: Subscribe) -> None:
        granted = []
        for topic_filter, qos in packet.filters:
            granted.append(service.on_subscribe(session, topic_filter, qos))
            if granted[-1] != packets.SUBACK_FAILURE:
                session.subscriptions[topic_filter] = granted[-1]
        service.keep(session)
        self.send(packets.suback(packet.packet_id, granted))
        for (topic_filter, _), qos in zip(packet.filters, granted, strict=True):
            if qos != packets.SUBACK_FAILURE:
                service.after_suback(session, topic_filter)

    def _publish(self, service: Service[Any], session: Session[Any], message: Publish) -> None:
        if message.qos == 2:
            raise Drop("a PUBLISH with QoS 2", "docs/protocol.md §3.4")
        answered = len(self._out)
        service.on_publish(session, message)
        if message.qos and not self._closed:
            # Before whatever the service has answered: the C# SDK fails otherwise (docs/protocol.md §1.3).
            self._out.insert(answered, packets.puback(message.packet_id))

    def _tell(self, kind: str, text: str, section: str = "") -> None:
        self._report(kind, _shortened(self._connect.client_id) if self._connect else "", text, section)

    # Time.

    def _no_connect(self) -> None:
        self.close("dropped", f"no CONNECT came within {self._limits.connect_s:g} s", "MQTT 3.1.1 §3.1.4")

    def _too_slow(self) -> None:
        self.close("dropped", f"the client has read nothing for {self._limits.slow_reader_s:g} s", "")
        self._transport.abort()

    def _check_silence(self) -> None:
        """Drop a client that has been silent for too long, or look again when it will have been."""
        if self._timer is not None:
            self._timer.cancel()
        if self._slow is not None:
            return  # while it is not read from, its silence is ours; `resume_writing` looks again
        left_s = self._last_packet_s + self._silence_s - self._loop.time()
        if left_s <= 0:
            self.close(
                "dropped",
                f"nothing came for {self._silence_s:g} s, which is longer than its keep-alive allows",
                "docs/protocol.md §3.3",
            )
        else:
            self._timer = self._loop.call_later(left_s, self._check_silence)

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


def _shortened(text: str) -> str:
    """Names in MQTT may have 64 KiB; a person reads less."""
    return text if len(text) <= 500 else f"{text[:500]}…"
