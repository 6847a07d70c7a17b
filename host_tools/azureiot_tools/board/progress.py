"""A progress bar on a terminal: bytes and the time left; elsewhere nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

_WIDTH = 24
_CLEAR_LINE = "\r\x1b[K"


class Bar:
    """Shows how much of total_bytes is done. Use it in a `with`; the line is gone at the end.

    stream: where to draw, if that is a terminal.  clock: seconds, monotonic.
    """

    def __init__(
        self, label: str, total_bytes: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = label
        self._total_bytes = total_bytes
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._done_bytes = 0
        self._visible = self._stream.isatty() and total_bytes > 0

    def __enter__(self) -> Bar:
        self.add(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._draw(_CLEAR_LINE)

    def add(self, count_bytes: int) -> None:
        """So many bytes more are done."""
        self._done_bytes = min(self._done_bytes + count_bytes, self._total_bytes)
        if self._visible:
            self._draw(f"{_CLEAR_LINE}{self.line()}")

    def line(self) -> str:
        """The bar as text, for example `sending [######      ] 25 of 100 KB, 12 s left`."""
        share = self._done_bytes / self._total_bytes if self._total_bytes else 1
        filled = round(share * _WIDTH)
        left = ""
        if 0 < share < 1:
            left = f", {round((self._clock() - self._started) * (1 - share) / share)} s left"
        size = f"{self._done_bytes / 1024:.0f} of {self._total_bytes / 1024:.0f} KB"
        return f"{self._label} [{'#' * filled}{' ' * (_WIDTH - filled)}] {size}{left}"

    def _draw(self, text: str) -> None:
        if self._visible:
            self._stream.write(text)
            self._stream.flush()
