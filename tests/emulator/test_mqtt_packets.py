"""Pins the codec: every packet a client may send is read whole, however the bytes arrive, and nothing but ProtocolError
comes of bytes that are no packet. Packets are written by hand here (mqtt_wire), not by the code under test."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.emulator.mqtt import packets
from azureiot_tools.emulator.mqtt.packets import (
    Acknowledgement,
    Connect,
    Decoder,
    Disconnect,
    PacketTooLarge,
    PingRequest,
    ProtocolError,
    Publish,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
    Will,
)

from . import mqtt_wire
from .mqtt_wire import packet, publish, subscribe, text

LIMIT = 300_000


def decode(data: bytes, limit: int = LIMIT) -> list:
    return list(Decoder(limit).feed(data))


def connect_body(name=b"MQTT", level=4, flags=0x02, rest=b"\0\3dev") -> bytes:
    return packet(0x10, text(name) + bytes((level, flags)) + b"\0\x3c" + rest)


TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
PACKETS = st.one_of(
    st.builds(publish, TOPICS, st.binary(max_size=300), st.just(0)),
    st.builds(publish, TOPICS, st.binary(max_size=300), st.sampled_from([1, 2]), st.integers(1, 0xFFFF), st.booleans()),
    st.builds(
        subscribe,
        st.just("a/+/#"),
        st.just("$dps/registrations/res/#"),
        qos=st.integers(0, 2),
        packet_id=st.integers(1, 0xFFFF),
    ),
    st.builds(
        mqtt_wire.connect,
        TOPICS,
        st.none() | TOPICS,
        keep_alive_s=st.integers(0, 0xFFFF),
        clean=st.booleans(),
        will=st.none() | st.tuples(TOPICS, st.binary(max_size=50)),
    ),
    st.builds(
        lambda kind, number: packet(kind, struct.pack(">H", number)),
        st.sampled_from([0x40, 0x50, 0x62, 0x70]),
        st.integers(0, 0xFFFF),
    ),
    st.sampled_from([mqtt_wire.PINGREQ, mqtt_wire.DISCONNECT]),
)


def test_connect_with_everything():
    data = mqtt_wire.connect(
        "dev",
        "host/dev/?a=b",
        keep_alive_s=240,
        clean=False,
        password=b"\0secret",
        will=("devices/dev/messages/events/", b"gone"),
        will_qos=1,
    )
    assert decode(data) == [
        Connect(
            "dev", False, 240, "host/dev/?a=b", b"\0secret", Will("devices/dev/messages/events/", b"gone", 1, False)
        )
    ]


def test_connect_with_nothing():
    assert decode(mqtt_wire.connect("", None, keep_alive_s=0)) == [Connect("", True, 0, None, None, None)]


def test_publish_of_each_qos():
    assert decode(publish("a/b", b"x", qos=0, retain=True)) == [Publish("a/b", b"x", 0, True, False, 0)]
    assert decode(publish("a/b", b"", packet_id=0xFFFF)) == [Publish("a/b", b"", 1, False, False, 0xFFFF)]
    assert decode(packet(0x3C, text("t") + b"\0\1x")) == [Publish("t", b"x", 2, False, True, 1)]


def test_the_rest_of_the_packets():
    assert decode(subscribe("a/#", "+/b", qos=2)) == [Subscribe(5, [("a/#", 2), ("+/b", 2)])]
    assert decode(packet(0xA2, b"\0\1" + text("a/#"))) == [Unsubscribe(1, ["a/#"])]
    assert decode(packet(0x40, b"\1\2")) == [Acknowledgement(packets.PUBACK, 0x102)]
    ping, bye = decode(mqtt_wire.PINGREQ + mqtt_wire.DISCONNECT)
    assert isinstance(ping, PingRequest)
    assert isinstance(bye, Disconnect)


@given(st.lists(PACKETS, max_size=6), st.data())
def test_any_split_gives_the_same_packets(sent, data):
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder, read = Decoder(LIMIT), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += decoder.feed(stream[start:end])
    assert [repr(p) if not isinstance(p, PingRequest | Disconnect) else type(p) for p in read] == [
        repr(p) if not isinstance(p, PingRequest | Disconnect) else type(p) for one in sent for p in decode(one)
    ]
    assert len(read) == len(sent)


@pytest.mark.parametrize("first", [b"\x00", b"\x20", b"\x36", b"\x81", b"GE"])
def test_nonsense_is_recognized_by_its_first_byte(first):
    with pytest.raises(ProtocolError):
        decode(first)


@given(PACKETS.flatmap(lambda data: st.tuples(st.just(data), st.integers(0, len(data) - 1))))
def test_a_packet_cut_short_is_waited_for(case):
    data, length = case
    assert decode(data[:length]) == []


def check_refusal(data: bytes):
    """Decode; if that is refused then with a reason and its section, and never with any other exception."""
    refusal = None
    try:
        decode(data)
    except ProtocolError as error:
        refusal = error
    assert refusal is None or (refusal.reason and "§" in refusal.section)


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_incomplete(data):
    check_refusal(data)


@given(PACKETS, st.data())
def test_a_damaged_packet_is_a_protocol_error_or_another_packet(sent, data):
    position = data.draw(st.integers(0, len(sent) - 1))
    damaged = bytearray(sent)
    damaged[position] ^= data.draw(st.integers(1, 255))
    check_refusal(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "section"),
    [
        pytest.param(b"\x00\x00", "§2.2.1", id="reserved type 0"),
        pytest.param(packet(0xF0), "§2.2.1", id="reserved type 15"),
        pytest.param(packet(0x20, b"\0\0"), "§2.2.1", id="CONNACK from a client"),
        pytest.param(packet(0xD0), "§2.2.1", id="PINGRESP from a client"),
        pytest.param(packet(0xC1), "§2.2.2", id="PINGREQ with flags"),
        pytest.param(packet(0x80, b"\0\1" + text("a") + b"\0"), "§2.2.2", id="SUBSCRIBE without its flag"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", "§2.2.3", id="length of five bytes"),
        pytest.param(packet(0xC0, b"x"), "§2.2.3", id="PINGREQ with a body"),
        pytest.param(packet(0x40, b"\0\1\0"), "§2.2.3", id="PUBACK too long"),
        pytest.param(packet(0x40, b"\0"), "§1.5", id="PUBACK too short"),
        pytest.param(packet(0x36, text("a") + b"\0\1"), "§3.3.1.2", id="QoS 3"),
        pytest.param(packet(0x38, text("a")), "§3.3.1.1", id="DUP with QoS 0"),
        pytest.param(publish("a", packet_id=0), "§2.3.1", id="PUBLISH id 0"),
        pytest.param(publish("", qos=0), "§4.7.3", id="empty topic"),
        pytest.param(publish("a/+/b", qos=0), "§4.7.1", id="+ in a topic"),
        pytest.param(publish("a/#", qos=0), "§4.7.1", id="# in a topic"),
        pytest.param(packet(0x30, text(b"\xff")), "§1.5.3", id="not UTF-8"),
        pytest.param(packet(0x30, text(b"\xed\xa0\x80")), "§1.5.3", id="UTF-8 surrogate"),
        pytest.param(packet(0x30, text("a\0b")), "§1.5.3", id="U+0000"),
        pytest.param(packet(0x30, b"\0\5abc"), "§1.5", id="topic longer than the packet"),
        pytest.param(subscribe(packet_id=1), "§3.8.3", id="SUBSCRIBE to nothing"),
        pytest.param(subscribe("a", qos=3), "§3.8.3", id="SUBSCRIBE for QoS 3"),
        pytest.param(subscribe("a", packet_id=0), "§2.3.1", id="SUBSCRIBE id 0"),
        pytest.param(subscribe("a/#/b"), "§4.7.1", id="# in the middle of a filter"),
        pytest.param(subscribe("a/b+"), "§4.7.1", id="+ beside text"),
        pytest.param(subscribe("a#"), "§4.7.1", id="# beside text"),
        pytest.param(subscribe(""), "§4.7.1", id="empty filter"),
        pytest.param(packet(0xA2, b"\0\1"), "§3.10.3", id="UNSUBSCRIBE from nothing"),
        pytest.param(connect_body(name=b"HTTP"), "§3.1.2.1", id="other protocol name"),
        pytest.param(connect_body(flags=0x03), "§3.1.2.3", id="reserved CONNECT flag"),
        pytest.param(connect_body(flags=0x0A), "§3.1.2.3", id="will QoS without will"),
        pytest.param(connect_body(flags=0x22), "§3.1.2.3", id="will retain without will"),
        pytest.param(connect_body(flags=0x1E), "§3.1.2.3", id="will QoS 3"),
        pytest.param(connect_body(flags=0x42), "§3.1.2.3", id="password without username"),
        pytest.param(connect_body(rest=text("dev") + b"x"), "§2.2.3", id="CONNECT with a rest"),
        pytest.param(connect_body(flags=0x82), "§1.5", id="CONNECT without its username"),
    ],
)
def test_what_is_forbidden_is_refused_and_says_where_it_stands(data, section):
    with pytest.raises(ProtocolError) as caught:
        decode(data)
    assert caught.value.section == f"MQTT 3.1.1 {section}"


@pytest.mark.parametrize(("name", "level"), [(b"MQIsdp", 3), (b"MQTT", 5), (b"MQTT", 3), (b"MQTT", 0x84)])
def test_other_versions_of_mqtt_are_told_apart_from_nonsense(name, level):
    with pytest.raises(UnsupportedVersion):
        decode(connect_body(name=name, level=level))


def test_packets_before_a_bad_one_are_delivered():
    stream = Decoder(LIMIT).feed(mqtt_wire.PINGREQ + packet(0xF0))
    assert isinstance(next(stream), PingRequest)
    with pytest.raises(ProtocolError):
        next(stream)


def test_the_limit_is_judged_by_the_header_alone():
    assert decode(publish("t", b"x" * 97, qos=0), limit=100)
    with pytest.raises(PacketTooLarge) as caught:
        decode(publish("t", b"x" * 98, qos=0)[:2], limit=100)
    assert "101 bytes" in caught.value.reason


def test_byte_by_byte_a_large_packet_is_not_copied_over_and_over():
    decoder, data = Decoder(LIMIT), publish("t", b"x" * 250_000, qos=0)
    read = [one for start in range(0, len(data), 100) for one in decoder.feed(data[start : start + 100])]
    assert [len(one.payload) for one in read] == [250_000]


def test_what_the_server_sends():
    assert packets.connack(0, True) == b"\x20\x02\x01\x00"
    assert packets.connack(5, True) == b"\x20\x02\x00\x05"  # [MQTT-3.2.2-4]: no session with a refusal
    assert packets.puback(0x102) == b"\x40\x02\x01\x02"
    assert packets.suback(1, [0, 1, 0x80]) == b"\x90\x05\x00\x01\x00\x01\x80"
    assert packets.unsuback(1) == b"\xb0\x02\x00\x01"
    assert packets.pingresp() == b"\xd0\x00"


@given(TOPICS, st.binary(max_size=40_000), st.integers(0, 1), st.integers(1, 0xFFFF), st.booleans())
def test_a_publish_sent_is_the_publish_read(topic, payload, qos, packet_id, dup):
    dup = dup and qos == 1
    sent = packets.publish(topic, payload, qos, packet_id, dup=dup)
    assert decode(sent) == [Publish(topic, payload, qos, False, dup, packet_id if qos else 0)]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("+/+", "/x", True),
        ("#", "a/b", True),
        ("#", "$dps/x", False),
        ("+/x", "$dps/x", False),
        ("$dps/registrations/res/#", "$dps/registrations/res/202/?$rid=1", True),
        ("a/b/c", "a/b", False),
    ],
)
def test_topic_filters(topic_filter, topic, expected):
    assert packets.matches(topic_filter, topic) is expected
