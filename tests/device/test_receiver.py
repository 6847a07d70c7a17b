"""Packets above the limit are skipped, not stored, and still acknowledged: memory is bounded whatever comes."""

from azureiot.receiver import Receiver
from fakes import FakeLink, publish, raises


class Sink:
    def __init__(self, max_packet_bytes):
        self.packets = []
        self.oversized = []
        self.receiver = Receiver(
            self.on_packet, lambda size, packet_id: self.oversized.append((size, packet_id)), max_packet_bytes
        )

    def on_packet(self, buffer, start, end):
        self.packets.append(bytes(buffer[start:end]))


def feed(data, piece, max_packet_bytes):
    sink = Sink(max_packet_bytes)
    link = FakeLink()
    for at in range(0, len(data), piece):
        link.feed(data[at : at + piece])
        while sink.receiver.read(link):
            pass
        assert len(sink.receiver._buffer) <= max(1024, max_packet_bytes)
    return sink


def test_a_packet_that_is_too_long_is_skipped_and_the_next_one_arrives():
    for packet_id in (0, 77):
        big = publish("a/b", b"x" * 5000, packet_id)
        small = publish("c", b"y", 3)
        for piece in (1, 100, 1024, 10000):
            sink = feed(small + big + small, piece, 2000)
            assert sink.packets == [small, small], (packet_id, piece)
            assert sink.oversized == [(len(big), packet_id)]


def test_the_buffer_grows_to_what_a_packet_needs():
    packet = publish("a/b", b"x" * 3000, 1)
    for piece in (1, 1000, 5000):
        assert feed(packet, piece, 4096).packets == [packet]


def test_a_claimed_length_costs_no_memory_beyond_the_limit():
    sink = feed(b"\x30\xff\xff\xff\x7f\x00\x01a" + b"z" * 5000, 512, 4096)
    assert sink.oversized == [(268435460, 0)]
    assert sink.packets == []


def test_a_topic_longer_than_the_buffer_is_refused():
    raises(lambda: feed(b"\x32\xff\xff\x7f\xff\xff" + b"t" * 5000, 5000, 2000), "mqtt")


def test_a_long_topic_of_a_packet_that_is_too_long():
    big = publish("t" * 1500, b"x" * 5000, 9)
    for piece in (1, 700, 10000):
        assert feed(big, piece, 2000).oversized == [(len(big), 9)]


def test_only_a_publish_may_be_long():
    raises(lambda: feed(b"\x40\xff\xff\x7f\x00\x01", 6, 2000), "mqtt")


def test_the_end_of_the_stream():
    sink = Sink(1000)
    link = FakeLink()
    assert sink.receiver.read(link) is None
    link.ended = True
    assert sink.receiver.read(link) == 0
