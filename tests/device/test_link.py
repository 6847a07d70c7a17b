"""A link's way to an open stream; above all, that one address that swallows everything does not hide the others."""

import azureiot.runtime as runtime
from azureiot.link import Link
from azureiot.runtime import NAME, WRITE
from fakes import Clock, raises


class Network:
    """Stands in for the runtime's sockets: address -> what happens there ("open", "silent", "refused")."""

    NAMES = ("tcp_connect", "tcp_connected", "tls_wrap", "handshake")

    def __init__(self, **places):
        self.places = places
        self.dialled = []

    def __enter__(self):
        self.kept = [getattr(runtime, name) for name in self.NAMES]
        for name in self.NAMES:
            setattr(runtime, name, getattr(self, name))
        return self

    def __exit__(self, *ignored):
        for name, function in zip(self.NAMES, self.kept):
            setattr(runtime, name, function)

    def tcp_connect(self, address):
        self.dialled.append(address)
        return Socket(self.places[address])

    def tcp_connected(self, socket):
        if socket.place == "refused":
            raise OSError(111)
        return socket.place == "open"

    def tls_wrap(self, context, socket, host):
        return socket

    def handshake(self, socket):
        return 0


class Socket:
    def __init__(self, place):
        self.place = place

    def close(self):
        self.place = "closed"


def test_a_name_first_then_a_connection():
    with Network(a="open"):
        link = Link("h", 1, None, Clock())
        assert link.step() == NAME
        link.resolved(["a"])
        assert link.step() == 0


def test_a_refused_address_gives_way_at_once():
    with Network(a="refused", b="open") as network:
        link = Link("h", 1, None, Clock())
        link.resolved(["a", "b"])
        assert link.step() == 0
        assert network.dialled == ["a", "b"]


def test_a_silent_address_gives_way_after_a_while():
    clock = Clock()
    with Network(a="silent", b="open") as network:
        link = Link("h", 1, None, clock)
        link.resolved(["a", "b"])
        assert link.step() == WRITE
        assert link.timeout_ms() == 5000
        clock.now_ms += 4999
        assert link.step() == WRITE
        clock.now_ms += 1
        assert link.step() == 0
        assert network.dialled == ["a", "b"]


def test_the_last_address_has_all_the_time():
    clock = Clock()
    with Network(a="silent"):
        link = Link("h", 1, None, clock)
        link.resolved(["a"])
        clock.now_ms += 60000
        assert link.step() == WRITE
        assert link.timeout_ms() > 60000


def test_all_refused():
    with Network(a="refused", b="refused"):
        link = Link("h", 1, None, Clock())
        link.resolved(["a", "b"])
        error = raises(link.step)
        assert error.retryable and "h:1" in error.message
