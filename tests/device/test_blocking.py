"""The blocking driver: every call ends by its deadline, none spins, and each failure says what it waited for."""

from azureiot.blocking import Device
from azureiot.device import IDLE, ONLINE, WAITING
from azureiot.runtime import READ
from fakes import Clock, FakeLink, connack, puback, published, raises


class Bench:
    """A device that knows its hub, a clock that only waiting moves, and a server that a test scripts."""

    def __init__(self, **options):
        self.clock = Clock()
        self.links = []
        self.polls = []
        self.serve = lambda link: None  # called at every wait
        self.device = Device(
            credential="a credential",
            hub="hub-1",
            device_id="dev-1",
            clock=self.clock,
            open_link=self.open_link,
            random=lambda: 1.0,
            poll=self.poll,
            resolve=self.resolve,
            **options,
        )
        self.device._context = "a context"

    def open_link(self, host, port, context, clock):
        assert clock is self.clock, "every part keeps the same time"
        self.links.append(FakeLink(host, port, context))
        return self.links[-1]

    def resolve(self, host, port):
        return [(host, port)]

    def poll(self, socket, mask, timeout_ms):
        assert timeout_ms > 0, "a wait of nothing: the caller spins"
        assert (socket is None) == (mask == 0), "a socket only with something to wait for"
        assert len(self.polls) < 10000, "it does not end"
        self.polls.append((mask, timeout_ms))
        before = len(self.links), self.links and bytes(self.links[-1]._incoming), self.links and self.links[-1].ended
        if self.links:
            self.serve(self.links[-1])
        after = len(self.links), self.links and bytes(self.links[-1]._incoming), self.links and self.links[-1].ended
        if before == after:
            self.clock.now_ms += timeout_ms  # nothing happened


def accept(link):
    """A hub that lets the device in and acknowledges everything."""
    for packet in link.take():
        if packet[0] == 0x10:
            link.feed(connack())
        elif packet[0] & 0xF6 == 0x32:
            link.feed(puback(published(packet)[2]))
        elif packet[0] == 0xC0:
            link.feed(b"\xd0\x00")


def online(**options):
    bench = Bench(**options)
    bench.serve = accept
    bench.device.connect()
    assert bench.device.connected
    return bench


def test_connect_and_send():
    bench = online()
    bench.device.send({"t": 1})
    assert bench.clock.now_ms == 1000  # nothing had to be waited for


def test_send_before_connect_is_an_error():
    assert "connect()" in raises(lambda: Bench().device.send(b"x"), "not-connected").message


def test_wait_takes_as_long_as_it_says_and_does_not_spin():
    bench = online(keep_alive_s=240)
    bench.polls = []
    bench.device.wait(5)
    assert bench.clock.now_ms == 6000
    assert bench.polls == [(READ, 5000)]


def test_wait_keeps_the_connection_alive():
    bench = online(keep_alive_s=60)
    bench.device.wait(600)
    assert bench.device.connected and len(bench.links) == 1
    assert len(bench.polls) < 50


def test_wait_before_connect_only_waits():
    bench = Bench()
    bench.device.wait(2.5)
    assert bench.clock.now_ms == 3500
    assert len(bench.polls) == 1 and bench.device.phase == IDLE


def test_wait_reconnects():
    bench = online()
    bench.links[-1].ended = True
    bench.device.wait(10)
    assert bench.device.connected and len(bench.links) == 2


def test_deadlines():
    bench = Bench()
    error = raises(lambda: bench.device.connect(timeout_s=5), "timeout")
    assert bench.clock.now_ms == 6000
    assert error.message == "Not done within 5 s (waiting for hub-1:8883)."
    bench = online()
    bench.serve = lambda link: None
    raises(lambda: bench.device.send(b"x", timeout_s=3), "timeout")
    assert bench.clock.now_ms == 4000


def test_a_deadline_names_the_last_failure():
    bench = Bench()

    def refuse(link):
        link.ended = True

    bench.serve = refuse
    error = raises(lambda: bench.device.connect(timeout_s=20), "timeout")
    assert error.message == "Not done within 20 s; the last failure: hub-1:8883 closed the connection."
    assert len(bench.links) > 2  # it tried again


def test_without_retry_the_first_failure_is_raised():
    bench = Bench()

    def refuse(link):
        link.ended = True

    bench.serve = refuse
    raises(lambda: bench.device.connect(retry=False), "closed")
    assert len(bench.links) == 1
    assert bench.device.phase == IDLE


def test_a_permanent_refusal_is_raised_at_once_and_can_be_tried_again():
    bench = Bench()

    def refuse(link):
        if link.take():
            link.feed(connack(5))

    bench.serve = refuse
    for _ in range(2):
        raises(bench.device.connect, "connack-5")
        assert bench.device.phase == IDLE
    bench.serve = accept
    bench.device.connect()
    assert bench.device.phase == ONLINE


def test_a_name_that_does_not_resolve():
    bench = Bench()
    asked = []

    def resolve(host, port):
        asked.append(host)
        raise OSError("no such name")

    bench.device._resolve = resolve
    opened = bench.open_link

    def open_link(*arguments):
        opened(*arguments).opening = [8]
        return bench.links[-1]

    bench.device._open_link = open_link
    error = raises(lambda: bench.device.connect(retry=False), "dns")
    assert error.message == "hub-1: the name cannot be resolved (no such name)."
    assert "cannot be resolved" in raises(lambda: bench.device.connect(timeout_s=10), "timeout").message
    assert len(asked) > 2  # asked anew at each attempt


def test_a_message_is_sent_again_after_a_lost_connection():
    bench = online()
    lost = []

    def lose_once(link):
        if not lost and [packet for packet in link.take() if packet[0] & 0xF0 == 0x30]:
            lost.append(link)
            link.ended = True
        elif lost:
            accept(link)

    bench.serve = lose_once
    bench.device.send(b"important")
    assert len(bench.links) == 2


def test_a_message_whose_deadline_has_passed_is_given_up():
    bench = online(max_waiting=2)
    bench.serve = lambda link: None
    for _ in range(5):
        raises(lambda: bench.device.send(b"x", timeout_s=1), "timeout")
    bench.serve = accept
    bench.device.send(b"y")
    assert [published(packet)[1] for packet in bench.links[-1].take() if packet[0] & 0xF0 == 0x30] == []


def test_a_wait_of_days():
    bench = online(keep_alive_s=0)
    bench.device.wait(7 * 86400 + 1)
    assert bench.clock.now_ms == 1000 + (7 * 86400 + 1) * 1000
    assert bench.device.connected


def test_an_old_failure_is_no_reason_for_a_new_one():
    bench = online()
    bench.links[-1].ended = True
    bench.device.wait(10)
    assert bench.device.connected
    bench.serve = lambda link: None
    assert "last failure" not in raises(lambda: bench.device.send(b"x", timeout_s=1), "timeout").message


def test_waiting_between_attempts_can_be_interrupted_by_close():
    bench = online()
    bench.links[-1].ended = True
    bench.device.step()
    assert bench.device.phase == WAITING
    bench.device.close()
    bench.device.close()
    assert bench.device.phase == IDLE
