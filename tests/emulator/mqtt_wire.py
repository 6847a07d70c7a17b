"""A bare MQTT client for tests: hand-made bytes over TLS, nothing shared with the emulator or the device library."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem

RESPONSES = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation_id}"
TIMEOUT_S = 10


class Packet(NamedTuple):
    type: int
    flags: int
    body: bytes

    @property
    def topic(self) -> str:
        return self.body[2 : 2 + int.from_bytes(self.body[:2], "big")].decode()

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def packet_id(self) -> int:
        start = 2 + len(self.topic.encode())
        return int.from_bytes(self.body[start : start + 2], "big")

    @property
    def payload(self) -> bytes:
        return self.body[2 + len(self.topic.encode()) + (2 if self.qos else 0) :]


def packet(first: int, body: bytes = b"") -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((first,)) + bytes(encoded) + body


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def connect(
    client_id: str,
    username: str | None,
    *,
    keep_alive_s: int = 60,
    clean: bool = True,
    password: bytes | None = None,
    will: tuple[str, bytes] | None = None,
    will_qos: int = 0,
    will_retain: bool = False,
) -> bytes:
    flags = (0x02 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = b""
    if will is not None:
        flags |= 0x04 | will_qos << 3 | will_retain << 5
        body += text(will[0]) + text(will[1])
    body += text(username) if username is not None else b""
    body += text(password) if password is not None else b""
    return packet(0x10, text("MQTT") + bytes((4, flags)) + struct.pack(">H", keep_alive_s) + text(client_id) + body)


def publish(topic: str, payload: bytes = b"", qos: int = 1, packet_id: int = 7, retain: bool = False) -> bytes:
    return packet(0x30 | qos << 1 | retain, text(topic) + (struct.pack(">H", packet_id) if qos else b"") + payload)


def subscribe(*filters: str, qos: int = 1, packet_id: int = 5) -> bytes:
    return packet(0x82, struct.pack(">H", packet_id) + b"".join(text(f) + bytes((qos,)) for f in filters))


def unsubscribe(*filters: str, packet_id: int = 9) -> bytes:
    return packet(0xA2, struct.pack(">H", packet_id) + b"".join(map(text, filters)))


PINGREQ = packet(0xC0)
DISCONNECT = packet(0xE0)


def dps_username(registration_id: str, id_scope: str = "0ne00000000") -> str:
    return f"{id_scope}/registrations/{registration_id}/api-version=2019-03-31"


def hub_username(device_id: str, hub: str = "localhost") -> str:
    return f"{hub}/{device_id}/?api-version=2021-04-12"


def tls_context(ca_path: Path, credential: Credential | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_path))
    if credential is not None:
        with tempfile.NamedTemporaryFile() as file:  # 0600, and gone with the block
            file.write(key_to_pem(credential.key) + to_pem(credential.certificates))
            file.flush()
            context.load_cert_chain(file.name)
    return context


class Wire:
    """A TLS connection that speaks packets.

    receive_buffer_bytes: set before connecting, so that the kernel holds little for a client that does not read.
    """

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        server_name: str = "localhost",
        receive_buffer_bytes: int | None = None,
    ) -> None:
        plain = socket.socket()
        plain.settimeout(TIMEOUT_S)
        try:
            if receive_buffer_bytes is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            plain.connect(("127.0.0.1", port))
            self.socket = context.wrap_socket(plain, server_hostname=server_name)
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(packets))

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def receive(self) -> Packet:
        """The next packet. Raises EOFError when the server has closed."""
        first = self._read(1)[0]
        length = shift = 0
        while True:
            digit = self._read(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return Packet(first >> 4, first & 15, self._read(length))

    def closed(self) -> bool:
        """Whether the server closes now without another packet."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def open(self, client_id: str, username: str, **options: Any) -> int:
        """CONNECT; returns CONNACK's return code."""
        return self.connack(client_id, username, **options)[1]

    def connack(self, client_id: str, username: str, **options: Any) -> tuple[bool, int]:
        """CONNECT; returns (session present, return code)."""
        self.send(connect(client_id, username, **options))
        answer = self.receive()
        assert (answer.type, len(answer.body)) == (2, 2)
        return bool(answer.body[0]), answer.body[1]

    def request(self, topic: str, payload: bytes = b"", qos: int = 1) -> tuple[str, dict]:
        """Publish to DPS and wait for its answer: (topic, JSON)."""
        self.send(publish(topic, payload, qos))
        if qos:
            assert self.receive() == Packet(4, 0, b"\0\7")
        answer = self.receive()
        assert answer.type == 3
        if answer.qos:
            self.send(packet(0x40, struct.pack(">H", answer.packet_id)))
        return answer.topic, json.loads(answer.payload)


def register(wire: Wire, registration_id: str) -> dict:
    """CONNECT to DPS, register, poll; returns the last answer."""
    assert wire.open(registration_id, dps_username(registration_id)) == 0
    wire.send(subscribe(RESPONSES))
    assert wire.receive().type == 9
    topic, answer = wire.request(REGISTER)
    while "/res/202/" in topic:
        topic, answer = wire.request(POLL.format(rid=2, operation_id=answer["operationId"]))
    wire.send(DISCONNECT)
    return answer
