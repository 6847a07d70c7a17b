"""What a board prints: as its serial port shows it, kept, and read line by line with a deadline."""

from __future__ import annotations

import re
import threading
import time


class LineEnds:
    """Ends each line with CR LF, as boards do and the unix port does not."""

    def __init__(self) -> None:
        self._after_cr = False

    def shown(self, printed: bytes) -> bytes:
        before = b"\r" if self._after_cr else b""
        self._after_cr = printed.endswith(b"\r") if printed else self._after_cr
        return re.sub(rb"(?<!\r)\n", b"\r\n", before + printed)[len(before) :]


class Transcript:
    """Everything that a board printed since it was made; written by the relay, read by tests."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._grown = threading.Condition()

    def add(self, shown: bytes) -> None:
        with self._grown:
            self._bytes += shown
            self._grown.notify_all()

    def text(self, start: int = 0, end: int | None = None) -> str:
        with self._grown:
            return self._bytes[start:end].decode(errors="replace")

    def length(self) -> int:
        with self._grown:
            return len(self._bytes)

    def find(self, end: bytes, start: int, deadline: float) -> int:
        """The position after the first `end` from `start` on; -1 at the deadline (time.monotonic)."""
        with self._grown:
            while (found := self._bytes.find(end, start)) < 0:
                left = deadline - time.monotonic()
                if left <= 0:
                    return -1
                self._grown.wait(left)
            return found + len(end)


class Console:
    """A reader of the transcript, with a place of its own. Nothing it reads is lost to the others."""

    def __init__(self, transcript: Transcript, start: int) -> None:
        self._transcript = transcript
        self._start = self._place = start

    def line(self, timeout_s: float = 10) -> str:
        """The next whole line, without its end. Raises TimeoutError, with what was printed."""
        return self._line(time.monotonic() + timeout_s, "another line")

    def wait_for(self, pattern: str, timeout_s: float = 10) -> str:
        """The next line in which the regular expression is found. Raises TimeoutError, with what was printed."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(deadline, f"a line with {pattern!r}")
            if re.search(pattern, line):
                return line

    def text(self) -> str:
        """All that was printed since this console was opened, with what was read."""
        return self._transcript.text(self._start)

    def _line(self, deadline: float, wanted: str) -> str:
        end = self._transcript.find(b"\r\n", self._place, deadline)
        if end < 0:
            raise TimeoutError(f"waited in vain for {wanted}; the board printed:\n{self.text()}")
        line = self._transcript.text(self._place, end - 2)
        self._place = end
        return line
