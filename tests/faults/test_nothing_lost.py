"""A connection that breaks anywhere between connect and acknowledgement loses no message (MQTT 3.1.1 §4.3.2).

Each arrives at least once; one that may have arrived before comes with DUP and the same packet id (§3.3.1.1).
"""

from __future__ import annotations

import pytest

from fakes import connack, puback
from faults.server import CONNECT, PUBLISH, PUBLISH_AGAIN, Peer, Script
from faults.trial import RUNTIMES, Case, Trial, call

WELCOME = (Peer.handshake, CONNECT, connack())
GOOD = (Peer.handshake, Peer.serve)
BOTH = [b"one", b"two"]


def half_a_message(peer: Peer) -> None:
    peer.takes_part(30_000)


def arrived(trial: Trial) -> None:
    """Both have arrived, in order, what had been seen before as a duplicate."""
    before, after = trial.connections[0].packets, trial.connections[1].packets
    assert len(trial.connections) == 2
    assert trial.outcome["delivered"] == [True]
    came = [payload for _, payload in trial.messages(1)]
    # A reset may swallow an acknowledgement on its way: then the first message comes again, too.
    assert came == BOTH or (came == BOTH[1:] and puback(1) in trial.case.scripts[0])
    seen = [body for first, body in before if first == PUBLISH]
    for first, body in after:
        if body in seen:
            assert first == PUBLISH_AGAIN


def arrived_whole(trial: Trial) -> None:
    assert [(first, len(payload)) for first, payload in trial.messages(1)] == [(PUBLISH_AGAIN, 60_000)]


def broken(name: str, script: Script) -> list[Case]:
    """A connection that ends after this script, in two ways; the next one is good."""
    calls = (call("connect", retry=True), call("queue", payload="one"), call("send", payload="two"))
    return [
        Case(f"{how} {name}", ((*script, end), GOOD), does=calls, also=arrived)
        for how, end in (("closed", Peer.close), ("reset", Peer.reset))
    ]


CASES = [
    *broken("at once", ()),
    *broken("in the handshake", (Peer.pull,)),
    *broken("before CONNECT", (Peer.handshake,)),
    *broken("before CONNACK", (Peer.handshake, CONNECT)),
    *broken("in CONNACK", (Peer.handshake, CONNECT, connack()[:3])),
    *broken("after CONNACK", WELCOME),
    *broken("after the first message", (*WELCOME, PUBLISH)),
    *broken("after both", (*WELCOME, PUBLISH, PUBLISH)),
    *broken("in the first acknowledgement", (*WELCOME, PUBLISH, PUBLISH, puback(1)[:2])),
    *broken("after the first acknowledgement", (*WELCOME, PUBLISH, PUBLISH, puback(1))),
    *broken("in the second acknowledgement", (*WELCOME, PUBLISH, PUBLISH, puback(1), puback(2)[:3])),
    Case(
        "closed in a message",
        ((*WELCOME, half_a_message, Peer.close), GOOD),
        does=(call("connect"), call("send", payload="x" * 60_000)),
        also=arrived_whole,
    ),
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_lost(trial: Trial) -> None:
    trial.check()
