"""The line to one board: takes it over at the REPL, runs code on it, writes files, restarts it and reads its log.

The only module that imports mpremote, whose transport does the talking; its own warning is that this API changes
(docs/micropython.md §5). What passes over the line may hold a private key: nothing that was sent or received is ever
printed, and no exception quotes it but the last line of a traceback.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Any

import serial
from mpremote import transport_serial
from mpremote.transport import TransportError

from azureiot_tools.console import UserError, printable

_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_KNOCK_S = 0.4  # several fit into the two seconds that boot.py waits
_RESET_S = 0.1
_QUESTION = "print('{0}', globals().setdefault('_life', '{0}'), end='')\x04"
_CHUNK_BYTES = 1024  # as base64 in one statement: a board compiles that in 3 KB of heap
PROMPT = ">>>"

# mpremote prints what it received and did not understand, which may be a key that a board's prompt echoed.
transport_serial.__dict__["print"] = lambda *_, **__: None

_BROKEN = (TransportError, OSError, struct.error)


class LostBoard(UserError):
    """The board stopped answering, or its port vanished."""


class BoardRefused(UserError):
    """Code on the board raised. error: the last line of its traceback; errno: of an OSError, else None."""

    def __init__(self, error: str) -> None:
        super().__init__(f"The board failed: {error}.")
        self.error = error
        found = re.match(r"OSError: (?:\[Errno )?(\d+)", error)
        self.errno = int(found[1]) if found else None


class Board:
    """One board on an open port. Use it in a `with`; on the way out a board that was taken over is started again.

    port: a serial device, or socket://HOST:PORT.
    patience_s: how long a board may be silent at work before it is given up.

    Raises UserError when the port does not exist, may not be opened, or is in use.
    """

    def __init__(self, port: str, patience_s: int = 20) -> None:
        self.port = port
        self._patience_s = patience_s
        self._taken = False
        self._line = self._open()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._taken:
            with suppress(UserError):
                self.restart()
        self.close()

    def close(self) -> None:
        """Give the port back; the board goes on as it is."""
        with suppress(OSError):
            self._line.close()

    def take_over(self, timeout_s: float = 20) -> None:
        """Stop what runs, restart the board, and hold it at the raw REPL before anything starts.

        The restart is there because of the watchdog: once a program has started it nothing stops it on an ESP32, and
        it would reset the board in the middle of an installation (docs/micropython.md §8). boot.py waits two seconds
        before anything starts; there the board is caught. Code on the board begins with an empty namespace.

        Raises UserError when there is no MicroPython REPL within timeout_s.
        """
        deadline = time.monotonic() + timeout_s
        before = self._interrupt(deadline)
        self._taken = True
        while True:
            self._reset()
            if self._interrupt(deadline) != before:
                return

    def run(self, code: str, progress: Callable[[], None] | None = None) -> str:
        """Run code on the board; what it printed.

        progress: called for every dot that the code prints; the dots are not returned.

        Raises BoardRefused when the code raises, LostBoard when the board does not answer.
        """
        printed = bytearray()

        def consume(data: bytes) -> None:
            if data == b"." and progress:
                progress()
            elif data != b"\x04":
                printed.extend(data)

        try:
            _, error = self._line.exec_raw(code, self._patience_s, consume)
        except _BROKEN as failure:
            raise self._lost(failure) from None
        if error:
            raise BoardRefused(printable(error.decode(errors="replace").strip().rpartition("\n")[2].strip()))
        return printed.decode(errors="replace").replace("\r\n", "\n")

    def write_file(self, path: str, data: bytes, sent: Callable[[int], None]) -> None:
        """Write a file on the board; not atomic. sent: called with the bytes of each piece that has arrived."""
        statements = f"import binascii\n_file = open({path!r}, 'wb')\n"
        for start in range(0, len(data) or 1, _CHUNK_BYTES):
            chunk = data[start : start + _CHUNK_BYTES]
            statements += f"_ = _file.write(binascii.a2b_base64({base64.b64encode(chunk)!r}))\n"
            if start + len(chunk) == len(data):  # not on its own: an exchange takes as long as a piece
                statements += "_file.close()\n"
            self.run(statements)
            statements = ""
            sent(len(chunk))

    def restart(self) -> None:
        """Reset the board: boot.py, and after its two seconds the application. The port stays open for its log."""
        self._taken = False
        self._interrupt(time.monotonic() + min(5, self._patience_s))
        self._reset()

    def lines(self, until: float) -> Iterator[str]:
        """What the board prints, line by line, as it comes, fit for a terminal; a prompt counts as a line.

        until: time.monotonic() at which to stop. A port that vanishes, as a restarting board's USB does, is awaited.
        """
        rest = b""
        while time.monotonic() < until:
            try:
                waiting = self._serial.in_waiting
                data = self._serial.read(waiting) if waiting else b""
            except OSError:
                self._reopen(until)
                continue
            rest += data
            *complete, rest = rest.split(b"\n")
            for line in complete:
                yield _text(line)
            if not data:
                if _text(rest).rstrip().endswith(PROMPT):
                    yield PROMPT
                    rest = b""
                time.sleep(0.02)

    def shell(self) -> None:
        """The board's REPL on this terminal, until Ctrl-]. The board must have been taken over."""
        from mpremote.console import Console
        from mpremote.repl import do_repl_main_loop

        port = self._serial
        if not hasattr(port, "fd"):
            port.fd = port.fileno()  # a socket, for mpremote's select
        self._line.exit_raw_repl()
        console = Console()
        console.enter()
        try:
            do_repl_main_loop(
                SimpleNamespace(transport=self._line),
                console,
                console.write,
                escape_non_printable=True,
                code_to_inject=None,
                file_to_inject=None,
            )
        finally:
            console.exit()

    # -- below: the line itself

    @property
    def _serial(self) -> Any:  # pyserial's port; mpremote declares it as one of its own wrappers
        return self._line.serial

    def _open(self) -> transport_serial.SerialTransport:
        try:
            # Without a time-out mpremote's plain reads wait for ever.
            line = transport_serial.SerialTransport(self.port, timeout=self._patience_s)
        except (TransportError, ValueError):
            raise _not_opened(self.port) from None
        with suppress(OSError, ValueError):
            serial_port: Any = line.serial
            serial_port.write_timeout = self._patience_s
        return line

    def _reopen(self, until: float) -> None:
        self.close()
        while True:
            try:
                self._line = self._open()
                return
            except UserError:
                if time.monotonic() >= until:
                    raise LostBoard(
                        f"The port {self.port} vanished and did not come back.", "Plug the board in again."
                    ) from None
                time.sleep(0.1)

    def _interrupt(self, until: float) -> str:
        """Ctrl-C and Ctrl-A again and again until the raw REPL answers a question that only it understands.

        Returns a word that is the board's until it restarts.
        """
        heard = 0
        while time.monotonic() < until:
            token = secrets.token_hex(4)
            try:
                self._serial.write(b"\r\x03\r\x01")
                data = self._line.read_until(1, _RAW_BANNER, timeout_overall=_KNOCK_S)
                heard += len(data)
                if not data.endswith(_RAW_BANNER):
                    continue
                # Answers to earlier knocks may still be under way; after this one's there is nothing but the prompt.
                self._serial.write(_QUESTION.format(token).encode())
                answer = self._line.read_until(1, b"\x04\x04", timeout_overall=_KNOCK_S)
            except serial.SerialTimeoutException:
                break
            except OSError:
                self._reopen(until)
                continue
            if found := re.search(rb"%b (\w+)\x04\x04$" % token.encode(), answer):
                self._line.in_raw_repl = True
                return found[1].decode()
        raise self._no_repl(heard)

    def _reset(self) -> None:
        """Reset a board that _interrupt holds. It may not get to do so: a knock that follows is a Ctrl-C."""
        self._line.in_raw_repl = False
        try:
            self._serial.write(b"import machine\nmachine.reset()\x04")
            # Not mpremote's exec: it waits for ever for an answer that goes down with the board.
            self._line.read_until(1, b">OK", timeout_overall=_KNOCK_S)
            time.sleep(_RESET_S)
        except serial.SerialTimeoutException as failure:
            raise self._lost(failure) from None
        except OSError:
            return  # the port went with the board, which was the purpose

    def _no_repl(self, heard: int) -> UserError:
        if heard:
            return UserError(
                f"What is on {self.port} answers, but not as MicroPython's REPL does.",
                "Is MicroPython on it (docs/esp32.md)? If its program ignores Ctrl-C: press the board's reset button "
                "when the command has begun.",
            )
        return UserError(
            f"The board on {self.port} does not answer.",
            "Is it the right port, and MicroPython on the board? If its program hangs: press the board's reset button "
            "when the command has begun.",
        )

    def _lost(self, failure: Exception) -> LostBoard:
        self._line.in_raw_repl = False
        what = f"The board on {self.port} stopped answering."
        if isinstance(failure, OSError) and not isinstance(failure, serial.SerialTimeoutException):
            what = f"The port {self.port} vanished."
            self._taken = False  # there is nothing left through which to restart it
        return LostBoard(what, "Check cable and power, and run this again.")


def _not_opened(port: str) -> UserError:
    """Why the port could not be opened, as far as one can tell from outside."""
    if "://" in port:
        return UserError(f"Nothing answers at {port}.", "Give it as socket://HOST:PORT.")
    if os.name != "nt":
        if not os.path.exists(port):
            return UserError(f"There is no port {port}.", "Plug the board in; `azureiot board info` looks for it.")
        if not os.access(port, os.R_OK | os.W_OK):
            return UserError(
                f"The port {port} may not be opened by this user.",
                "On Linux: sudo usermod -a -G dialout $USER, then log in again.",
            )
    return UserError(
        f"The port {port} cannot be opened: another program may be using it.",
        "Close the other terminal, monitor or IDE that has it open.",
    )


def _text(line: bytes) -> str:
    return printable(line.strip(b"\r\x04").decode(errors="replace"))
