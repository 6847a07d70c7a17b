"""Whatever a client sends, in whatever pieces: the emulator's codec gives packets or ProtocolError, within its memory.

What each packet means, and which rule each refusal cites, is judged in tests/emulator/test_mqtt_packets.py.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fakes
from azureiot_tools.emulator.mqtt import packets
from azureiot_tools.emulator.mqtt.packets import Decoder, ProtocolError
from emulator import mqtt_wire

from .streams import CUTS, NAMES, PACKET_IDS, TOPICS, cut, streams, thorough

SENT = st.one_of(
    st.builds(mqtt_wire.publish, TOPICS, st.binary(max_size=300), st.integers(0, 2), PACKET_IDS, st.booleans()),
    st.builds(mqtt_wire.publish, TOPICS, st.integers(300, 3000).map(bytes), st.just(1), PACKET_IDS),
    st.builds(mqtt_wire.subscribe, TOPICS, TOPICS.map("{}/#".format), packet_id=PACKET_IDS, qos=st.integers(0, 2)),
    st.builds(
        mqtt_wire.connect,
        NAMES,
        NAMES,
        keep_alive_s=st.integers(0, 0xFFFF),
        password=st.none() | st.binary(max_size=40),
        will=st.none() | st.tuples(TOPICS, st.binary(max_size=40)),
    ),
    PACKET_IDS.map(lambda packet_id: mqtt_wire.packet(0x40, packet_id.to_bytes(2, "big"))),
    st.sampled_from([mqtt_wire.PINGREQ, mqtt_wire.DISCONNECT]),
)
FIXED_HEADER_BYTES = 5


def feed(pieces: list[bytes], limit: int) -> tuple[list, str | None]:
    """(the packets, how the stream broke which rule, or None)."""
    decoder, read = Decoder(limit), []
    try:
        for piece in pieces:
            read += map(repr_of, decoder.feed(piece))
            assert len(decoder._buffer) < limit + FIXED_HEADER_BYTES, "or a packet would be whole"
    except ProtocolError as error:
        return read, f"{error.reason}: {error.section}"
    return read, None


def repr_of(packet: packets.Packet) -> str:
    """What can be compared: two packets without fields have no equality."""
    return type(packet).__name__ if isinstance(packet, packets.PingRequest | packets.Disconnect) else repr(packet)


@thorough
@given(streams(SENT), CUTS, st.sampled_from([0, 100, 1000, 100_000]))
@example(b"\x30\xff\xff\xff\x7f" + bytes(3000), [2], 1000)
@example(b"\x30\xff\xff\xff\xff\x7f", [4], 1 << 30)
@example(b"\x30\xff\xff\xff\xff", [4], 1 << 30)
@example(b"\x10\x80\x80", [], 1000)
def test_nothing_else_comes_of_any_bytes(stream, cuts, limit):
    read, refusal = feed(cut(stream, cuts), limit)
    assert refusal is None or re.fullmatch(r".+: (MQTT 3\.1\.1|docs/protocol\.md) §[\d.]+", refusal, re.DOTALL)
    # The pieces make no difference: neither to what is read nor to the rule that is cited.
    assert feed([stream], limit) == (read, refusal)


@thorough
@given(st.lists(SENT, min_size=1, max_size=4), st.integers(0, 1 << 16))
def test_a_stream_that_ends_early_gives_what_was_whole(sent, missing):
    whole = [feed([one], 100_000)[0][0] for one in sent]
    stream = b"".join(sent)
    read, refusal = feed([stream[: len(stream) - missing % len(stream)]], 100_000)
    assert refusal is None
    assert read == whole[: len(read)]


@pytest.mark.parametrize("limit", [127, 128, 16383, 16384, 2097151, 2097152])
def test_the_limit_is_exact_and_a_header_alone_claims_no_memory(limit):
    decoder = Decoder(limit)
    assert list(decoder.feed(b"\x30" + fakes.length(limit))) == []
    assert len(decoder._buffer) <= FIXED_HEADER_BYTES
    with pytest.raises(packets.PacketTooLarge):
        list(Decoder(limit).feed(b"\x30" + fakes.length(limit + 1)))
