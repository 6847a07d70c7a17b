"""DPS's register and poll protocol (docs/protocol.md §1): what is asked, and what each answer means."""

import json

from azureiot.provisioning import Registration
from fakes import raises

ASSIGNED = {
    "operationId": "5.a.b",
    "status": "assigned",
    "registrationState": {
        "assignedHub": "h.azure-devices.net",
        "deviceId": "dev-1",
        "status": "assigned",
        "payload": {"x": 1},
    },
}


def answer(registration, status, body, query="", rid=None):
    rid = registration._request_id if rid is None else rid
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return registration.receive("$dps/registrations/res/%d/?$rid=%s%s" % (status, rid, query), payload)


def registered():
    registration = Registration("0ne00000000", "dev-1")
    registration.request()
    return registration


def polling():
    registration = registered()
    answer(registration, 202, {"operationId": "5.a b", "status": "assigning"})
    registration.request()
    return registration


def test_names_in_connect():
    registration = Registration("0ne00000000", "dev-1")
    assert registration.client_id == "dev-1"
    assert registration.username == "0ne00000000/registrations/dev-1/api-version=2019-03-31"


def test_register_then_poll_then_assigned():
    registration = Registration("0ne00000000", "dev-1")
    topic, body = registration.request()
    assert topic == "$dps/registrations/PUT/iotdps-register/?$rid=1"
    assert json.loads(body) == {"registrationId": "dev-1"}
    assert answer(registration, 202, {"operationId": "5.a b", "status": "assigning"}, "&retry-after=7") == 7
    topic, body = registration.request()
    assert topic == "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.a%20b"
    assert body == ""
    assert answer(registration, 202, {"operationId": "5.a b", "status": "assigning"}, "&retry-after=1") == 1
    registration.request()
    assert not registration.hub
    assert answer(registration, 200, ASSIGNED) is None
    assert (registration.hub, registration.device_id) == ("h.azure-devices.net", "dev-1")


def test_assigned_at_once():
    registration = registered()
    assert answer(registration, 200, ASSIGNED) is None
    assert registration.hub == "h.azure-devices.net"


def test_custom_payload_is_sent():
    registration = Registration("0ne00000000", "dev-1", {"modelId": "dtmi:x;1"})
    assert json.loads(registration.request()[1])["payload"] == {"modelId": "dtmi:x;1"}


def test_retry_after_in_all_shapes():
    for query, expected_s in (
        ("", 3),
        ("&retry-after=0", 0),
        ("&retry-after=300", 300),
        ("&retry-after=9999", 300),
        ("&retry-after=soon", 3),
        ("&retry-after", 3),
        ("&retry-after=-5", 0),
        ("&x=1&retry-after=2", 2),
    ):
        assert answer(registered(), 202, {"operationId": "5", "status": "assigning"}, query) == expected_s, query


def test_throttling_waits_and_asks_the_same_again():
    registration = registered()
    assert answer(registration, 429, {"errorCode": 429001, "message": "Throttled"}, "&retry-after=9") == 9
    assert registration.request()[0] == "$dps/registrations/PUT/iotdps-register/?$rid=2"
    registration = polling()
    assert answer(registration, 429, {"errorCode": 429001}, "&retry-after=0") == 1  # never at once
    assert "iotdps-get-operationstatus" in registration.request()[0]
    assert answer(registration, 503, {"errorCode": 503000}) == 3


def test_a_refusal_carries_code_message_tracking_id_and_hint():
    body = {
        "errorCode": 401002,
        "trackingId": "5b6f",
        "message": "Invalid certificate.",
        "timestampUtc": "2019-06-10T10:50:14.7793152Z",
    }
    error = raises(lambda: answer(registered(), 401, body), 401002)
    assert error.message == "DPS refused the registration: Invalid certificate."
    assert error.tracking_id == "5b6f"
    assert not error.retryable
    assert "intermediate" in error.hint
    assert "401002" in str(error) and "5b6f" in str(error)


def test_refusals_without_a_usable_body():
    # The status counts: a refusal stays one, and is not tried again, whatever a gateway wrote into the body.
    for body in ({}, b"<html>", b"[]", b"", b"\xff", b'{"errorCode": {}, "trackingId": 5}'):
        error = raises(lambda body=body: answer(registered(), 404, body), 404)
        assert error.message == "DPS refused the registration: status 404." and not error.retryable
        assert str(error)
    assert raises(lambda: answer(registered(), 409, {"errorCode": 409000, "message": "Conflict"}), 409000).retryable
    for body in (b"", b"<html>"):
        assert answer(registered(), 429, body, "&retry-after=7") == 7
        assert answer(registered(), 503, body) == 3


def test_failed_and_disabled():
    failed = {
        "status": "failed",
        "registrationState": {"errorCode": 400207, "errorMessage": "Custom allocation failed with status code: 500"},
    }
    error = raises(lambda: answer(polling(), 200, failed), 400207)
    assert "Custom allocation failed" in error.message and not error.retryable
    assert raises(
        lambda: answer(polling(), 200, {"status": "disabled", "registrationState": {"status": "disabled"}}), "disabled"
    ).hint


def test_half_an_assignment_is_refused():
    for state in ({}, {"assignedHub": "h"}, {"deviceId": "d"}, {"assignedHub": "", "deviceId": "d"}):
        body = {"status": "assigned", "registrationState": state}
        raises(lambda body=body: answer(polling(), 200, body), "dps-answer")
    raises(lambda: answer(polling(), 200, {"status": "assigned"}), "dps-answer")
    raises(lambda: answer(polling(), 200, {}), "dps-answer")
    for state in ("x", [], 5, {"assignedHub": 5, "deviceId": "d"}, {"assignedHub": "h", "deviceId": ["d"]}):
        body = {"status": "assigned", "registrationState": state}
        raises(lambda body=body: answer(polling(), 200, body), "dps-answer")
    for status in (5, ""):
        raises(lambda status=status: answer(polling(), 200, {"status": status}), "dps-answer")


def test_answers_to_others_are_left_alone():
    registration = registered()
    assert registration.receive("$dps/registrations/res/200/?$rid=%ff", b"{}") is None
    assert answer(registration, 401, {"errorCode": 401002}, rid="99") is None
    assert answer(registration, 401, {"errorCode": 401002}, rid="") is None
    assert registration.receive("$dps/registrations/res/200", b"{}") is None
    assert registration.receive("$iothub/twin/res/200/?$rid=1", b"{}") is None
    assert not registration.hub


def test_only_the_first_answer_counts():
    registration = registered()
    answer(registration, 200, ASSIGNED)
    assert answer(registration, 401, {"errorCode": 401002}) is None
    assert registration.hub == "h.azure-devices.net"


def test_malformed_json_is_an_error_not_a_crash():
    for body in (b"", b'{"status": "assig', b"null", b"5", b"\xff\xfe", b"[" * 4000):
        raises(lambda body=body: answer(registered(), 202, body), "dps-answer")
