"""Pins /twins of the service API: Azure's JSON, merge patches, If-Match, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from azureiot_tools.emulator.records import DeviceIdentity

from .bench import NOW, Answer, Api

VERSION = "api-version=2021-04-12"
TWIN = f"/twins/mydevice001?{VERSION}"
NEVER = {"$lastUpdated": "0001-01-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def device(api: Api) -> None:
    api.registry.put_device(
        DeviceIdentity("localhost", "mydevice001", "638", True, ("AB" * 32,), created=NOW, updated=NOW)
    )


def patch(api: Api, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return api.request("PATCH", TWIN, body, {"Content-Type": "application/json", **(headers or {})})


def desired(api: Api, patched: dict[str, Any]) -> dict[str, Any]:
    answer = patch(api, {"properties": {"desired": patched}})
    assert answer.status == 200
    return answer.json["properties"]["desired"]


def test_a_new_twin(api: Api) -> None:
    shown = api.request("GET", TWIN).json
    assert shown.pop("etag").startswith('"')
    assert shown == {
        "deviceId": "mydevice001",
        "hub": "localhost",
        "version": 2,
        "status": "enabled",
        "connectionState": "Disconnected",
        "cloudToDeviceMessageCount": 0,
        "authenticationType": "selfSigned",
        "tags": {},
        "properties": {"desired": {"$metadata": NEVER, "$version": 1}, "reported": {"$metadata": NEVER, "$version": 1}},
    }


def test_desired_properties_and_their_metadata(api: Api) -> None:
    first = desired(api, {"fan": {"speed": 1, "mode": "auto"}, "led": True})
    assert first["$version"] == 2
    time = first["$metadata"]["$lastUpdated"]
    api.clock.advance(hours=1)
    second = desired(api, {"fan": {"speed": 2, "mode": None}})
    later = second["$metadata"]["$lastUpdated"]
    assert later > time
    old = {"$lastUpdated": time, "$lastUpdatedVersion": 2}
    new = {"$lastUpdated": later, "$lastUpdatedVersion": 3}
    assert second == {
        "fan": {"speed": 2},
        "led": True,
        "$metadata": {**new, "fan": {**new, "speed": new}, "led": old},
        "$version": 3,
    }
    assert api.request("GET", TWIN).json["version"] == 4


def test_tags(api: Api) -> None:
    assert patch(api, {"tags": {"site": {"floor": 1, "room": "a"}}}).json["tags"] == {"site": {"floor": 1, "room": "a"}}
    shown = patch(api, {"tags": {"site": {"room": None}}}).json
    assert shown["tags"] == {"site": {"floor": 1}}
    assert (shown["version"], shown["properties"]["desired"]["$version"]) == (4, 1)


def test_both_at_once_are_one_change(api: Api) -> None:
    shown = patch(api, {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}).json
    assert (shown["version"], shown["properties"]["desired"]["$version"]) == (3, 2)
    events = [event.detail["part"] for event in api.events.recent() if event.kind == "twin"]
    assert events == ["tags", "desired"]


def test_put_writes_anew(api: Api) -> None:
    desired(api, {"a": 1, "b": 2})
    patch(api, {"tags": {"site": "roof"}})
    body = {"properties": {"desired": {"c": {"d": 3, "e": None}}}}
    shown = api.request("PUT", TWIN, body).json
    assert shown["tags"] == {}
    part = shown["properties"]["desired"]
    assert {name: value for name, value in part.items() if name != "$metadata"} == {"c": {"d": 3}, "$version": 3}
    assert set(part["$metadata"]) == {"$lastUpdated", "$lastUpdatedVersion", "c"}


def test_a_twin_can_be_sent_back_as_it_was_read(api: Api) -> None:
    desired(api, {"a": 1})
    shown = api.request("GET", TWIN).json
    again = api.request("PUT", TWIN, shown, {"If-Match": shown["etag"], "Content-Type": "application/json"})
    assert again.status == 200
    assert again.json["properties"]["desired"]["a"] == 1


def test_if_match(api: Api) -> None:
    etag = api.request("GET", TWIN).json["etag"]
    assert patch(api, {"tags": {"a": 1}}, {"If-Match": etag}).status == 200
    for method, body in (("PATCH", {"tags": {"a": 2}}), ("PUT", {})):
        answer = api.request(method, TWIN, body, {"If-Match": etag, "Content-Type": "application/json"})
        assert (answer.status, answer.json["errorCode"]) == (412, 412000)
    assert patch(api, {"tags": {"a": 3}}, {"If-Match": "*"}).json["tags"] == {"a": 3}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"properties": {"desired": {"$x": 1}}}, "the name '$x'"),
        ({"tags": {"a.b": 1}}, "the name 'a.b'"),
        ({"tags": {f"k{n}": "x" * 4000 for n in range(3)}}, "the tags would have 12006 bytes; at most 8192 are kept"),
        (
            {"properties": {"desired": {f"k{n}": "x" * 4000 for n in range(9)}}},
            "the desired properties would have 36018 bytes; at most 32768 are kept",
        ),
        ({"tags": 5}, "'tags' must be an object"),
        ({"properties": {"desired": []}}, "'properties.desired' must be an object"),
        ({"properties": {"desierd": {}}}, "knows no 'properties.desierd' here; it knows desired, reported"),
        ({"desired": {}}, "knows no 'desired' here"),
        ({"deviceId": "other"}, "The body's deviceId 'other' is not the path's 'mydevice001'"),
    ],
)
def test_what_is_refused_changes_nothing(api: Api, method: str, body: Any, says: str) -> None:
    before = api.request("GET", TWIN).json
    answer = api.request(method, TWIN, body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json["errorCode"]) == (400, 400004)
    assert says in answer.json["message"]
    assert api.request("GET", TWIN).json == before


def test_deep_bodies_are_no_fault_of_ours(api: Api) -> None:
    deep = b'{"tags":' * 1 + b'{"a":' * 900 + b"1" + b"}" * 901
    answer = api.request("PATCH", TWIN, deep, {"Content-Type": "application/json"})
    assert (answer.status, answer.json["errorCode"]) == (400, 400004)
    assert "is deeper than 10 levels" in answer.json["message"]


def test_no_device_no_twin(api: Api) -> None:
    for method in ("GET", "PATCH", "PUT"):
        path = f"/twins/nobody?{VERSION}"
        answer = api.request(method, path, None if method == "GET" else {})
        assert (answer.status, answer.json["errorCode"]) == (404, 404001)


def test_a_device_of_a_hub_that_is_no_longer_linked_keeps_its_twin(api: Api) -> None:
    identity = DeviceIdentity("gone.local", "old", "1", True, ("AB" * 32,), created=NOW, updated=NOW)
    api.registry.put_device(identity)
    path = f"/twins/old?{VERSION}"
    assert api.request("PATCH", path, {"tags": {"a": 1}}).status == 200
    assert (api.request("GET", path).json["hub"], api.request("GET", path).json["tags"]) == ("gone.local", {"a": 1})
    for method, path in (("POST", "/twins/old/methods"), ("POST", "/devices/old/messages/devicebound")):
        answer = api.request(method, f"{path}?{VERSION}", {"methodName": "reboot"})
        assert (answer.status, "is not linked now" in answer.json["message"]) == (400, True)
