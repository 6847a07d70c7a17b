"""Pins direct methods: the request's topic to the byte, answers, and every way in which no answer comes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException

import pytest

from .hub_bench import METHODS, Clock, ask, subscribed
from .mqtt_wire import DISCONNECT, PINGREQ, publish

ANSWER = "$iothub/methods/res/{status}/?$rid={rid}"


@pytest.fixture
def calls():
    """A thread for calls that wait for a device's answer."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def call(bench, name="reboot", device_id="mydevice001", **body):
    return ask(bench, "POST", f"/twins/{device_id}/methods", {"methodName": name, **body})


def failure(answer):
    status, error = answer
    assert error["errorCode"] // 1000 == status
    return error["errorCode"], error["message"]


def waits(bench, text):
    """Until the hub has got so far."""
    bench.emulator.events.wait_for(lambda e: e.kind == "method" and text in e.text, timeout_s=5)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_call_and_its_answer(provisioned, calls, qos):
    with provisioned.on_hub() as wire:
        subscribed(wire, METHODS, qos=qos)
        answer = calls.submit(call, provisioned, payload={"text": "ü", "list": [1, None]})
        request = wire.receive()
        assert (request.topic, request.qos) == ("$iothub/methods/POST/reboot/?$rid=1", 0), "QoS 0 always: §3.4"
        assert request.payload == '{"text":"ü","list":[1,null]}'.encode()
        wire.send(publish(ANSWER.format(status=207, rid=1), b'{"done": true}', qos))
        assert answer.result() == (200, {"status": 207, "payload": {"done": True}})
    texts = [event.text for event in provisioned.emulator.events.recent() if event.kind == "method"]
    assert texts == ["reboot called with 29 bytes, $rid=1", "reboot answered with status 207, $rid=1"]


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({}, b"null"),
        ({"payload": None}, b"null"),
        ({"payload": 0}, b"0"),
        ({"payload": ""}, b'""'),
        ({"payload": {}}, b"{}"),
    ],
)
def test_payloads_of_every_kind_and_an_empty_answer(provisioned, calls, body, sent):
    with provisioned.on_hub() as wire:
        subscribed(wire, "$iothub/methods/#")
        answer = calls.submit(lambda: call(provisioned, "comp*set", **body))
        request = wire.receive()
        assert (request.topic, request.payload) == ("$iothub/methods/POST/comp*set/?$rid=1", sent)
        wire.send(publish(ANSWER.format(status=-1, rid=1)))
        assert answer.result() == (200, {"status": -1, "payload": None})


def test_calls_are_numbered_by_connection_and_answered_in_any_order(provisioned, calls):
    for _ in range(2):
        with provisioned.on_hub(clean=False) as wire:
            subscribed(wire, METHODS)
            answers = {}
            for rid in (1, 2, 3):
                answers[rid] = calls.submit(call, provisioned, payload=rid)
                request = wire.receive()
                assert (request.topic, request.payload) == (f"$iothub/methods/POST/reboot/?$rid={rid}", b"%d" % rid)
            for rid in (3, 1, 2):
                wire.send(publish(ANSWER.format(status=200, rid=rid), b"%d" % rid, qos=0))
                assert answers[rid].result() == (200, {"status": 200, "payload": rid})


def test_a_device_that_is_not_there_is_404103(provisioned):
    not_online = (404103, "Timed out waiting for device to connect.")
    assert failure(call(provisioned)) == not_online
    with provisioned.on_hub(clean=False) as wire:
        assert failure(call(provisioned)) == not_online, "it has not subscribed"
        subscribed(wire, METHODS)
    assert failure(call(provisioned)) == not_online, "its session is still there, it is not"
    assert failure(call(provisioned, device_id="nobody"))[0] == 404001
    assert provisioned.reason("method", "reboot had no answer: Timed out waiting for device") == "docs/protocol.md §3.7"


def test_an_answer_that_does_not_come(start, calls):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        with bench.on_hub() as wire:
            subscribed(wire, METHODS)
            for rid, (body, seconds) in enumerate((({}, 30), ({"responseTimeoutInSeconds": 3600}, 3600)), start=1):
                answer = calls.submit(lambda body=body: call(bench, **body))
                assert wire.receive().topic.endswith(f"$rid={rid}")
                waits(bench, f"called with 4 bytes, $rid={rid}")
                clock.advance(bench, seconds=seconds - 1)
                wire.send(PINGREQ)
                assert wire.receive().type == 13
                assert not answer.done()
                clock.advance(bench, seconds=1)
                assert failure(answer.result()) == (504101, "Timed out waiting for the response from device.")
                wire.send(publish(ANSWER.format(status=200, rid=rid)))
                assert wire.receive().type == 4, "an answer that comes too late is ignored"
                waits(bench, f"an answer with $rid={rid}, for which nobody waits (any more), is ignored")


def test_a_call_waits_for_a_device_as_long_as_it_is_told(start, calls):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        answers = [calls.submit(call, bench, connectTimeoutInSeconds=300) for _ in range(2)]
        with bench.on_hub() as wire:
            subscribed(wire, METHODS)
            for rid in ("1", "2"):
                assert wire.receive().topic.endswith(f"$rid={rid}")
                wire.send(publish(ANSWER.format(status=200, rid=rid), qos=0))
            assert [answer.result()[0] for answer in answers] == [200, 200]
        late = calls.submit(call, bench, connectTimeoutInSeconds=300)
        while not late.done():  # nothing tells when the call has begun to wait
            clock.advance(bench, seconds=300)
        assert failure(late.result()) == (404103, "Timed out waiting for device to connect.")


def test_a_kept_session_is_called_as_soon_as_it_is_back(provisioned, calls):
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, METHODS)
    answer = calls.submit(call, provisioned, connectTimeoutInSeconds=300)
    with provisioned.on_hub(clean=False) as wire:
        assert wire.receive().topic == "$iothub/methods/POST/reboot/?$rid=1"
        wire.send(publish(ANSWER.format(status=200, rid=1)))
        assert answer.result()[0] == 200


@pytest.mark.parametrize("ends", ["goes", "is deleted", "is taken over"])
def test_a_device_that_goes_before_it_answers(provisioned, calls, ends):
    with provisioned.on_hub() as wire:
        subscribed(wire, METHODS)
        answer = calls.submit(call, provisioned)
        assert wire.receive().type == 3
        if ends == "goes":
            wire.send(DISCONNECT)
        elif ends == "is deleted":
            ask(provisioned, "DELETE", "/devices/mydevice001")
        else:
            with provisioned.on_hub():
                pass
        assert failure(answer.result()) == (404103, "Device unavailable: it went before it had answered.")


def test_answers_that_nobody_waits_for_are_ignored(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(publish(ANSWER.format(status=200, rid="none"), b"{"))
        assert wire.receive().type == 4
    assert provisioned.reason("method", "an answer with $rid=none") == "docs/protocol.md §3.7"


def test_another_device_cannot_answer(provisioned, calls):
    provisioned.provision(provisioned.certificates.other, "mydevice002")
    with provisioned.on_hub() as wire, provisioned.on_hub(provisioned.certificates.other, "mydevice002") as other:
        subscribed(wire, METHODS)
        answer = calls.submit(call, provisioned)
        assert wire.receive().type == 3
        other.send(publish(ANSWER.format(status=200, rid=1), b'"forged"'))
        assert other.receive().type == 4
        wire.send(publish(ANSWER.format(status=200, rid=1), b'"mine"'))
        assert answer.result() == (200, {"status": 200, "payload": "mine"})


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"NaN", b"[" * 100_000])
def test_an_answer_that_is_no_json(provisioned, calls, payload):
    with provisioned.on_hub() as wire:
        subscribed(wire, METHODS)
        answer = calls.submit(call, provisioned)
        assert wire.receive().type == 3
        wire.send(publish(ANSWER.format(status=200, rid=1), payload))
        assert wire.receive().type == 4
        code, message = failure(answer.result())
        assert (code, message.startswith("The device's answer is not JSON: ")) == (502001, True)


@pytest.mark.parametrize(
    "topic",
    [
        "$iothub/methods/res/200/",
        "$iothub/methods/res/200/?$rid=",
        "$iothub/methods/res/ok/?$rid=1",
        "$iothub/methods/res/200?$rid=1",
        "$iothub/methods/res/9999999999/?$rid=1",
        "$iothub/methods/POST/reboot/?$rid=1",
    ],
)
def test_a_malformed_answer_closes_the_connection(provisioned, topic):
    with provisioned.on_hub() as wire:
        wire.send(publish(topic))
        assert wire.closed()
    assert provisioned.reason("dropped", f"a PUBLISH to '{topic}', which is not") == "docs/protocol.md §3.9"


def test_128_kb_are_taken_and_one_byte_more_is_not(provisioned, calls):
    with provisioned.on_hub() as wire:
        subscribed(wire, METHODS)
        answer = calls.submit(call, provisioned, payload="x" * (128 * 1024 - 2))
        assert len(wire.receive().payload) == 128 * 1024
        largest = b'"' + b"x" * (128 * 1024 - 2) + b'"'
        wire.send(publish(ANSWER.format(status=200, rid=1), largest))
        assert wire.receive().type == 4
        assert len(answer.result()[1]["payload"]) == 128 * 1024 - 2
        assert failure(call(provisioned, payload="x" * (128 * 1024 - 1)))[0] == 413001
        wire.send(publish(ANSWER.format(status=200, rid=2), largest + b" "))
        assert wire.closed()
    assert provisioned.reason("dropped", "has 131073 bytes; at most 131072 are taken") == "docs/protocol.md §3.9"


def test_the_emulator_stops_while_a_call_waits(start, calls):
    with ExitStack() as until_then:
        with start() as bench:
            bench.provision()
            wire = until_then.enter_context(bench.on_hub())
            subscribed(wire, METHODS)
            answer = calls.submit(call, bench, responseTimeoutInSeconds=3600)
            assert wire.receive().type == 3
        assert isinstance(answer.exception(), HTTPException | OSError), "cut off, not kept waiting for an hour"
        assert wire.closed()


def test_only_so_many_calls_wait_at_once(provisioned, monkeypatch, calls):
    monkeypatch.setattr("azureiot_tools.emulator.hub.methods.MAX_CALLS_PER_DEVICE", 2)
    with provisioned.on_hub() as wire:
        subscribed(wire, METHODS)
        waiting = [calls.submit(call, provisioned) for _ in range(2)]
        assert [wire.receive().type for _ in range(2)] == [3, 3]
        assert failure(call(provisioned))[0] == 429001
        for rid in (1, 2):
            wire.send(publish(ANSWER.format(status=200, rid=rid), qos=0))
        assert [answer.result()[0] for answer in waiting] == [200, 200]
