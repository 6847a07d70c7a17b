"""Feeds a stream of a server to the client's session and writes down what came of it. Runs on both runtimes.

On MicroPython: micropython fed_client.py CASES.json, a list of [pieces in hexadecimal, max_packet_bytes]; prints a line
of JSON for each.
"""

import json
import sys

from azureiot.errors import AzureIoTError
from azureiot.session import Session
from fakes import Clock, FakeLink, Recorder, connack


class BoundedLink(FakeLink):
    """A link that sees how much room the reader of it has made."""

    room_bytes = 0

    def read_into(self, view):
        self.room_bytes = max(self.room_bytes, len(view))
        return super().read_into(view)


def feed(pieces, max_packet_bytes, connected=True, subscribe_id=0):
    """(events, code of the error that ended it or None, the largest room that was made for what comes).

    subscribe_id: the packet id of a SUBSCRIBE that was sent before, 0 for none.
    """
    link = BoundedLink()
    handler = Recorder()
    session = Session(link, handler, Clock(), max_packet_bytes=max_packet_bytes)
    session.connect(b"dev")
    session.step()
    if connected:
        link.feed(connack())
        session.step()
        handler.events.pop()
    if subscribe_id:
        session.last_packet_id = subscribe_id - 1
        session.subscribe(b"a/#")
    error = None
    try:
        for piece in pieces:
            link.feed(piece)
            while link._incoming:
                session.step()
                assert len(session._receiver._buffer) <= max_packet_bytes
    except AzureIoTError as raised:
        error = raised.code
    return handler.events, error, link.room_bytes


def main(path):
    with open(path) as file:
        cases = json.load(file)
    for pieces, max_packet_bytes in cases:
        print(outcome([bytes.fromhex(piece) for piece in pieces], max_packet_bytes))


def outcome(pieces, max_packet_bytes):
    """One line that is the same on both runtimes."""
    events, error, _ = feed(pieces, max_packet_bytes)
    return json.dumps([[list(map(plain, event)) for event in events], error])


def plain(value):
    return value.hex() if isinstance(value, bytes) else value


if __name__ == "__main__":
    main(sys.argv[1])
