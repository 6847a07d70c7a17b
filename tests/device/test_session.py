"""MQTT over a link: the order of things, one write a packet, unsent rests, keep-alive, deadlines."""

from azureiot.runtime import NAME, READ, WRITE
from azureiot.session import Session
from fakes import PINGRESP, Clock, FakeLink, Recorder, connack, puback, publish, published, raises, suback


def opened(**options):
    """A session that has sent its CONNECT, with its link, handler and clock."""
    clock = Clock()
    link = FakeLink()
    handler = Recorder()
    session = Session(link, handler, clock, **options)
    session.connect(b"dev-1", b"user")
    session.step()
    return session, link, handler, clock


def connected(**options):
    session, link, handler, clock = opened(**options)
    link.feed(connack())
    session.step()
    assert handler.events.pop() == ("connected", False)
    link.take()
    return session, link, handler, clock


def test_connect_goes_out_once_the_link_is_open_and_in_one_write():
    link = FakeLink()
    link.opening = [NAME, WRITE, READ]
    session = Session(link, Recorder(), Clock())
    session.connect(b"dev-1", b"user", b"secret")
    assert [session.step() for _ in range(3)] == [NAME, WRITE, READ]
    assert not link.sent
    assert session.step() == READ
    assert link.take() == [(0x10, b"\x00\x04MQTT\x04\xc0\x00\xf0\x00\x05dev-1\x00\x04user\x00\x06secret")]
    assert link.writes == 1
    assert not session.idle


def test_while_connect_is_unsent_nothing_is_read():
    # On MicroPython only a write drives the handshake; whoever waits for reading waits for ever.
    link = FakeLink()
    link.window = 0
    link.feed(connack())
    session = Session(link, Recorder(), Clock())
    session.connect(b"d")
    assert session.step() == WRITE
    assert not session.connected
    link.window = 1000
    assert session.step() == READ
    assert session.connected


def test_connack_with_and_without_session():
    for present in (0, 1):
        session, link, handler, _ = opened()
        link.feed(connack(0, present))
        session.step()
        assert handler.events == [("connected", bool(present))]
        assert session.idle


def test_each_refusal_has_its_code():
    for code, retryable in ((1, False), (2, False), (3, True), (4, False), (5, False), (9, False)):
        session, link, _, _ = opened()
        link.feed(connack(code))
        error = raises(session.step, "connack-%d" % code)
        assert error.retryable == retryable, code
        assert "hub.example:8883 refused the connection" in error.message


def test_publish_at_qos_1_until_it_is_acknowledged():
    session, link, handler, _ = connected()
    session.publish(b"a/b", b"hello", session.next_packet_id())
    assert link.writes == 2  # CONNECT and this
    assert published(link.take()[0]) == ("a/b", b"hello", 1)
    link.feed(puback(1))
    session.step()
    assert handler.events == [("acknowledged", 1)]


def test_publish_at_qos_0_and_a_duplicate():
    session, link, _, _ = connected()
    session.publish(b"a", b"x")
    session.publish(b"a", b"y", 7, True)
    assert link.take() == [(0x30, b"\x00\x01ax"), (0x3A, b"\x00\x01a\x00\x07y")]


def test_a_packet_larger_than_the_buffer():
    session, link, _, _ = connected()
    payload = b"x" * 5000
    session.publish(b"a", payload, 1)
    assert published(link.take()[0]) == ("a", payload, 1)
    assert link.writes == 2


def test_subscribe():
    session, link, handler, _ = connected()
    session.subscribe(b"x/#")
    assert link.take() == [(0x82, b"\x00\x01\x00\x03x/#\x01")]
    link.feed(suback(1))
    session.step()
    assert handler.events == [("subscribed", 1)]


def test_a_suback_that_nobody_waits_for_is_no_news():
    # To a handler that has not subscribed, or has sent a message with this packet id, it would mean something else.
    session, link, handler, _ = connected()
    link.feed(suback(1))
    session.publish(b"a", b"x", session.next_packet_id())
    link.feed(suback(1))
    session.step()
    assert handler.events == []
    link.feed(puback(1))
    session.step()
    assert handler.events == [("acknowledged", 1)]


def test_packet_ids_wrap_after_65535():
    session, _, _, _ = connected()
    session.last_packet_id = 65534
    assert [session.next_packet_id() for _ in range(3)] == [65535, 1, 2]


def test_an_unsent_rest_is_offered_again_and_nothing_comes_between():
    session, link, _, _ = connected()
    link.window = 5
    session.publish(b"topic", b"0123456789", 1)
    assert bytes(link.sent) == b"\x32\x13\x00\x05t"
    assert not session.idle
    session.acknowledge(9)
    assert session.step() == READ | WRITE
    link.window = 3
    assert session.step() == READ | WRITE
    assert len(link.sent) == 8
    link.window = 1000
    assert session.step() == READ
    assert link.take() == [(0x32, b"\x00\x05topic\x00\x010123456789"), (0x40, b"\x00\x09")]


def test_messages_come_whole_in_whatever_pieces():
    data = publish("a/b", b"hello", 5) + publish("c", b"") + puback(3)
    for piece in (1, 2, 3, 7, 100):
        session, link, handler, _ = connected()
        for at in range(0, len(data), piece):
            link.feed(data[at : at + piece])
            assert session.step() == READ
        assert handler.events == [("message", "a/b", b"hello", 5), ("message", "c", b"", 0), ("acknowledged", 3)], piece


def test_acknowledgements_go_out_in_order():
    session, link, _, _ = connected()
    session.acknowledge(5)
    session.acknowledge(6)
    session.step()
    assert link.take() == [(0x40, b"\x00\x05"), (0x40, b"\x00\x06")]


def test_a_server_that_takes_no_acknowledgement_gets_nothing_more_read():
    session, link, handler, _ = connected()
    link.window = 0
    for packet_id in range(1, 18):
        session.acknowledge(packet_id)
    session.step()
    link.feed(publish("a", b"x"))
    assert session.step() == WRITE
    assert handler.events == []
    link.window = 1000
    session.step()
    session.step()
    assert len(link.take()) == 17
    assert handler.events == [("message", "a", b"x", 0)]


def test_keep_alive_pings_in_silence_and_only_then():
    session, link, _, clock = connected(keep_alive_s=10)
    assert session.timeout_ms() == 10000
    clock.now_ms += 9000
    session.publish(b"a", b"x")
    link.take()
    clock.now_ms += 9999
    session.step()
    assert link.take() == []
    clock.now_ms += 1
    session.step()
    assert link.take() == [(0xC0, b"")]
    session.step()
    assert link.take() == []  # once
    link.feed(PINGRESP)
    session.step()
    assert session.timeout_ms() == 10000


def test_no_pingresp_ends_the_session_before_the_server_would():
    session, _, _, clock = connected(keep_alive_s=10)
    clock.now_ms += 10000
    session.step()
    assert session.timeout_ms() == 5000
    clock.now_ms += 5000
    error = raises(session.step, "timeout")
    assert "did not answer" in error.message and error.retryable


def test_keep_alive_0_never_pings():
    session, link, _, clock = connected(keep_alive_s=0)
    clock.now_ms += 10000000
    session.step()
    assert link.take() == []


def test_a_program_that_did_not_call_for_too_long_finds_the_session_over():
    session, _, _, clock = connected(keep_alive_s=10)
    clock.now_ms += 15001
    raises(session.step, "closed")


def test_a_missing_puback_ends_the_session():
    session, _, _, clock = connected()
    session.publish(b"a", b"x", 1)
    assert session.timeout_ms() == 20000
    clock.now_ms += 19999
    session.step()
    clock.now_ms += 1
    raises(session.step, "timeout")


def test_a_slow_link_is_given_the_time_it_needs():
    session, link, _, clock = connected(keep_alive_s=240)
    link.window = 0
    session.publish(b"a", b"x" * 200000, 1)
    for _ in range(20):
        clock.now_ms += 15000  # each time less than the response time-out, together five minutes
        link.window = 10000
        session.step()
    link.window = 1 << 30
    session.step()
    assert len(link.take()[0][1]) == 200005
    clock.now_ms += 19999
    session.step()
    clock.now_ms += 1
    raises(session.step, "timeout")  # now it is the answer that is owed


def test_after_quiet_a_blocked_packet_gets_its_time_too():
    session, link, _, clock = connected(keep_alive_s=240)
    clock.now_ms += 100000
    link.window = 0
    session.acknowledge(5)
    session.step()
    clock.now_ms += 19000
    session.step()
    clock.now_ms += 1000
    raises(session.step, "timeout")


def test_one_write_takes_at_most_a_record():
    session, link, _, _ = connected()
    before = link.writes
    session.publish(b"a", b"x" * 40000, 1)
    assert link.writes - before == 3


def test_a_packet_that_finds_no_memory_leaves_the_session_as_it_was():
    session, link, _, _ = connected()

    def no_memory(size):
        raise MemoryError

    room, session._make_room = session._make_room, no_memory
    try:
        session.publish(b"a", b"x" * 5000, 1)
        raise AssertionError("memory was there")
    except MemoryError:
        pass
    session._make_room = room
    assert session.idle
    session.publish(b"a", b"x" * 5000, 1)
    assert published(link.take()[0])[1] == b"x" * 5000


def test_a_flood_of_messages_is_bounded_by_what_can_be_acknowledged():
    session, link, handler, _ = connected()
    handler.on_message = lambda topic, payload, packet_id: session.acknowledge(packet_id)
    link.window = 0
    link.feed(publish("a", b"", 1) * 60000)
    for _ in range(100):
        session.step()
    assert len(session._acknowledgements) < 200


def test_a_peer_that_reads_nothing_ends_the_session():
    session, link, _, clock = connected(keep_alive_s=0)
    link.window = 0
    session.publish(b"a", b"x")
    assert session.timeout_ms() == 20000
    clock.now_ms += 20000
    raises(session.step, "timeout")


def test_connecting_has_a_deadline_at_every_stage():
    for opening in ([NAME] * 9, [WRITE] * 9, [READ] * 9, []):
        clock = Clock()
        link = FakeLink()
        link.opening = opening
        session = Session(link, Recorder(), clock, connect_timeout_s=30)
        session.connect(b"d")
        session.step()
        assert session.timeout_ms() == 30000
        clock.now_ms += 30000
        error = raises(session.step, "timeout")
        # Once CONNECT has left it is the answer that is missing, not the way.
        assert ("could not be reached" if opening else "did not answer") in error.message
        assert error.cause == ("timeout" if opening else "no-answer")


def test_the_end_of_the_stream_is_an_error():
    session, link, _, _ = connected()
    link.ended = True
    assert raises(session.step, "closed").retryable


def test_what_breaks_the_protocol_ends_the_session():
    for bad in (
        b"\x20\x02\x00\x00",
        b"\x10\x00",
        b"\x34\x03\x00\x01a",
        b"\x30\x03\x00\x05a",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x30\x80\x80\x80\x80\x01",
        b"\x30\x04\x00\x02\xff\xff",
        b"\x40\x02\x00\x00",
        b"\x90\x03\x00\x00\x01",
    ):
        session, link, _, _ = connected()
        link.feed(bad)
        raises(session.step, "mqtt")
    session, link, _, _ = opened()
    link.feed(publish("a", b"x"))
    raises(session.step, "mqtt")  # before CONNACK


def test_closing_says_disconnect_once():
    session, link, _, _ = connected()
    session.close()
    assert link.take() == [(0xE0, b"")]
    assert link.closed
    session.close()
    assert link.take() == []


def test_closing_a_broken_link_raises_nothing():
    session, link, _, _ = connected()
    link.closed = True
    session.close()
