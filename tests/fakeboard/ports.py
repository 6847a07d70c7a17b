"""The ends that host programs open: a pseudo-terminal, and a TCP port for socket:// addresses."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import tty
from pathlib import Path
from typing import Protocol

_UNSENT_LIMIT_BYTES = 1 << 18


class Port(Protocol):
    """Never blocks. What is sent while nobody listens is lost, as on a UART."""

    def fileno(self) -> int | None:
        """What to wait for to be readable; None while there is nothing to read from."""

    def read(self) -> bytes: ...

    def send(self, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class PtyPort:
    """A pseudo-terminal under a name of its own: mpremote reads from /dev/pts/… without any deadline."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._unsent = b""
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        tty.setraw(slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        os.close(slave)  # so that a hang-up tells that nobody has it open

    def fileno(self) -> int | None:
        return self._master if self._is_open() else None

    def read(self) -> bytes:
        try:
            return os.read(self._master, 4096)
        except OSError:  # nothing there after all, or closed just now
            return b""

    def send(self, data: bytes) -> None:
        if not self._is_open():
            self._unsent = b""
        elif len(self._unsent) < _UNSENT_LIMIT_BYTES:
            self._unsent += data
            self.flush()

    def flush(self) -> None:
        with contextlib.suppress(OSError):  # full or closed
            while self._unsent and self._is_open():
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]

    def close(self) -> None:
        self._link.unlink(missing_ok=True)
        os.close(self._master)

    def _is_open(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)
        return not poll.poll(0)


class TcpPort:
    """A serial port behind TCP, for one client at a time; a second one is turned away."""

    def __init__(self, number: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", number))
        self._listener.setblocking(False)
        self.number: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._unsent = b""

    def fileno(self) -> int | None:
        """The client, or the listener while there is none."""
        return (self._client or self._listener).fileno()

    def read(self) -> bytes:
        if self._client is None:
            self._client = self._accepted()
            return b""
        try:
            data = self._client.recv(4096)
        except BlockingIOError:
            self._turn_away()
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def send(self, data: bytes) -> None:
        if self._client is not None and len(self._unsent) < _UNSENT_LIMIT_BYTES:
            self._unsent += data
            self.flush()

    def flush(self) -> None:
        try:
            while self._unsent and self._client is not None:
                self._unsent = self._unsent[self._client.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop()

    def close(self) -> None:
        self._drop()
        self._listener.close()

    def _accepted(self) -> socket.socket | None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return None
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _turn_away(self) -> None:
        """A second client, while the first is there: its end of data, if it had gone, would have been read before."""
        second = self._accepted()
        if second is not None:
            second.close()

    def _drop(self) -> None:
        self._unsent = b""
        if self._client is not None:
            self._client.close()
            self._client = None
