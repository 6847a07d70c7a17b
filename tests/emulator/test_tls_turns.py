"""Pins that one client's burst waits its turn: a paused protocol gets nothing, and others are served in between.

The TLS transport is the real one; the sockets and the protocol above are scripted.
"""

import asyncio
import ssl
from contextlib import suppress

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.emulator.tls import Listener, TlsTransport

RECORD_BYTES = 4 * 1024  # as much as one turn allows


@pytest.fixture(scope="module")
def server():
    return authority.issue_server(authority.create_root("Root"), ["localhost"])


class Raw:
    """The plain transport below: keeps what is written, and whether it is read from."""

    def __init__(self):
        self.written = b""
        self.reading = True
        self.aborted = False

    def get_extra_info(self, _):
        return ("127.0.0.1", 1)

    def write(self, data):
        self.written += data

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def write_eof(self):
        pass

    def abort(self):
        self.aborted = True


class Above(asyncio.Protocol):
    """The protocol above: notes what it gets in `order`, and pauses after `pause_after` chunks."""

    def __init__(self, order, pause_after=None):
        self.order = order
        self.pause_after = pause_after

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.order.append(data[:1])
        if len(self.order) == self.pause_after:
            self.transport.pause_reading()

    def eof_received(self):
        self.order.append("end")


def connected(server, above):
    """A transport after its handshake, the client's TLS and what the client sends."""
    told = []
    listener = Listener([server], lambda: above, lambda *said: told.append(said), max_connections=9, handshake_s=9)
    raw = Raw()
    transport = TlsTransport(listener)
    transport.connection_made(raw)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while transport.get_extra_info("peer") is None:
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        transport.data_received(outgoing.read())
        incoming.write(raw.written)
        raw.written = b""
    client.do_handshake()
    assert told == []
    return transport, raw, client, outgoing


def burst(client, outgoing, records):
    for number in range(records):
        client.write(bytes((number,)) * RECORD_BYTES)
    return outgoing.read()


def test_others_have_their_turn_between_the_records_of_a_burst(server):
    async def scenario():
        order = []
        transport, raw, client, outgoing = connected(server, Above(order))
        loop = asyncio.get_running_loop()

        def other():
            order.append("other")
            if len(order) < 8:
                loop.call_soon(other)

        loop.call_soon(other)
        transport.data_received(burst(client, outgoing, 4))
        assert order == [b"\0"], "one record in the first turn"
        assert not raw.reading, "what comes meanwhile must not pile up"
        while len(order) < 8:
            await asyncio.sleep(0)
        assert order == [b"\0", "other", b"\1", "other", b"\2", "other", b"\3", "other"]
        await asyncio.sleep(0)
        assert raw.reading

    asyncio.run(scenario())


def test_a_paused_protocol_gets_nothing_until_it_resumes(server):
    async def scenario():
        order = []
        transport, raw, client, outgoing = connected(server, Above(order, pause_after=2))
        client.write(b"a")
        client.write(b"b")
        client.write(b"c")
        transport.data_received(outgoing.read())
        for _ in range(5):
            await asyncio.sleep(0)
        assert (order, raw.reading) == ([b"a", b"b"], False)
        transport.resume_reading()
        assert order == [b"a", b"b"], "not from within the call: the protocol may be in the middle of something"
        await asyncio.sleep(0)
        assert (order, raw.reading) == ([b"a", b"b", b"c"], True)

    asyncio.run(scenario())


def test_a_goodbye_behind_a_burst_is_heard_after_it(server):
    async def scenario():
        order = []
        transport, _, client, outgoing = connected(server, Above(order))
        sent = burst(client, outgoing, 3)
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        transport.data_received(sent + outgoing.read())
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == [b"\0", b"\1", b"\2", "end"]

    asyncio.run(scenario())


def test_a_closed_transport_serves_nothing_more(server):
    async def scenario():
        order = []
        transport, _, client, outgoing = connected(server, Above(order))
        transport.data_received(burst(client, outgoing, 3))
        transport.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == [b"\0"]
        transport.connection_lost(None)

    asyncio.run(scenario())
