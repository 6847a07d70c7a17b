"""The boot loader in an ESP32's ROM, as far as `esptool` needs one to erase a flash chip and to write firmware to it.

docs/micropython.md §6 lists what esptool asks for. The port is a TCP one, socket://127.0.0.1:N: esptool then does
without the reset lines of a serial adapter.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

FLASH_BYTES = 0x400000
BLOCK_BYTES = 4096
MAC = bytes.fromhex("240ac4000001")

END, ESCAPE = b"\xc0", b"\xdb"  # RFC 1055, SLIP
SYNCHRONIZED = 0x20120707
OK = b"\0\0"
ERROR = b"\x01\x05"

# Where an ESP32 has what esptool looks at.
CHIP_MAGIC = 0x40001000
MAC_LOW, MAC_HIGH = 0x3FF5A004, 0x3FF5A008
UART_CLOCK = 0x3FF40014
SPI = 0x3FF42000
SPI_RUN = 1 << 18  # bit of SPI: run the command of SPI + 0x24, whose answer is then in SPI + 0x80
SPI_COMMAND, SPI_ANSWER = SPI + 0x24, SPI + 0x80
READ_FLASH_ID = 0x9F
WINBOND_4_MB = 0x1640EF


class Rom:
    """An ESP32 that waits for esptool. flash: its flash chip, a file of 4 MB, made when it is not there."""

    def __init__(self, flash: Path) -> None:
        self._flash = flash
        if not flash.exists():
            flash.write_bytes(b"\xff" * FLASH_BYTES)
        self._registers = {
            CHIP_MAGIC: 0x00F01D83,
            MAC_LOW: int.from_bytes(MAC[2:], "big"),
            MAC_HIGH: int.from_bytes(MAC[:2], "big"),
            UART_CLOCK: 0x15B,
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Rom:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._has_stub = False  # each run of esptool loads its own program into the chip's RAM
                for packet in _packets(connection):
                    direction, operation, size, _ = struct.unpack_from("<BBHI", packet)
                    if direction == 0:
                        for answer in self._answers(operation, packet[8 : 8 + size]):
                            connection.sendall(answer)

    def _answers(self, operation: int, data: bytes) -> Iterator[bytes]:
        value, body, status = 0, b"", OK
        match operation:
            case 0x08:  # sync: this and seven more; by the value esptool knows that it is the ROM that answers
                value = SYNCHRONIZED
                for _ in range(7):
                    yield _packet(operation, value, self._status(OK))
            case 0x0A:
                value = self._registers.get(*struct.unpack("<I", data), 0)
            case 0x09:
                self._write_register(*struct.unpack("<II", data[:8]))
            case 0x02 | 0x10:  # flash_begin; 0x10: the blocks will come deflated
                size, _, block_bytes, offset = struct.unpack_from("<IIII", data)
                self._at, self._inflate = offset, zlib.decompressobj() if operation == 0x10 else None
                self._write(offset, b"\xff" * (-(-size // block_bytes) * block_bytes))
            case 0x03 | 0x11:  # flash_data
                block = data[16:]
                if self._inflate:
                    block = self._inflate.decompress(block)
                self._write(self._at, block)
                self._at += len(block)
            case 0x13:  # the MD5 of a range: 16 bytes from the stub, as hex from the ROM
                offset, size, _, _ = struct.unpack("<IIII", data)
                digest = hashlib.md5(self._read(offset, size))
                body = digest.digest() if self._has_stub else digest.hexdigest().encode()
            case 0xD0:  # erase the chip: only the stub can
                self._write(0, b"\xff" * FLASH_BYTES)
            case 0x04 | 0x05 | 0x06 | 0x07 | 0x0B | 0x0D | 0x0F | 0x12 | 0xD1:
                pass  # nothing to do, or nothing that shows
            case _:
                status = ERROR
        yield _packet(operation, value, body + self._status(status))
        if operation == 0x06 and not self._has_stub:  # the stub has been loaded, and runs
            self._has_stub = True
            yield _framed(b"OHAI")

    def _status(self, status: bytes) -> bytes:
        return status if self._has_stub else status + b"\0\0"

    def _write_register(self, address: int, value: int) -> None:
        self._registers[address] = value
        if address == SPI and value & SPI_RUN:
            is_id = self._registers.get(SPI_COMMAND, 0) & 0xFF == READ_FLASH_ID
            self._registers[SPI_ANSWER] = WINBOND_4_MB if is_id else 0
            self._registers[SPI] = 0

    def _write(self, offset: int, data: bytes) -> None:
        with self._flash.open("r+b") as chip:
            chip.seek(offset)
            chip.write(data)

    def _read(self, offset: int, size: int) -> bytes:
        with self._flash.open("rb") as chip:
            chip.seek(offset)
            return chip.read(size)


def _packets(connection: socket.socket) -> Iterator[bytes]:
    received = b""
    while data := connection.recv(65536):
        *framed, received = (received + data).split(END)
        for packet in framed:
            if len(packet) >= 8:
                yield packet.replace(ESCAPE + b"\xdc", END).replace(ESCAPE + b"\xdd", ESCAPE)


def _packet(operation: int, value: int, body: bytes) -> bytes:
    return _framed(struct.pack("<BBHI", 1, operation, len(body), value) + body)


def _framed(packet: bytes) -> bytes:
    return END + packet.replace(ESCAPE, ESCAPE + b"\xdd").replace(END, ESCAPE + b"\xdc") + END
