"""Pins how messages are sent through the service API, purged, and what is said of them afterwards."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.records import DeviceIdentity

from .bench import NOW, Answer, Api

VERSION = "api-version=2021-04-12"
SEND = f"/devices/mydevice001/messages/devicebound?{VERSION}"
FEEDBACK = "/messages/serviceBound/feedback"
UMLAUTS = "ä".encode().decode("latin-1") * 4000  # as http.client wants it; in a topic, each has six characters


@pytest.fixture(autouse=True)
def device(api: Api) -> None:
    for hub in ("localhost", "second.local"):
        device_id = {"localhost": "mydevice001", "second.local": "other"}[hub]
        api.registry.put_device(DeviceIdentity(hub, device_id, "638", True, ("AB" * 32,), created=NOW, updated=NOW))


def send(api: Api, payload: bytes = b"x", **headers: str) -> Answer:
    return api.request("POST", SEND, payload, {f"iothub-{name.replace('_', '-')}": headers[name] for name in headers})


def purge(api: Api) -> int:
    answer = api.request("DELETE", f"/devices/mydevice001/commands?{VERSION}")
    assert (answer.status, answer.json["deviceId"], answer.json["moduleId"]) == (200, "mydevice001", None)
    return answer.json["totalMessagesPurged"]


def feedback(api: Api, **query: str) -> Answer:
    return api.request("GET", f"{FEEDBACK}?{urlencode({'api-version': '2021-04-12', **query})}")


def test_a_message_is_kept_as_it_was_sent(api: Api) -> None:
    answer = send(
        api,
        b"\x00\xff",
        messageid="m-1",
        correlationid="c-1",
        contenttype="application/json",
        contentencoding="utf-8",
        ack="Full",
        expiry=utc_text(NOW + timedelta(hours=5)),
        app_temperatureAlert="true",
        app_empty="",
    )
    expires = utc_text(NOW + timedelta(hours=5))
    assert (answer.status, answer.json) == (
        201,
        {"deviceId": "mydevice001", "hub": "localhost", "sequence": 1, "messageId": "m-1", "expiryTimeUtc": expires},
    )
    (message,) = api.registry.messages("localhost", "mydevice001")
    assert (message.payload, message.ack) == (b"\x00\xff", "full")
    assert message.properties == {"temperatureAlert": "true", "empty": ""}
    assert message.system == {
        "$.mid": "m-1",
        "$.cid": "c-1",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "$.exp": expires,
    }
    assert (message.enqueued, message.expires) == (NOW, NOW + timedelta(hours=5))


def test_a_message_without_anything(api: Api) -> None:
    answer = send(api, b"")
    assert (answer.status, answer.json["messageId"]) == (201, None)
    (message,) = api.registry.messages("localhost", "mydevice001")
    assert (message.payload, message.properties, message.system, message.ack) == (b"", {}, {}, "none")
    assert message.expires == NOW + timedelta(hours=1)


@pytest.mark.parametrize("content_type", [None, "application/json", "application/octet-stream", "text/plain"])
def test_a_body_of_any_type(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert api.request("POST", SEND, b"x", headers).status == 201


def test_a_web_page_cannot_send_for_all_that(api: Api) -> None:
    answer = api.request("POST", SEND, b"x", {"Origin": "http://evil.example", "Content-Type": "text/plain"})
    assert (answer.status, api.registry.messages("localhost", "mydevice001")) == (403, [])


@pytest.mark.parametrize(
    ("headers", "code", "says"),
    [
        ({"ack": "maybe"}, 400004, "'iothub-ack' must be one of none, positive, negative, full, not 'maybe'"),
        ({"expiry": "tomorrow"}, 400004, "'iothub-expiry' must be a time such as"),
        ({"expiry": utc_text(NOW + timedelta(days=2, seconds=1))}, 400004, "must be within 2 days"),
        ({"app_$.mid": "forged"}, 400004, "needs a name that is none of $"),
        ({"app_": "nameless"}, 400004, "needs a name"),
        ({f"app_{name}": UMLAUTS for name in "abc"}, 413001, "too long for the topic of an MQTT message"),
    ],
)
def test_messages_that_cannot_be(api: Api, headers: dict[str, str], code: int, says: str) -> None:
    answer = send(api, b"x", **headers)
    assert (answer.status, answer.json["errorCode"]) == (code // 1000, code)
    assert says in answer.json["message"]
    assert api.registry.messages("localhost", "mydevice001") == []


def test_a_header_that_is_no_text(api: Api) -> None:
    answer = send(api, b"x", app_a="\xff")
    assert (answer.status, answer.json["message"]) == (400, "The header 'iothub-app-a' is not UTF-8 text.")


def test_64_kb_are_taken_and_one_byte_more_is_not(api: Api) -> None:
    assert send(api, b"x" * (64 * 1024 - 6), messageid="12", app_ab="cd").status == 201
    answer = send(api, b"x" * (64 * 1024 - 5), messageid="12", app_ab="cd")
    assert (answer.status, answer.json["errorCode"]) == (413, 413001)
    assert answer.json["message"] == "The message has 65537 bytes; at most 65536 are taken."


def test_the_fifty_first_is_refused_until_there_is_room(api: Api) -> None:
    assert {send(api).status for _ in range(50)} == {201}
    assert send(api).json["errorCode"] == 403004
    assert purge(api) == 50
    assert purge(api) == 0
    assert send(api).status == 201
    assert [message.sequence for message in api.registry.messages("localhost", "mydevice001")] == [51]


def test_feedback_comes_again_until_it_is_taken(api: Api) -> None:
    assert (feedback(api).status, feedback(api).body) == (204, b"")
    for name in ("a", "b"):
        send(api, messageid=name, ack="negative")
    send(api, messageid="silent")
    api.clock.advance(seconds=5)
    purge(api)
    answer = feedback(api)
    assert answer.json == [
        {
            "originalMessageId": name,
            "enqueuedTimeUtc": utc_text(NOW + timedelta(seconds=5)),
            "statusCode": "Purged",
            "description": "Purged",
            "deviceId": "mydevice001",
            "deviceGenerationId": "638",
        }
        for name in ("a", "b")
    ]
    assert feedback(api).json == answer.json
    assert feedback(api, hub="second.local").status == 204
    token = answer.headers["ETag"].strip('"')
    path = f"{FEEDBACK}/{token}?{VERSION}"
    assert api.request("DELETE", f"{path}&hub=second.local").json["errorCode"] == 412002
    assert api.request("DELETE", path).status == 204
    assert api.request("DELETE", path).json["errorCode"] == 412002
    assert feedback(api).status == 204
    assert api.request("DELETE", f"{FEEDBACK}/abc?{VERSION}").status == 400


def test_feedback_takes_no_more_room_than_it_is_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azureiot_tools.emulator.registry.FEEDBACK_KEPT", 3)
    for number in range(5):
        send(api, messageid=str(number), ack="negative")
    purge(api)
    assert [one["originalMessageId"] for one in feedback(api).json] == ["2", "3", "4"]


def test_unknown_devices(api: Api) -> None:
    for method, path in (("POST", "/devices/nobody/messages/devicebound"), ("DELETE", "/devices/nobody/commands")):
        assert api.request(method, f"{path}?{VERSION}", b"").json["errorCode"] == 404001
    assert api.request("POST", SEND.split("?")[0], b"x").json["errorCode"] == 400004, "no api-version"
