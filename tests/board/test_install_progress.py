"""The progress bar: bytes, time left, and silence where there is no terminal."""

from __future__ import annotations

import io

from azureiot_tools.board.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clock(*times: float):
    """A clock that shows the times given, one a look, then stays at the last."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_it_shows_bytes_and_the_time_left() -> None:
    bar = Bar("sending", 100 * 1024, io.StringIO(), clock(0, 4))
    bar.add(25 * 1024)
    assert bar.line() == "sending [######                  ] 25 of 100 KB, 12 s left"


def test_it_is_full_at_the_end_and_never_fuller() -> None:
    bar = Bar("sending", 1024, io.StringIO())
    bar.add(5000)
    assert bar.line() == f"sending [{'#' * 24}] 1 of 1 KB"


def test_it_draws_over_its_own_line_and_leaves_the_terminal_clean() -> None:
    stream = Terminal()
    with Bar("sending", 2048, stream) as bar:
        bar.add(1024)
    drawn = stream.getvalue()
    assert "1 of 2 KB" in drawn
    assert "\n" not in drawn
    assert drawn.endswith("\r\x1b[K")


def test_it_is_silent_without_a_terminal_and_with_nothing_to_do() -> None:
    quiet, empty = io.StringIO(), Terminal()
    with Bar("sending", 2048, quiet) as bar:
        bar.add(1024)
    with Bar("sending", 0, empty):
        pass
    assert quiet.getvalue() == ""
    assert empty.getvalue() == ""
