"""Two readings of one specification, the device library's and the emulator's: what one writes, the other reads."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

import fakes
from azureiot import packets as ours
from azureiot_tools.emulator.mqtt import packets as theirs
from azureiot_tools.emulator.mqtt.packets import Acknowledgement, Connect, Decoder, Publish, Subscribe

from .fed_client import feed
from .streams import CUTS, NAMES, PACKET_IDS, TOPICS, cut, damaged, thorough

LIMIT = 400_000
PAYLOADS = st.binary(max_size=300) | st.sampled_from([127, 128, 16383, 16384, 70000]).map(bytes)


def written(encoder, *fields) -> bytes:
    """What a client's encoder writes: into a buffer that is too small first, as the session does."""
    size = -encoder(bytearray(1), *fields)
    buffer = bytearray(size)
    assert encoder(buffer, *fields) == size, "it needs what it said"
    return bytes(buffer)


def read(data: bytes, cuts: list[int]) -> list:
    decoder = Decoder(LIMIT)
    return [packet for piece in cut(data, cuts) for packet in decoder.feed(piece)]


@thorough
@given(NAMES, st.none() | st.tuples(NAMES, st.none() | st.binary(max_size=40)), st.integers(0, 0xFFFF), CUTS)
def test_connect(client_id, credentials, keep_alive_s, cuts):
    username, password = credentials or (None, None)
    data = written(
        ours.connect, client_id.encode(), None if username is None else username.encode(), password, keep_alive_s
    )
    assert read(data, cuts) == [Connect(client_id, False, keep_alive_s, username, password, None)]


@thorough
@given(TOPICS, PAYLOADS, st.integers(0, 0xFFFF), st.booleans(), CUTS)
@example("t" * 65535, bytes(262144), 0xFFFF, True, [70000])
def test_publish_by_the_client(topic, payload, packet_id, duplicate, cuts):
    duplicate = duplicate and packet_id > 0
    data = written(ours.publish, topic.encode(), payload, packet_id, duplicate)
    assert read(data, cuts) == [Publish(topic, payload, int(packet_id > 0), False, duplicate, packet_id)]


@thorough
@given(TOPICS, PAYLOADS, st.integers(0, 0xFFFF), st.booleans(), CUTS)
@example("t" * 65535, bytes(262144), 0xFFFF, True, [70000])
def test_publish_by_the_emulator(topic, payload, packet_id, dup, cuts):
    data = theirs.publish(topic, payload, int(packet_id > 0), packet_id, dup=dup and packet_id > 0)
    assert feed(cut(data, cuts), LIMIT)[:2] == ([("message", topic, payload, packet_id)], None)


@given(TOPICS, PACKET_IDS, st.integers(0, 2))
def test_subscribe(topic_filter, packet_id, qos):
    data = written(ours.subscribe, packet_id, topic_filter.encode(), qos)
    assert read(data, []) == [Subscribe(packet_id, [(topic_filter, qos)])]


@given(PACKET_IDS, st.sampled_from([0, 1, theirs.SUBACK_FAILURE]))
def test_acknowledgements(packet_id, granted):
    assert read(written(ours.acknowledge, packet_id), []) == [Acknowledgement(theirs.PUBACK, packet_id)]
    assert feed([theirs.puback(packet_id)], LIMIT)[:2] == ([("acknowledged", packet_id)], None)
    answer = theirs.suback(packet_id, [granted])
    assert feed([answer], LIMIT, subscribe_id=packet_id)[:2] == ([("subscribed", granted)], None)


@given(st.integers(0, 5), st.booleans())
def test_connack(code, session_present):
    events, error, _ = feed([theirs.connack(code, session_present)], LIMIT, connected=False)
    if code:
        assert (events, error) == ([], f"connack-{code}")
    else:
        assert (events, error) == ([("connected", session_present)], None)


def test_packets_without_a_body():
    ping, bye = read(written(ours.signal, ours.PINGREQ) + written(ours.signal, ours.DISCONNECT), [])
    assert isinstance(ping, theirs.PingRequest)
    assert isinstance(bye, theirs.Disconnect)
    assert feed([theirs.pingresp()], LIMIT)[:2] == ([], None)


PUBLISHES = st.builds(fakes.publish, NAMES, st.binary(max_size=40), st.just(0) | PACKET_IDS)
# What the emulator refuses in a topic although a client could read it: the hub would not take it either.
STRICTER = ("empty topic", "wildcard", "U+0000")


@thorough
@given(damaged(PUBLISHES) | st.binary(min_size=4, max_size=30).map(b"\x32".__add__), CUTS)
@example(b"\x32\xff\xff\xff\xff\x7f", [])
@example(b"\x30\x04\x00\x02\xff\xff", [])
@example(b"\x30\x03\x00\x05a", [])
@example(b"\x38\x03\x00\x01a", [])
@example(b"\x32\x05\x00\x01a\x00\x00", [])
@example(b"\x32\x04\x00\x01a\x00", [])
def test_both_judge_a_damaged_publish_alike(stream, cuts):
    assume(len(stream) >= 5 and stream[0] >> 4 == theirs.PUBLISH and stream[0] & 6 != 4)  # the client takes no QoS 2
    judged = None
    try:
        packet = next(Decoder(LIMIT).feed(stream), None)
        if isinstance(packet, Publish):
            judged = ("message", packet.topic, packet.payload, packet.packet_id)
    except theirs.PacketTooLarge:
        assume(False)
    except theirs.ProtocolError as refusal:
        assume(not any(words in refusal.reason for words in STRICTER))
        judged = "mqtt"
    events, error, _ = feed(cut(stream, cuts), LIMIT)
    assert (events[0] if events else error) == judged
