"""The bytes of every packet a client sends, and what it makes of those it gets. A wrong byte is a hub that hangs up."""

import azureiot.packets as packets
from fakes import raises


def encoded(encoder, *fields):
    buffer = bytearray(300000)
    size = encoder(buffer, *fields)
    return bytes(buffer[:size])


def test_connect_as_iot_hub_wants_it():
    assert encoded(packets.connect, b"dev1", b"hub/dev1/?api-version=2021-04-12", None, 240) == (
        b"\x10\x32\x00\x04MQTT\x04\x80\x00\xf0\x00\x04dev1\x00\x20hub/dev1/?api-version=2021-04-12"
    )


def test_connect_with_a_password():
    assert encoded(packets.connect, b"d", b"u", b"p", 60) == (
        b"\x10\x13\x00\x04MQTT\x04\xc0\x00\x3c\x00\x01d\x00\x01u\x00\x01p"
    )


def test_connect_without_credentials():
    assert encoded(packets.connect, b"d", None, None, 0) == b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01d"


def test_subscribe():
    assert encoded(packets.subscribe, 258, b"a/#", 1) == b"\x82\x08\x01\x02\x00\x03a/#\x01"


def test_publish_at_each_quality():
    assert encoded(packets.publish, b"a/b", b"xyz") == b"\x30\x08\x00\x03a/bxyz"
    assert encoded(packets.publish, b"a/b", b"xyz", 10) == b"\x32\x0a\x00\x03a/b\x00\x0axyz"
    assert encoded(packets.publish, b"a/b", b"xyz", 10, True) == b"\x3a\x0a\x00\x03a/b\x00\x0axyz"
    assert encoded(packets.publish, b"a", b"") == b"\x30\x03\x00\x01a"


def test_remaining_length_at_its_borders():
    for payload_bytes, header in (
        (127 - 3, b"\x30\x7f"),
        (128 - 3, b"\x30\x80\x01"),
        (16383 - 3, b"\x30\xff\x7f"),
        (16384 - 3, b"\x30\x80\x80\x01"),
        (262144, b"\x30\x83\x80\x10"),
    ):
        packet = encoded(packets.publish, b"a", b"\x00" * payload_bytes)
        assert packet[: len(header)] == header, (payload_bytes, packet[:5])
        assert len(packet) == len(header) + 3 + payload_bytes
        assert packets.frame(packet, 0, len(packet)) == len(packet)


def test_acknowledge_and_signals():
    assert encoded(packets.acknowledge, 0xFFFE) == b"\x40\x02\xff\xfe"
    assert encoded(packets.signal, packets.PINGREQ) == b"\xc0\x00"
    assert encoded(packets.signal, packets.DISCONNECT) == b"\xe0\x00"


def test_a_buffer_too_small_is_left_alone_and_the_need_told():
    buffer = bytearray(b"\xaa" * 8)
    need = packets.publish(buffer, b"a/b", b"xyz", 10)
    assert need == -12
    assert buffer == b"\xaa" * 8
    assert packets.publish(bytearray(12), b"a/b", b"xyz", 10) == 12
    assert packets.connect(bytearray(10), b"dev1", None, None) < -10
    assert packets.subscribe(bytearray(3), 1, b"a") == -8
    assert packets.acknowledge(bytearray(3), 1) == -4
    assert packets.signal(bytearray(1), packets.PINGREQ) == -2


def test_frame_waits_for_the_whole_header():
    assert packets.frame(b"\x30", 0, 1) == 0
    assert packets.frame(b"\x30\x80", 0, 2) == 0
    assert packets.frame(b"\x30\x80\x80\x80", 0, 4) == 0
    assert packets.frame(b"\x30\x05", 0, 2) == 7
    assert packets.frame(b"zz\x30\x80\x01", 2, 5) == 131
    assert packets.frame(b"\x30\xff\xff\xff\x7f", 0, 5) == 5 + 268435455


def test_frame_refuses_five_length_bytes():
    raises(lambda: packets.frame(b"\x30\x80\x80\x80\x80\x01", 0, 6), "mqtt")


def test_body_checks_type_flags_and_length():
    for good, at in (
        (b"\x20\x02\x00\x00", 2),
        (b"\x40\x02\x00\x01", 2),
        (b"\x90\x03\x00\x01\x01", 2),
        (b"\xd0\x00", 2),
        (b"\x31\x80\x00", 3),
    ):
        assert packets.body(good, 0, len(good)) == at
    for bad in (
        b"\x21\x02\x00\x00",  # CONNACK with flags
        b"\x20\x03\x00\x00\x00",  # CONNACK that is too long
        b"\x40\x01\x00",
        b"\xd0\x01\x00",
        b"\x10\x00",  # a CONNECT to a client
        b"\xf0\x00",
        b"\x34\x03\x00\x01a",  # QoS 2, never asked for
        b"\x36\x03\x00\x01a",
        b"\x38\x03\x00\x01a",  # DUP at QoS 0
        b"\x00\x00",
    ):
        raises(lambda bad=bad: packets.body(bad, 0, len(bad)), "mqtt")


def test_topic_and_packet_id_must_lie_inside():
    packet = b"\x32\x07\x00\x03a/b\x00\x05"
    end = packets.topic_end(packet, 2, 9)
    assert end == 7
    assert packets.packet_id(packet, end, 9) == 5
    raises(lambda: packets.topic_end(b"\x30\x01\x00", 2, 3), "mqtt")
    raises(lambda: packets.topic_end(b"\x30\x04\x00\x03ab", 2, 6), "mqtt")
    raises(lambda: packets.packet_id(packet, 8, 9), "mqtt")
    raises(lambda: packets.packet_id(b"\x00\x00", 0, 2), "mqtt")
