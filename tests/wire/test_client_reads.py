"""Whatever a server sends, in whatever pieces: the client gives packets or the error "mqtt", in bounded memory."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

import fakes
from azureiot import packets

from .fed_client import feed
from .streams import CUTS, SENT, cut, streams, thorough

LIMITS = st.sampled_from([200, 512, 513, 1000, 4096, 100_000])  # longer than any topic of `streams`
STREAMS = streams(SENT.map(lambda sent: sent.data))


def expected(sent, max_packet_bytes):
    return [
        ("oversized", len(one.data), one.packet_id) if len(one.data) > max_packet_bytes else one.event
        for one in sent
        if one.event
    ]


@thorough
@given(st.lists(SENT, max_size=8), CUTS, LIMITS)
def test_packets_arrive_as_they_were_sent_however_they_are_cut(sent, cuts, limit):
    events, error, room_bytes = feed(cut(b"".join(one.data for one in sent), cuts), limit)
    assert (events, error) == (expected(sent, limit), None)
    assert room_bytes <= limit


@thorough
@given(st.lists(SENT, min_size=1, max_size=3), st.integers(1, 1 << 16), CUTS, LIMITS)
def test_a_stream_that_ends_early_gives_what_was_whole(sent, missing, cuts, limit):
    stream = b"".join(one.data for one in sent)
    events, error, _ = feed(cut(stream[: -1 - missing % len(stream)], cuts), limit)
    assert error is None
    assert events == expected(sent, limit)[: len(events)]
    assert len(events) >= len(expected(sent, limit)) - len(sent)


@thorough
@given(STREAMS, CUTS, LIMITS | st.integers(5, 600), st.booleans())
@example(b"\x30\xff\xff\xff\x7f" + bytes(3000), [], 1000, True)
@example(b"\x32\xff\xff\xff\x7f\xff\xff" + bytes(70000), [], 4096, True)
@example(b"\x90\xff\xff\xff\x7f" + bytes(3000), [], 1000, True)
@example(b"\x80" * 3000, [], 1000, True)
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n", [3], 512, False)
def test_nothing_else_comes_of_any_bytes(stream, cuts, limit, connected):
    events, error, room_bytes = feed(cut(stream, cuts), limit, connected)
    assert error is None or error == "mqtt" or error.startswith("connack-")
    assert room_bytes <= limit
    assert all(event[0] != "message" or len(event[2]) <= limit for event in events)
    # The pieces make no difference: neither to what arrives nor to where it ends.
    assert feed([stream], limit, connected)[:2] == (events, error)


@thorough
@given(st.binary(max_size=12), st.integers(0, 4))
@example(b"\x30\x80\x80\x80\x80\x80", 0)
def test_a_frame_is_found_or_refused_in_at_most_five_bytes(data, start):
    length = data[start + 1 : start + 5]
    if len(length) == 4 and all(byte & 0x80 for byte in length):
        fakes.raises(lambda: packets.frame(data, start, len(data)), "mqtt")
    else:
        size = packets.frame(data, start, len(data))
        assert 0 <= size <= 5 + 268_435_455
        assert (size == 0) == all(byte & 0x80 for byte in length), "0 while the header is not whole"


@thorough
@given(st.integers(0, 268_435_455))
def test_every_length_is_read_as_it_was_written(length):
    data = b"\x30" + fakes.length(length)
    assert packets.frame(data, 0, len(data)) == len(data) + length
    assert [packets.frame(data, 0, end) for end in range(len(data))] == [0] * len(data), "waits for all of it"
