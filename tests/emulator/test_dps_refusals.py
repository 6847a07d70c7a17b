"""Pins DPS's refusals: CONNECT succeeds, register gets 401 and Azure's JSON, and an event says the true reason."""

import re

import pytest

from azureiot_tools.certificates import authority

from .mqtt_wire import POLL, REGISTER, RESPONSES, connect, dps_username, publish, register, subscribe


def refused(bench, credential, registration_id="mydevice001", username=None, body=b"", topic=REGISTER):
    with bench.wire(credential) as wire:
        assert wire.open(registration_id, username or dps_username(registration_id)) == 0
        wire.send(subscribe(RESPONSES))
        assert wire.receive().type == 9
        return wire.request(topic, body)


def check_error(answer, code, message):
    assert list(answer) == ["errorCode", "trackingId", "message", "timestampUtc"]
    assert (answer["errorCode"], answer["message"]) == (code, message)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["trackingId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", answer["timestampUtc"])


def test_no_client_certificate(bench):
    topic, answer = refused(bench, None)
    assert topic == "$dps/registrations/res/401/?$rid=1"
    check_error(answer, 401002, "Unauthorized")
    assert bench.reason("refused", "presented no client certificate") == "docs/protocol.md §2.1"


def test_no_enrollment(bench):
    bench.emulator.registry.delete_group("group")
    topic, answer = refused(bench, bench.certificates.device)
    assert "/res/401/" in topic
    assert answer["errorCode"] == 401002
    assert bench.reason("refused", "401002") == "docs/protocol.md §2.1"
    assert bench.emulator.registry.registrations() == []


def test_another_devices_certificate(bench):
    topic, answer = refused(bench, bench.certificates.other)
    assert "/res/401/" in topic
    assert answer["errorCode"] == 401002
    assert bench.reason("refused", "mydevice002") == "docs/protocol.md §2.1"


def test_a_certificate_of_an_unknown_ca(bench):
    stranger = authority.issue_device(authority.create_root("Stranger"), "mydevice001")
    assert "/res/401/" in refused(bench, stranger)[0]
    assert bench.reason("refused", "Stranger") == "docs/protocol.md §2.1"


def test_an_unknown_id_scope(bench):
    topic, answer = refused(bench, bench.certificates.device, username=dps_username("mydevice001", "0ne11111111"))
    assert "/res/401/" in topic
    check_error(answer, 401002, "Unauthorized")
    assert bench.reason("refused", "the id scope '0ne11111111' is unknown") == "docs/protocol.md §9.1"


def test_a_disabled_enrollment(bench):
    bench.enroll(enabled=False)
    with bench.wire(bench.certificates.device) as wire:
        answer = register(wire, "mydevice001")
    assert answer["status"] == answer["registrationState"]["status"] == "disabled"
    assert not {"assignedHub", "deviceId"} & answer["registrationState"].keys()
    assert bench.reason("refused", "the enrollment is disabled") == "docs/protocol.md §2.2"
    assert bench.emulator.registry.devices() == []


def test_an_enrollment_without_a_hub_fails(bench):
    bench.enroll(hubs=("elsewhere",))
    with bench.wire(bench.certificates.device) as wire:
        answer = register(wire, "mydevice001")
    assert (answer["status"], answer["registrationState"]["errorCode"]) == ("failed", 400208)
    assert bench.reason("refused", "allows no hub of this DPS: elsewhere") == "docs/protocol.md §2.3"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid request body"),
        (b"[]", "Invalid request body"),
        (b"\xff", "Invalid request body"),
        (b"[" * 50_000, "Invalid request body"),
        (b'{"registrationId":"mydevice002"}', "Invalid RegistrationId"),
        (b'{"registrationId":7}', "Invalid RegistrationId"),
    ],
)
def test_a_bad_body(bench, body, message):
    topic, answer = refused(bench, bench.certificates.device, body=body)
    assert "/res/400/" in topic
    check_error(answer, 400004, message)
    assert bench.reason("refused", "400004") == "docs/protocol.md §1.4"


def test_a_certificate_request_is_not_silently_ignored(bench):
    """The device would take its old certificate for the one it asked for."""
    topic, answer = refused(bench, bench.certificates.device, body=b'{"registrationId":"mydevice001","csr":"MIIB"}')
    assert "/res/400/" in topic
    check_error(answer, 400004, "Invalid request body")
    assert bench.reason("refused", "this emulator issues none") == "docs/protocol.md §6.1"
    assert "/res/202/" in refused(bench, bench.certificates.device, body=b'{"csr":null}')[0]


@pytest.mark.parametrize("registration_id", ["bad id", "-begins-wrongly", "ends.", "ümlaut", "x" * 129])
def test_an_impossible_registration_id(bench, registration_id):
    topic, answer = refused(bench, bench.certificates.device, registration_id)
    assert "/res/400/" in topic
    check_error(answer, 400004, "Invalid RegistrationId")
    assert bench.reason("refused", "cannot be a registration id") == "docs/protocol.md §1.2"


def test_an_unknown_operation(bench):
    topic, answer = refused(bench, bench.certificates.device, topic=POLL.format(rid=1, operation_id="5.0.0"))
    assert topic == "$dps/registrations/res/404/?$rid=1"
    check_error(answer, 404202, "Operation not found")
    assert bench.reason("refused", "has no operation '5.0.0'") == "docs/protocol.md §1.5"


def test_a_poll_without_operation_id(bench):
    assert "/res/404/" in refused(bench, bench.certificates.device, topic=POLL.partition("&")[0].format(rid=1))[0]


def test_another_devices_operation_is_not_told(bench):
    with bench.wire(bench.certificates.device) as wire:
        wire.send(connect("mydevice001", dps_username("mydevice001")), subscribe(RESPONSES))
        assert [wire.receive().type for _ in range(2)] == [2, 9]
        operation_id = wire.request(REGISTER)[1]["operationId"]
    poll = POLL.format(rid=1, operation_id=operation_id)
    assert "/res/404/" in refused(bench, bench.certificates.other, "mydevice002", topic=poll)[0]
    assert "/res/401/" in refused(bench, None, topic=poll)[0], "the id alone proves nothing"


def test_a_register_before_the_subscription_is_not_answered(bench):
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        wire.send(publish(REGISTER), b"\xc0\x00")
        assert [wire.receive().type for _ in range(2)] == [4, 13]
    assert bench.reason("refused", "not subscribed") == "docs/protocol.md §1.3"
    assert bench.emulator.registry.registrations() == []


def test_the_client_id_must_be_the_registration_id(bench):
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("other", dps_username("mydevice001")) == 5
        assert wire.closed()
    assert bench.reason("refused", "the client id 'other' is not") == "docs/protocol.md §1.2"


@pytest.mark.parametrize("tail", ["/?api-version=2019-03-31", "", "/", "/api-version="])
def test_a_username_that_is_almost_right(bench, tail):
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("mydevice001", f"0ne00000000/registrations/mydevice001{tail}") == 5
    assert bench.reason("refused", "without a ? before api-version") == "docs/protocol.md §1.2"


def test_a_letter_that_only_unicode_lower_cases_is_another(bench):
    """U+212A KELVIN SIGN is no k: ids are ASCII (docs/protocol.md §1.2)."""
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("\u212a1", dps_username("k1")) == 5
    topic, answer = refused(bench, None, "k1", body='{"registrationId":"\u212a1"}'.encode())
    assert "/res/400/" in topic
    check_error(answer, 400004, "Invalid RegistrationId")


def test_the_client_id_may_differ_in_case(bench):
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("MyDevice001", dps_username("mydevice001")) == 0


@pytest.mark.parametrize(
    "topic",
    [
        "$dps/registrations/PUT/iotdps-register/?rid=1",
        "$dps/registrations/PUT/iotdps-register/?$rid=",
        "$dps/registrations/PUT/iotdps-register/",
        "$dps/registrations/PUT/iotdps-register/?a$rid=1",
        "$dps/registrations/PUT/something/?$rid=1",
        "devices/mydevice001/messages/events/",
        "x",
    ],
)
def test_a_publish_elsewhere_closes_the_connection(bench, topic):
    with bench.wire(bench.certificates.device) as wire:
        wire.send(connect("mydevice001", dps_username("mydevice001")), subscribe(RESPONSES), publish(topic))
        assert [wire.receive().type for _ in range(2)] == [2, 9]
        assert wire.closed()
    assert bench.reason("dropped", f"a PUBLISH to '{topic}'") == "docs/protocol.md §1.3"


@pytest.mark.parametrize(
    "topic_filter", ["#", "$dps/#", "$dps/registrations/res/+", "devices/x/messages/devicebound/#"]
)
def test_a_subscription_elsewhere_closes_the_connection(bench, topic_filter):
    with bench.wire(bench.certificates.device) as wire:
        wire.send(connect("mydevice001", dps_username("mydevice001")), subscribe(topic_filter))
        assert wire.receive().type == 2
        assert wire.closed()
    assert bench.reason("dropped", f"a SUBSCRIBE to '{topic_filter}'") == "docs/protocol.md §1.3"


def test_more_than_96_kb_closes_the_connection(bench):
    with bench.wire(bench.certificates.device) as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        wire.send(publish(REGISTER, b" " * 96 * 1024)[:10])
        assert wire.closed()
    assert bench.reason("dropped", "at most 98304 are taken") == "docs/protocol.md §3.9"
