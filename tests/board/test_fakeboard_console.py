"""What the fake board's console shows is what a board sends: tests of log followers read nothing else."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeboard.console import Console, LineEnds, Transcript


@given(st.text("ab\r\n").map(str.encode), st.lists(st.integers(0, 40)))
def test_lines_end_with_cr_lf_however_the_bytes_arrive(printed: bytes, cuts: list[int]) -> None:
    line_ends = LineEnds()
    bounds = [0, *sorted(min(cut, len(printed)) for cut in cuts), len(printed)]
    shown = b"".join(line_ends.shown(printed[start:end]) for start, end in itertools.pairwise(bounds))
    assert shown == printed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_a_reader_waits_for_what_comes_later() -> None:
    transcript = Transcript()
    transcript.add(b"before\r\n")
    console = Console(transcript, transcript.length())
    writer = threading.Timer(0.05, lambda: [transcript.add(piece) for piece in (b"fir", b"st\r\nsecond ", b"line\r\n")])
    writer.start()
    assert console.line(timeout_s=5) == "first"
    assert console.wait_for("line$", timeout_s=5) == "second line"
    assert "before" not in console.text()
    writer.join()


def test_readers_do_not_take_lines_from_each_other() -> None:
    transcript = Transcript()
    transcript.add(b"one\r\ntwo\r\n")
    assert [Console(transcript, 0).line(), Console(transcript, 0).line()] == ["one", "one"]


def test_half_a_line_is_no_line() -> None:
    transcript = Transcript()
    transcript.add(b"half a li")
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="half a li"):
        Console(transcript, 0).line(timeout_s=0.1)
    assert time.monotonic() - started < 2
