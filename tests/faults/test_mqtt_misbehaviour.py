"""A hub that breaks MQTT's rules, end to end: the device says what happened, hangs nowhere, and loses no message.

Section numbers in comments are those of the OASIS MQTT 3.1.1 specification.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import connack, puback, publish
from faults.dps import assigns
from faults.identities import HUB, OLD_HUB
from faults.server import CONNECT, DISCONNECT, PINGREQ, PUBACK, PUBLISH, PUBLISH_AGAIN, Peer
from faults.trial import BY_DPS, BY_HUB, RUNTIMES, SENDS, Case, Trial, call

OPENED = (Peer.handshake, CONNECT)
WELCOME = (*OPENED, connack())
GOOD = (Peer.handshake, Peer.serve)
# Silence is answered by a ping after 10 s; an answer may take 5 s.
IMPATIENT = {**BY_HUB, "keep_alive_s": 10}
QUEUES = (call("connect"), call("queue", payload="one"), call("queue", payload="two"), call("send", payload="three"))


def went_on_by_itself(trial: Trial) -> None:
    """The link was given up for another, without an error to the program."""
    assert len(trial.connections) == 2


def link_lives_on(trial: Trial) -> None:
    assert len(trial.connections) == 1
    assert trial.outcome["last"] == ""


def came_again_as_duplicate(trial: Trial) -> None:
    assert len(trial.connections) == 2
    assert trial.elapsed_s < 10  # the silence itself was noticed, not the next ping's
    assert trial.messages(0) == [(PUBLISH, b"one")]
    assert trial.messages(1) == [(PUBLISH_AGAIN, b"one")]


def the_unacknowledged_came_again(trial: Trial) -> None:
    assert trial.elapsed_s < 10
    assert trial.messages(0) == [(PUBLISH, b"one"), (PUBLISH, b"two"), (PUBLISH, b"three")]
    assert trial.messages(1) == [(PUBLISH_AGAIN, b"two"), (PUBLISH_AGAIN, b"three")]
    assert trial.outcome["delivered"] == [True, True]


def none_came_twice(trial: Trial) -> None:
    assert trial.messages(0) == [(PUBLISH, b"one"), (PUBLISH, b"two"), (PUBLISH, b"three")]
    assert trial.outcome["delivered"] == [True, True]
    link_lives_on(trial)


def skipped_and_acknowledged(trial: Trial) -> None:
    assert trial.outcome["skipped"] == 1
    assert (PUBACK, b"\x00\x09") in trial.connections[0].packets
    link_lives_on(trial)


def pinged_and_waited_half_a_keep_alive(trial: Trial) -> None:
    assert trial.packets(0) == [CONNECT, PINGREQ, DISCONNECT]
    assert "did not answer" in trial.outcome["last"]
    went_on_by_itself(trial)


def asked_dps_and_came_back(trial: Trial) -> None:
    assert len(trial.connections) == 3
    assert trial.outcome["hub"] == HUB


REFUSALS = [
    Case(f"CONNACK {number}", ((*OPENED, connack(number)),), f"connack-{number}", says, next_step, number == 3)
    for number, says, next_step in (
        (1, "return code 1", "host and port"),
        (2, "return code 2", "client id"),
        (3, "server unavailable", "later"),
        (4, "not authorized", "credential"),
        (5, "not authorized", "device is enabled"),
        (99, "return code 99", "host and port"),
    )
]
DETOURS = [
    Case(
        "CONNACK 5 to an old assignment leads to DPS",
        ((*OPENED, connack(5)), assigns(HUB), GOOD),
        does=(call("connect", retry=True), call("send", payload="one")),
        device={**BY_DPS, "hub": OLD_HUB},
        also=asked_dps_and_came_back,
    ),
    Case(
        "CONNACK 5 to a new assignment is final",
        (assigns(HUB), (*OPENED, connack(5))),
        "connack-5",
        "not authorized",
        "device is enabled",
        does=(call("connect", retry=True),),
        device=BY_DPS,
    ),
]
NO_MQTT = [
    Case(name, ((*OPENED, answer),), "mqtt", "broke the MQTT protocol", "host and port", True)
    for name, answer in (
        ("noise", bytes(range(0x77, 0xFF))),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("a CONNACK of 256 MB", b"\x20\xff\xff\xff\x7f"),
        ("a CONNACK of three bytes", b"\x20\x03\x00\x00\x00"),
        ("a length of five bytes", b"\x20\x82\x80\x80\x80\x00\x00\x00"),
        ("a message before CONNACK", publish("a", b"x")),
    )
]
BROKEN_LATER = [
    Case(name, ((*WELCOME, PUBLISH, answer), GOOD), does=SENDS, also=came_again_as_duplicate)
    for name, answer in (
        ("a second CONNACK", connack()),
        ("a message at QoS 2", b"\x34\x06\x00\x01a\x00\x01x"),
        ("a length of five bytes, later", b"\x30\x80\x80\x80\x80\x01"),
        ("a packet for servers", b"\x10\x00"),
        ("a message with packet id 0", b"\x32\x05\x00\x01a\x00\x00"),
        ("an acknowledgement without packet id", b"\x40\x00"),
        ("HTTP, later", b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
    )
]
TOLERATED = [
    Case("session present", ((*OPENED, connack(0, 1), Peer.serve),), does=SENDS, also=link_lives_on),
    Case(
        "an acknowledgement of something else first",
        ((*WELCOME, PUBLISH, puback(999), Peer.acknowledge),),
        does=SENDS,
        also=link_lives_on,
    ),
    Case(
        "acknowledgements out of order",
        ((*WELCOME, PUBLISH, PUBLISH, PUBLISH, puback(3) + puback(1) + puback(2)),),
        does=QUEUES,
        also=none_came_twice,
    ),
    Case(
        "each acknowledgement twice",
        ((*WELCOME, PUBLISH, PUBLISH, PUBLISH, *(puback(number) for number in (1, 1, 2, 2, 3, 3))),),
        does=QUEUES,
        also=none_came_twice,
    ),
    Case(
        "a message that is too long for this device",
        (
            (
                *WELCOME,
                PUBLISH,
                publish("devices/dev-1/messages/devicebound/", b"x" * 100_000, 9),
                puback(1),
                Peer.serve,
            ),
        ),
        does=(*SENDS, call("wait", seconds=0.1), call("send", payload="two")),
        device={**BY_HUB, "max_packet_bytes": 4096},
        also=skipped_and_acknowledged,
    ),
]
SILENT = [
    Case(
        "nothing is acknowledged",
        ((*WELCOME, PUBLISH), GOOD),
        does=SENDS,
        device=IMPATIENT,
        also=came_again_as_duplicate,
    ),
    Case(
        "something else is acknowledged",
        ((*WELCOME, PUBLISH, puback(999)), GOOD),
        does=SENDS,
        device=IMPATIENT,
        also=came_again_as_duplicate,
    ),
    Case(
        "one is acknowledged three times, the others never",
        ((*WELCOME, PUBLISH, PUBLISH, PUBLISH, puback(1), puback(1), puback(1)), GOOD),
        does=QUEUES,
        device=IMPATIENT,
        also=the_unacknowledged_came_again,
    ),
    Case(
        "a packet of 256 MB that never comes",
        ((*WELCOME, PUBLISH, b"\x30\xff\xff\xff\x7f\x00\x01a"), GOOD),
        does=SENDS,
        device=IMPATIENT,
        also=came_again_as_duplicate,
    ),
    Case(
        "the hub stops reading",
        ((*WELCOME, Peer.stall), GOOD),
        does=(call("connect"), call("send", payload="x" * 200_000, timeout_s=60)),
        device=IMPATIENT,
        also=went_on_by_itself,
    ),
    Case(
        "no PINGRESP",
        ((*WELCOME, PINGREQ), GOOD),
        does=(call("connect"), call("wait", seconds=16)),
        device=IMPATIENT,
        also=pinged_and_waited_half_a_keep_alive,
    ),
    Case(
        "no acknowledgement, however often it is sent",
        (WELCOME,),
        "timeout",
        "did not answer",
        "no answer came",
        True,
        does=(call("connect"), call("send", payload="one", timeout_s=12)),
        device=IMPATIENT,
    ),
    Case(
        "the hub hangs up at every message",
        ((*WELCOME, Peer.receive, Peer.close),),
        "timeout",
        "closed the connection",
        "quota",
        True,
        does=(call("connect"), call("send", payload="one", timeout_s=5)),
        device=IMPATIENT,
    ),
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*REFUSALS, *DETOURS, *NO_MQTT, *BROKEN_LATER, *TOLERATED], ids=str)
def test_what_the_hub_says(trial: Trial) -> None:
    trial.check()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [replace(case, speed=5) for case in SILENT], ids=str)
def test_what_the_hub_does_not_say(trial: Trial) -> None:
    trial.check()
