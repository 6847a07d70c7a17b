"""Pins a device's twin over MQTT: topics to the byte, versions, refusals, desired properties, what outlives what."""

import json

import pytest

from .hub_bench import DESIRED, TWIN, ask, puback, subscribed
from .mqtt_wire import PINGREQ, hub_username, publish

GET = "$iothub/twin/GET/?$rid="
PATCH = "$iothub/twin/PATCH/properties/reported/?$rid="


def request(wire, topic, payload=b"", qos=0):
    """The answer's packet; of QoS 1 the PUBACK comes first (docs/protocol.md §8)."""
    wire.send(publish(topic, payload, qos))
    if qos:
        assert wire.receive().type == 4
    return wire.receive()


def report(wire, patch, rid="p"):
    answer = request(wire, PATCH + rid, json.dumps(patch).encode())
    return answer.topic, json.loads(answer.payload or b"null")


def read(wire):
    return json.loads(request(wire, GET + "g").payload)


def desired(bench, patch, **options):
    status, twin = ask(bench, "PATCH", "/twins/mydevice001", {"properties": {"desired": patch}}, **options)
    assert status == 200
    return twin


@pytest.mark.parametrize("body", [b"", b" "])
@pytest.mark.parametrize("qos", [0, 1])
def test_get_of_a_new_twin(provisioned, qos, body):
    with provisioned.on_hub() as wire:
        answer = request(subscribed(wire, TWIN, qos=qos), GET + "abc", body, qos)
    assert (answer.topic, answer.qos) == ("$iothub/twin/res/200/?$rid=abc", qos)
    assert answer.payload == b'{"desired":{"$version":1},"reported":{"$version":1}}'


@pytest.mark.parametrize("rid", ["1", "4b7a0c2e-0000", "a%20b", "ü", "%24rid", "a/b"])
def test_the_request_id_comes_back_as_it_was_sent(provisioned, rid):
    with provisioned.on_hub() as wire:
        assert request(subscribed(wire, TWIN), GET + rid).topic == f"$iothub/twin/res/200/?$rid={rid}"


def test_further_keys_of_a_request_are_left_alone(provisioned):
    with provisioned.on_hub() as wire:
        subscribed(wire, TWIN)
        assert request(wire, "$iothub/twin/GET/?a=b&$rid=7&$version=9").topic == "$iothub/twin/res/200/?$rid=7"


@pytest.mark.parametrize("qos", [0, 1])
def test_reported_patches(provisioned, qos):
    with provisioned.on_hub() as wire:
        subscribed(wire, TWIN, qos=qos)
        first = request(wire, PATCH + "1", b'{"fan":{"speed":1,"mode":"auto"},"a":[1,2]}', qos)
        assert (first.topic, first.payload) == ("$iothub/twin/res/204/?$rid=1&$version=2", b"")
        second = request(wire, PATCH + "2", b'{"fan":{"mode":null},"a":[3]}', qos)
        assert second.topic == "$iothub/twin/res/204/?$rid=2&$version=3"
        assert read(wire)["reported"] == {"fan": {"speed": 1}, "a": [3], "$version": 3}
    events = [event for event in provisioned.emulator.events.recent() if event.kind == "twin"]
    assert [event.detail["version"] for event in events] == [2, 3]
    assert events[0].text == 'reported is now version 2: {"fan": {"speed": 1, "mode": "auto"}, "a": [1, 2]}'


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":NaN}', "NaN is no JSON value"),
        (b"[1]", "it is not a JSON object"),
        (b'{"$version":3}', "the name '$version'"),
        (b'{"a":{"b.c":1}}', "the name 'a.b.c'"),
        (b'{"a":"' + b"x" * 4097 + b'"}', "longer than 4096 bytes"),
        (b'{"a":4503599627370496}', "is not between"),
    ],
)
def test_what_no_twin_takes_is_answered_with_400_and_changes_nothing(provisioned, payload, why):
    with provisioned.on_hub() as wire:
        answer = request(subscribed(wire, TWIN), PATCH + "r", payload)
        error = json.loads(answer.payload)
        assert answer.topic == "$iothub/twin/res/400/?$rid=r"
        assert set(error) == {"errorCode", "trackingId", "message", "timestampUtc"}
        assert error["errorCode"] == 400004
        assert error["message"].startswith("Provided json is not a valid 'tags' or 'properties' object: ")
        assert why in error["message"]
        assert read(wire)["reported"] == {"$version": 1}
    assert provisioned.reason("twin", "a request was answered with 400") == "docs/protocol.md §3.8"


def test_32_kb_are_kept_and_no_more(provisioned):
    with provisioned.on_hub() as wire:
        subscribed(wire, TWIN)
        full = {f"k{number:03}": "x" * 4092 for number in range(8)}  # 8 × (4 + 4092) bytes: 32 KB exactly
        assert report(wire, full)[0].endswith("$version=2")
        topic, error = report(wire, {"n": True})
        assert "/res/400/" in topic
        assert "the reported properties would have 32773 bytes; at most 32768 are kept" in error["message"]
        assert report(wire, {"k000": None, "n": True})[0].endswith("$version=3")


def test_without_api_version_twins_are_answered_with_400(provisioned):
    """docs/protocol.md §3.1: the SDKs all send one; hand-made clients wonder."""
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", "localhost/mydevice001/") == 0
        for topic in (GET + "1", PATCH + "1"):
            answer = request(subscribed(wire, TWIN), topic, b"{}")
            assert answer.topic == "$iothub/twin/res/400/?$rid=1"
            assert "has no api-version" in json.loads(answer.payload)["message"]
    assert provisioned.reason("twin", "has no api-version") == "docs/protocol.md §3.1"


def test_without_subscription_there_is_no_answer(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(publish(GET + "1", qos=0), PINGREQ)
        assert wire.receive().type == 13
    assert provisioned.reason("twin", "the device has not subscribed to $iothub/twin/res/#") == "docs/protocol.md §3.8"


def test_a_subscription_to_200_alone_hears_of_nothing_else(provisioned):
    with provisioned.on_hub() as wire:
        subscribed(wire, "$iothub/twin/res/200/#")
        wire.send(publish(PATCH + "1", b'{"a":1}', qos=0))
        assert json.loads(request(wire, GET + "2").payload)["reported"] == {"a": 1, "$version": 2}


@pytest.mark.parametrize(
    "topic",
    [
        "$iothub/twin/GET/",
        "$iothub/twin/GET/?$rid=",
        "$iothub/twin/GET/?$rid",
        "$iothub/twin/GET",
        "$iothub/twin/POST/?$rid=1",
        "$iothub/twin/PATCH/properties/desired/?$rid=1",
        "$iothub/twin/PATCH/properties/reported?$rid=1",
    ],
)
def test_a_malformed_request_closes_the_connection(provisioned, topic):
    with provisioned.on_hub() as wire:
        subscribed(wire, TWIN)
        wire.send(publish(topic))
        assert wire.closed()
    assert provisioned.reason("dropped", f"a PUBLISH to '{topic}', which is neither") == "docs/protocol.md §3.9"


@pytest.mark.parametrize("qos", [0, 1])
def test_desired_properties_are_told_to_who_has_subscribed(provisioned, qos):
    with provisioned.on_hub() as wire:
        desired(provisioned, {"early": 1})
        subscribed(wire, DESIRED, qos=qos)
        desired(provisioned, {"fan": {"speed": 3}, "early": None, "text": "ü"})
        told = wire.receive()
        assert (told.topic, told.qos) == ("$iothub/twin/PATCH/properties/desired/?$version=3", qos)
        assert told.payload == '{"fan":{"speed":3},"early":null,"text":"ü","$version":3}'.encode()
        assert read(subscribed(wire, TWIN, qos=0))["desired"] == {"fan": {"speed": 3}, "text": "ü", "$version": 3}


def test_a_change_of_tags_is_not_the_devices_business(provisioned):
    with provisioned.on_hub() as wire:
        subscribed(wire, DESIRED, TWIN)
        assert ask(provisioned, "PATCH", "/twins/mydevice001", {"tags": {"site": "roof"}})[0] == 200
        assert request(wire, GET + "1").topic == "$iothub/twin/res/200/?$rid=1"


def test_desired_properties_written_anew_are_told_whole(provisioned):
    desired(provisioned, {"a": 1, "b": 2})
    with provisioned.on_hub() as wire:
        subscribed(wire, DESIRED)
        ask(provisioned, "PUT", "/twins/mydevice001", {"properties": {"desired": {"a": 5}}})
        assert json.loads(wire.receive().payload) == {"a": 5, "$version": 3}


def test_nothing_is_kept_for_a_device_that_is_away(provisioned):
    """§3.8: it connects, subscribes, then reads its twin."""
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DESIRED, TWIN)
    desired(provisioned, {"a": 1})
    with provisioned.on_hub(clean=False) as wire:
        assert read(wire)["desired"] == {"a": 1, "$version": 2}


def test_a_device_that_acknowledges_no_desired_properties_is_dropped(provisioned):
    """What the service does for it must not grow our memory, nor fail for the service."""
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DESIRED)
        for number in range(101):
            desired(provisioned, {"n": number})
        assert sum(wire.receive().type == 3 for _ in range(100)) == 100
        assert wire.closed()
    assert provisioned.reason("dropped", "100 messages sent to the client have had no PUBACK") == "MQTT 3.1.1 §4.3.2"
    with provisioned.on_hub(clean=False) as wire:
        desired(provisioned, {"n": 101})
        told = wire.receive()
        assert json.loads(told.payload)["n"] == 101, "what was lost before does not count for ever"
        wire.send(puback(told.packet_id))


def test_two_devices_do_not_hear_each_other(provisioned):
    provisioned.provision(provisioned.certificates.other, "mydevice002")
    with provisioned.on_hub() as one, provisioned.on_hub(provisioned.certificates.other, "mydevice002") as other:
        subscribed(one, TWIN, DESIRED)
        subscribed(other, TWIN, DESIRED)
        report(one, {"mine": 1})
        desired(provisioned, {"a": 1})
        assert one.receive().topic.startswith("$iothub/twin/PATCH/")
        assert read(other) == {"desired": {"$version": 1}, "reported": {"$version": 1}}


def test_a_twin_goes_with_its_identity(provisioned):
    with provisioned.on_hub() as wire:
        report(subscribed(wire, TWIN), {"a": 1})
    provisioned.provision(provisioned.certificates.renewed)
    renewed = provisioned.certificates.renewed
    with provisioned.on_hub(renewed) as wire:
        assert read(subscribed(wire, TWIN))["reported"] == {"a": 1, "$version": 2}, "a renewed leaf is the same device"
    assert ask(provisioned, "DELETE", "/devices/mydevice001")[0] == 204
    assert ask(provisioned, "GET", "/twins/mydevice001")[1]["errorCode"] == 404001
    provisioned.provision(renewed)
    with provisioned.on_hub(renewed) as wire:
        assert read(subscribed(wire, TWIN))["reported"] == {"$version": 1}, "the new identity is another device"


def test_a_twin_outlives_the_emulator(start, tmp_path):
    with start(data=tmp_path) as bench:
        bench.provision()
        with bench.on_hub() as wire:
            report(subscribed(wire, TWIN), {"text": "ü", "list": [1, {"a": None}]})
        before = desired(bench, {"speed": 1})
    with start(data=tmp_path) as bench:
        assert ask(bench, "GET", "/twins/mydevice001")[1] == before | {"connectionState": "Disconnected"}
        with bench.on_hub() as wire:
            assert read(subscribed(wire, TWIN)) == {
                "desired": {"speed": 1, "$version": 2},
                "reported": {"text": "ü", "list": [1, {"a": None}], "$version": 2},
            }


def test_one_device_at_two_hubs_has_two_twins(start):
    with start(hubs=("north", "south")) as bench:
        for hub in ("north", "south"):
            bench.enroll(id=hub, hubs=(hub,))
            leaf = {"x509Thumbprint": {"primaryThumbprint": "AB" * 32}}
            assert ask(bench, "PUT", "/devices/twice", {"authentication": leaf}, hub=hub)[0] == 200
        assert ask(bench, "PATCH", "/twins/twice", {"tags": {"a": 1}})[1]["errorCode"] == 400004
        assert ask(bench, "PATCH", "/twins/twice", {"tags": {"a": 1}}, hub="south")[0] == 200
        assert ask(bench, "GET", "/twins/twice", hub="north")[1]["tags"] == {}
        assert ask(bench, "GET", "/twins/twice", hub="south")[1]["tags"] == {"a": 1}


def test_the_username_may_have_no_question_mark(provisioned):
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", hub_username("mydevice001").replace("?", "")) == 0
        assert request(subscribed(wire, TWIN), GET + "1").topic == "$iothub/twin/res/200/?$rid=1"
