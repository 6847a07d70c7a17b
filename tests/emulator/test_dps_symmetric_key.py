"""Pins registration with symmetric keys over MQTT: CONNECT is accepted, register judges, and the hub gets the keys
(docs/protocol.md §1.2, §1.6, §2.5).
"""

import json
import re

from .key_bench import (
    GROUP_KEY,
    KEY,
    OTHER,
    SECONDARY,
    assigned,
    at_dps,
    device_key,
    dps_token,
    enroll,
    enroll_group,
    hub_token,
    provision,
)
from .mqtt_wire import POLL, REGISTER, hub_username
from .test_dps_refusals import check_error


def test_an_individual_enrollment(bench):
    enroll(bench)
    state = assigned(bench)
    assert list(state)[:2] == ["symmetricKey", "registrationId"]
    assert (state["symmetricKey"], state["registrationId"], state["deviceId"]) == ({}, "keyed", "keyed")
    assert (state["assignedHub"], state["substatus"]) == ("localhost", "initialAssignment")
    identity = bench.emulator.registry.device("localhost", "keyed")
    assert (identity.authentication, identity.keys, identity.thumbprints) == ("sas", (KEY, SECONDARY), ())
    with bench.wire() as wire:
        assert wire.open("keyed", hub_username("keyed"), password=hub_token("keyed", SECONDARY)) == 0


def test_a_group(bench):
    enroll_group(bench, "keys", GROUP_KEY, OTHER)
    key = device_key(GROUP_KEY, "member")
    state = assigned(bench, "member", key)
    assert (state["symmetricKey"], state["deviceId"]) == ({"enrollmentGroupId": "keys"}, "member")
    identity = bench.emulator.registry.device("localhost", "member")
    assert identity.keys == (key, device_key(OTHER, "member"))
    with bench.wire() as wire:
        assert wire.open("member", hub_username("member"), password=hub_token("member", key)) == 0


def test_a_wrong_key_is_refused_at_register_and_not_before(bench):
    enroll(bench)
    topic, answer = provision(bench, "keyed", OTHER)
    assert topic == "$dps/registrations/res/401/?$rid=1"
    check_error(answer, 401000, "Unauthorized")
    assert bench.reason("refused", "signed with neither key") == "docs/protocol.md §1.6"
    assert bench.emulator.registry.registrations() == []


def test_an_expired_token_is_refused_at_register(bench):
    enroll(bench)
    answer = provision(bench, password=dps_token("keyed", KEY, 1_600_000_000))[1]
    check_error(answer, 401000, "Unauthorized")
    assert bench.reason("refused", "expired at 2020-09-13") == "docs/protocol.md §1.6"


def test_a_disabled_enrollment(bench):
    enroll(bench, enabled=False)
    _, answer = provision(bench)
    assert answer["status"] == answer["registrationState"]["status"] == "disabled"
    assert bench.emulator.registry.devices() == []


def test_a_disabled_enrollment_may_be_a_401_instead(start):
    """§2.2: which of them it is in Azure is not verified."""
    with start(refuses_disabled=True) as bench:
        enroll(bench, enabled=False)
        topic, answer = provision(bench)
        assert "/res/401/" in topic
        check_error(answer, 401002, "Unauthorized")
        assert bench.reason("refused", "The enrollment is disabled") == "docs/protocol.md §2.2"


def test_a_newer_token_may_ask_how_it_went_and_a_false_one_may_not(bench):
    """A device that reconnects between register and poll has made another token."""
    enroll(bench)
    with at_dps(bench, "keyed", dps_token("keyed", KEY)) as wire:
        operation_id = wire.request(REGISTER)[1]["operationId"]
    poll = POLL.format(rid=2, operation_id=operation_id)
    with at_dps(bench, "keyed", dps_token("keyed", OTHER)) as wire:
        assert "/res/401/" in wire.request(poll)[0]
    with at_dps(bench, "keyed", dps_token("keyed", SECONDARY, 1_999_999_999)) as wire:
        assert wire.request(poll)[1]["status"] == "assigned"


def test_the_spelling_of_the_first_registration_stays(bench):
    enroll_group(bench)
    assigned(bench, "Member", device_key(GROUP_KEY, "Member"))
    state = assigned(bench, "MEMBER", device_key(GROUP_KEY, "MEMBER"))
    assert (state["registrationId"], state["deviceId"]) == ("Member", "Member")
    (identity,) = bench.emulator.registry.devices()
    assert identity.keys == (device_key(GROUP_KEY, "MEMBER"),), "the key that the device has now"


def test_a_device_that_changes_from_a_certificate_to_a_key(provisioned):
    """The old leaf must not go on opening the door."""
    enroll(provisioned, "mydevice001")
    assigned(provisioned, "mydevice001")
    (identity,) = provisioned.emulator.registry.devices()
    assert (identity.authentication, identity.thumbprints) == ("sas", ())
    registration = provisioned.emulator.registry.registration("mydevice001")
    assert (registration.leaf_sha1, registration.leaf_sha256, registration.enrollment_group_id) == ("", "", None)
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", hub_username("mydevice001")) == 5
    assert provisioned.reason("refused", "has symmetric keys, and sent no SAS token") == "docs/protocol.md §3.1"


def test_events_tell_no_secret(bench):
    enroll(bench)
    enroll_group(bench)
    assigned(bench)
    provision(bench, "keyed", OTHER)
    provision(bench, "keyed", password=KEY.encode())
    provision(bench, "stranger", GROUP_KEY)
    said = json.dumps([event.as_json() for event in bench.emulator.events.recent(limit=1000)])
    assert not any(key in said for key in (KEY, SECONDARY, GROUP_KEY, OTHER, device_key(GROUP_KEY, "stranger")))
    assert not re.search(r"sig=|SharedAccessSignature sr=0ne", said)
    registry = bench.emulator.registry
    assert KEY not in repr([*registry.enrollments(), *registry.groups(), *registry.devices()])
