"""Pins /twins/{id}/methods of the service API: what a call may be; a device's answers are in another test."""

from __future__ import annotations

from typing import Any

import pytest

from azureiot_tools.emulator.records import DeviceIdentity

from .bench import NOW, Api

METHODS = "/twins/mydevice001/methods?api-version=2021-04-12"


@pytest.fixture(autouse=True)
def device(api: Api) -> None:
    api.registry.put_device(
        DeviceIdentity("localhost", "mydevice001", "638", True, ("AB" * 32,), created=NOW, updated=NOW)
    )


@pytest.mark.parametrize("name", ["reboot", "component*command", "set-Point_1.x", "öffne", "x" * 128])
def test_names_that_a_method_may_have(api: Api, name: str) -> None:
    answer = api.request("POST", METHODS, {"methodName": name, "payload": {"a": 1}})
    assert (answer.status, answer.json["errorCode"]) == (404, 404103), "only the device is missing"
    assert answer.json["message"] == "Timed out waiting for device to connect."


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "'' cannot be a methodName"),
        ({"methodName": "a b"}, "'a b' cannot be a methodName: 1 to 128 characters, no space and none of / + # ?."),
        ({"methodName": "a/b"}, "cannot be a methodName"),
        ({"methodName": "a#"}, "cannot be a methodName"),
        ({"methodName": "+"}, "cannot be a methodName"),
        ({"methodName": "a?$rid=9"}, "cannot be a methodName"),
        ({"methodName": "a\u0000"}, "cannot be a methodName"),
        ({"methodName": "x" * 129}, "cannot be a methodName"),
        ({"methodName": 5}, "'methodName' must be text"),
        ({"methodName": "a", "responseTimeoutInSeconds": 3601}, "must be a whole number of seconds from 0 to 3600"),
        ({"methodName": "a", "responseTimeoutInSeconds": -1}, "'responseTimeoutInSeconds' must be"),
        ({"methodName": "a", "connectTimeoutInSeconds": 1.5}, "'connectTimeoutInSeconds' must be"),
        ({"methodName": "a", "connectTimeoutInSeconds": True}, "'connectTimeoutInSeconds' must be"),
        ({"methodName": "a", "connectTimeoutInSeconds": "5"}, "'connectTimeoutInSeconds' must be"),
        ({"methodName": "a", "timeout": 5}, "knows no 'timeout' here"),
    ],
)
def test_calls_that_cannot_be(api: Api, body: dict[str, Any], says: str) -> None:
    answer = api.request("POST", METHODS, body)
    assert (answer.status, answer.json["errorCode"]) == (400, 400004)
    assert says in answer.json["message"]


def test_half_of_a_surrogate_pair_is_no_text(api: Api) -> None:
    answer = api.request(
        "POST", METHODS, b'{"methodName": "a", "payload": "\\ud800"}', {"Content-Type": "application/json"}
    )
    assert (answer.status, answer.json["errorCode"]) == (400, 400006)
    answer = api.request("POST", METHODS, b'{"methodName": "\\ud800"}', {"Content-Type": "application/json"})
    assert answer.status == 400


def test_the_call_needs_json(api: Api) -> None:
    assert api.request("POST", METHODS, b"methodName=a", {"Content-Type": "text/plain"}).status == 415
