"""What a peer may send: whole packets, written by hand, and everything that is almost or not at all one."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

import fakes

thorough = settings(max_examples=5 * settings().max_examples)  # a case takes a millisecond or two

NAMES = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), max_size=25)
TOPICS = NAMES.filter(bool)
PACKET_IDS = st.integers(1, 0xFFFF)

# Remaining lengths (MQTT 3.1.1 §2.2.3): honest ones, padded ones, the largest, and such as have a fifth byte.
LENGTHS = st.one_of(
    st.sampled_from([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x01", b"\x80\x00", b"\x80\x80"]),
    st.integers(0, 268_435_455).map(fakes.length),
    st.binary(min_size=1, max_size=6),
)
HOSTILE_HEADERS = st.builds(lambda first, length: bytes((first,)) + length, st.integers(0, 255), LENGTHS)


class Sent(NamedTuple):
    """A packet that a server may send after CONNACK, and what a client's handler is told of it."""

    data: bytes
    event: tuple | None  # None: nothing is told

    @property
    def packet_id(self) -> int:
        return self.event[-1] if self.event and self.event[0] == "message" else 0


def _message(topic: str, payload: bytes, packet_id: int) -> Sent:
    return Sent(fakes.publish(topic, payload, packet_id), ("message", topic, payload, packet_id))


SENT = st.one_of(
    st.builds(_message, TOPICS, st.binary(max_size=300), st.just(0) | PACKET_IDS),
    st.builds(_message, TOPICS, st.integers(300, 3000).map(bytes), st.just(0) | PACKET_IDS),
    st.builds(lambda number: Sent(fakes.puback(number), ("acknowledged", number)), PACKET_IDS),
    st.builds(lambda number: Sent(fakes.suback(number), None), PACKET_IDS),  # nobody has asked
    st.just(Sent(fakes.PINGRESP, None)),
)


@st.composite
def damaged(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> bytes:
    """A stream with bytes changed, removed or put in."""
    stream = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(stream)))
        removed = draw(st.integers(0, 3))
        stream[at : at + removed] = draw(st.binary(max_size=4))
    return bytes(stream)


def streams(packets: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes of which nobody knows what they are: packets with damage, headers that lie, noise, in any order."""
    pieces = st.one_of(packets, damaged(packets), HOSTILE_HEADERS, st.binary(max_size=60))
    return st.lists(pieces, max_size=6).map(b"".join)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream in pieces; `cuts` are any numbers."""
    borders = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(borders)]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)
