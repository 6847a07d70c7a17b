"""DPS on its bad days, end to end: every status and error code, no code, no sense, no end, no answer.

The codes are those of docs/protocol.md §1.5. What DPS does besides is not documented (§9), so whatever it might do has
to come out as one clear sentence, by the deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakes import connack, suback
from faults.dps import ASKED_BY_DEVICE, answers, assigned
from faults.identities import HUB
from faults.server import CONNECT, PUBACK, PUBLISH, SUBSCRIBE, Item, Peer
from faults.trial import BY_DPS, RUNTIMES, SENDS, Case, Trial, call

PROVISIONS = (call("provision"),)
WELCOME = (Peer.handshake, CONNECT, connack())
ASKED_AGAIN = (PUBLISH, Peer.acknowledge)
ASSIGNING = {"operationId": "5.a b.c", "status": "assigning"}
TRACKING_ID = "5b6f-4711"


def case(name: str, script: tuple[Item, ...], code: int | str | None = None, *sentence: Any, **more: Any) -> Case:
    """A device that wants to know its hub. sentence: says, hint, retryable (Case's)."""
    return Case(name, (script,), code, *sentence, **{"does": PROVISIONS, "device": BY_DPS, **more})


def answered(name: str, answer: Item, code: int | str, *sentence: Any, **more: Any) -> Case:
    """This is the answer to the device's first request, and an error to the program."""
    return case(name, (*ASKED_BY_DEVICE, answer), code, *sentence, **more)


def refusal(code: int, message: str, query: str = "") -> Item:
    """An error body, under the HTTP status that its code begins with."""
    return answers(code // 1000, {"errorCode": code, "trackingId": TRACKING_ID, "message": message}, query)


def end(status: str, **state: Any) -> Item:
    """The end of an operation that assigned nothing."""
    return answers(200, {"operationId": "5.a.b", "status": status, "registrationState": {"status": status, **state}})


def for_ever(answer: Item) -> Item:
    """This answer to every request."""

    def loop(peer: Peer) -> None:
        while True:
            for item in (answer, *ASKED_AGAIN):
                peer.do(item)

    return loop


def tracking_id_is_told(trial: Trial) -> None:
    assert trial.outcome["error"]["tracking_id"] == TRACKING_ID
    assert TRACKING_ID in trial.outcome["error"]["text"]


def took(at_least_s: float, less_than_s: float) -> Callable[[Trial], None]:
    def check(trial: Trial) -> None:
        assert at_least_s <= trial.elapsed_s < less_than_s

    return check


def registered_again(trial: Trial) -> None:
    assert trial.topics(0)[1].startswith("$dps/registrations/PUT/iotdps-register/?$rid=2")


def polled_again(trial: Trial) -> None:
    polls = trial.topics(0)[1:]
    assert [topic.partition("?")[0] for topic in polls] == ["$dps/registrations/GET/iotdps-get-operationstatus/"] * 2
    assert all(topic.endswith("&operationId=5.a%20b.c") for topic in polls)


def asked_every_three_seconds(trial: Trial) -> None:
    assert 20 <= trial.elapsed_s < 30
    assert 4 <= len(trial.topics(0)) <= 7


def assigned_as_told(trial: Trial) -> None:
    assert (trial.outcome["hub"], trial.outcome["device_id"]) == (HUB, "dev-1")
    assert len(trial.topics(0)) == 1


def one_more_question(trial: Trial) -> None:
    assert len(trial.topics(0)) == 2


def the_hub_knows_another_name(trial: Trial) -> None:
    assert trial.outcome["device_id"] == "machine-7"
    assert trial.topics(1)[0].startswith("devices/machine-7/messages/events/")


REFUSED = [
    answered(f"{code} {message}", refusal(code, message), code, message, hint, code == 409001, also=tracking_id_is_told)
    for code, message, hint in (
        (400004, "Invalid RegistrationId", "registration id"),
        (401000, "Unauthorized", "clock"),
        (401002, "Unauthorized", "intermediate"),
        (401002, "Invalid certificate", "intermediate"),
        (401002, "CA certificate not found.", "verified in DPS"),
        (401002, "Signing certificate info did not match chain elements", "intermediate"),
        (403001, "Forbidden", "network rules"),
        (404201, "Enrollment not found", "create one"),
        (404202, "Registration not found", "register again"),
        (404000, "No such id scope", "id scope"),
        (405000, "Method not allowed", "registration id"),
        (409001, "Conflict", "two devices"),
        (412000, "Precondition failed", "registration id"),
        (415000, "Unsupported media type", "registration id"),
    )
]
FAILED = [
    answered(f"failed, {code} {message}", end("failed", errorCode=code, errorMessage=message), code, message, *hint)
    for code, message, *hint in (
        (400207, "Custom allocation failed with status code: 500", "function", False),
        (400208, "no hub", "link one", False),
        (400209, "hub unauthorised", "access policy", False),
        (401002, "IotHubUnauthorizedAccess", "enrollment", False),
        (404201, "not found", "create one", False),
        (409001, "conflict", "two devices", True),
        (429001, "throttled", "fewer devices", True),
        (500001, "internal", "status page", True),
    )
]
FAILED += [
    answered("failed without a reason", end("failed"), "failed", "no reason given", "allocation policy"),
    answered("the enrollment is disabled", end("disabled"), "disabled", "(disabled)", "enable it"),
    answered("an end of another name", end("blacklisted"), "blacklisted", "(blacklisted)", "enrollment"),
]
WITHOUT_A_WORD = [
    case("CONNACK 5", (*WELCOME[:2], connack(5)), "connack-5", "dps.example", "id scope"),
    case("closed after CONNECT", (*WELCOME[:2], Peer.close), "closed", "dps.example", "id scope", True),
    case("closed after CONNACK", (*WELCOME, Peer.close), "closed", "dps.example", "id scope", True),
    case("closed after SUBSCRIBE", (*WELCOME, SUBSCRIBE, Peer.close), "closed", "dps.example", "id scope", True),
    answered("closed after the request", Peer.close, "closed", "dps.example", "id scope", True),
    case("SUBACK 0x80", (*WELCOME, SUBSCRIBE, suback(1, 0x80)), "suback", "subscription", "provisioning host", True),
]
WITHOUT_SENSE = [
    answered(f"{name}, {status}", answers(status, body), "dps-answer", "not understood", "provisioning host", True)
    for status in (200, 202, "ok")
    for name, body in (
        ("no body", ""),
        ("half of the JSON", '{"operationId": "5.a", "stat'),
        ("a list", "[]"),
        ("a web page", "<html>"),
        ("deep nesting", "[" * 3000),
        ("no status", {"operationId": "5.a"}),
        ("a status that is a number", {"status": 5}),
        ("no state", {"status": "assigned"}),
        ("no hub", {"status": "assigned", "registrationState": {"deviceId": "dev-1"}}),
        ("no device id", {"status": "assigned", "registrationState": {"assignedHub": HUB}}),
        ("a hub of null", {"status": "assigned", "registrationState": {"assignedHub": None, "deviceId": "dev-1"}}),
        ("a hub that is a list", {"status": "assigned", "registrationState": {"assignedHub": [], "deviceId": "d"}}),
    )
]
WITHOUT_SENSE += [
    answered("a refusal without sense", answers(401, "<html>"), 401, "status 401", "credential"),
    answered(
        "an answer that is too long for this device",
        answers(200, assigned() | {"payload": "x" * 5000}),
        "dps-answer",
        "max_packet_bytes",
        "max_packet_bytes",
        device={**BY_DPS, "max_packet_bytes": 4096},
    ),
]
PATIENCE = [
    case(
        f"retry-after {query.partition('=')[2] or 'absent'}",
        (*ASKED_BY_DEVICE, answers(202, ASSIGNING, query), *ASKED_AGAIN, answers(200, assigned())),
        also=took(after_s, after_s + (200 if after_s == 300 else 2.9)),
        does=(call("provision", timeout_s=400),),
        speed=60 if after_s == 300 else 1,
    )
    for query, after_s in (
        ("&retry-after=0", 0),
        ("&retry-after=1", 1),
        ("&retry-after=300", 300),
        ("", 3),
        ("&retry-after=soon", 3),
        ("&retry-after=-7", 0),
    )
]
BUSY = [
    case(
        f"{code} to the request",
        (*ASKED_BY_DEVICE, refusal(code, "Busy", query), *ASKED_AGAIN, answers(200, assigned())),
        also=registered_again,
    )
    for code, query in (
        (429001, "&retry-after=1"),
        (429001, "&retry-after=0"),
        (500001, ""),
        (503001, "&retry-after=1"),
    )
]
BUSY += [
    case(
        f"{code} to the poll",
        (
            *(*ASKED_BY_DEVICE, answers(202, ASSIGNING, "&retry-after=0")),
            *(*ASKED_AGAIN, refusal(code, "Busy", "&retry-after=1")),
            *(*ASKED_AGAIN, answers(200, assigned())),
        ),
        also=polled_again,
    )
    for code in (429001, 500001, 503001)
]
TOLERATED = [
    case(
        "the answer to another first",
        (*ASKED_BY_DEVICE, answers(200, assigned("other.example"), rid="99"), answers(200, assigned())),
        also=assigned_as_told,
    ),
    case(
        "each answer twice",
        (
            *(*ASKED_BY_DEVICE, *[answers(202, ASSIGNING, "&retry-after=0")] * 2),
            *(*ASKED_AGAIN, *[answers(200, assigned())] * 2),
        ),
        also=one_more_question,
    ),
    case(
        "an answer at QoS 1",
        (
            *(*ASKED_BY_DEVICE, answers(202, ASSIGNING, "&retry-after=1", packet_id=7), PUBACK),
            *(*ASKED_AGAIN, answers(200, assigned(), packet_id=8)),
        ),
        also=one_more_question,
    ),
    Case(
        "another device id",
        ((*ASKED_BY_DEVICE, answers(200, assigned(HUB, "machine-7"))), (Peer.handshake, Peer.serve)),
        does=SENDS,
        device=BY_DPS,
        also=the_hub_knows_another_name,
    ),
]
WITHOUT_END = [
    case(
        name,
        (*ASKED_BY_DEVICE, for_ever(item)),
        "timeout",
        says,
        hint,
        True,
        does=(call("provision", timeout_s=20),),
        also=also,
        speed=10,
    )
    for name, item, says, hint, also in (
        ("202 for ever", answers(202, ASSIGNING), "still assigning", "allocation policy", asked_every_three_seconds),
        (
            "202 and retry-after 300",
            answers(202, ASSIGNING, "&retry-after=300"),
            "still assigning",
            "allocation policy",
            took(20, 30),
        ),
        ("429 for ever", refusal(429001, "Throttled"), "Throttled", "fewer devices", asked_every_three_seconds),
        ("503 for ever", refusal(503001, "Unavailable"), "Unavailable", "status page", asked_every_three_seconds),
    )
]
WITHOUT_ANSWER = [
    case(
        name,
        script,
        "timeout",
        "did not answer",
        "no answer came",
        True,
        does=(call("provision", timeout_s=90),),
        also=took(after_s, after_s + 20),
        speed=20,
    )
    for name, script, after_s in (
        ("silence after CONNECT", WELCOME[:2], 60),
        ("silence after CONNACK", WELCOME, 20),
        ("silence after SUBACK", (*WELCOME, SUBSCRIBE, Peer.acknowledge), 20),
        ("silence after the request", ASKED_BY_DEVICE, 30),
        ("answers to others alone", (*ASKED_BY_DEVICE, *[answers(200, assigned(), rid="99")] * 3), 30),
    )
]
WITHOUT_ANSWER += [
    case(
        "hung up every time",
        (*WELCOME, Peer.close),
        "timeout",
        "closed the connection",
        "id scope",
        True,
        does=(call("provision", timeout_s=3, retry=True),),
        also=took(3, 5),
    )
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*REFUSED, *FAILED, *WITHOUT_A_WORD, *WITHOUT_SENSE], ids=str)
def test_what_ends_a_registration(trial: Trial) -> None:
    trial.check()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*PATIENCE, *BUSY, *TOLERATED], ids=str)
def test_what_delays_it(trial: Trial) -> None:
    trial.check()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*WITHOUT_END, *WITHOUT_ANSWER], ids=str)
def test_what_has_no_end(trial: Trial) -> None:
    trial.check()
