"""Pins DPS's exchange byte for byte where SDKs depend on it: what is answered, in which order, and what is written."""

import hashlib
import re
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.emulator.records import IndividualEnrollment

from .mqtt_wire import (
    DISCONNECT,
    PINGREQ,
    POLL,
    REGISTER,
    RESPONSES,
    Packet,
    connect,
    dps_username,
    hub_username,
    packet,
    publish,
    subscribe,
    text,
)

OPERATION_ID = r"[45]\.[0-9a-f]{16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"


def subscribed(bench, credential=None, registration_id="mydevice001", qos=1):
    wire = bench.wire(credential or bench.certificates.device)
    assert wire.open(registration_id, dps_username(registration_id)) == 0
    wire.send(subscribe(RESPONSES, qos=qos))
    assert wire.receive() == Packet(9, 0, b"\0\5" + bytes((min(qos, 1),)))
    return wire


def test_register_poll_assigned(bench):
    with subscribed(bench) as wire:
        topic, answer = wire.request(
            "$dps/registrations/PUT/iotdps-register/?$rid=abc-1", b'{"registrationId":"mydevice001"}'
        )
        assert topic == "$dps/registrations/res/202/?$rid=abc-1&retry-after=1"
        assert answer.keys() == {"operationId", "status"}
        assert answer["status"] == "assigning"
        assert re.fullmatch(OPERATION_ID, answer["operationId"])
        topic, final = wire.request(POLL.format(rid="abc-2", operation_id=answer["operationId"]), b" ")
    assert topic == "$dps/registrations/res/200/?$rid=abc-2"
    assert final["operationId"] == answer["operationId"]
    assert final["status"] == "assigned"
    state = final["registrationState"]
    assert list(state) == [
        "x509",
        "registrationId",
        "createdDateTimeUtc",
        "assignedHub",
        "deviceId",
        "status",
        "substatus",
        "lastUpdatedDateTimeUtc",
        "etag",
    ]
    assert (state["x509"], state["registrationId"], state["deviceId"]) == ({}, "mydevice001", "mydevice001")
    assert (state["assignedHub"], state["status"], state["substatus"]) == ("localhost", "assigned", "initialAssignment")
    assert re.fullmatch(DATE, state["createdDateTimeUtc"])
    assert re.fullmatch(DATE, state["lastUpdatedDateTimeUtc"])


def test_puback_comes_before_the_answer_whatever_the_packets_share(bench):
    """The C# SDK takes nothing but PUBACK after its publish (docs/protocol.md §1.3)."""
    with bench.wire(bench.certificates.device) as wire:
        wire.send(connect("mydevice001", dps_username("mydevice001")), subscribe(RESPONSES), publish(REGISTER))
        assert [wire.receive().type for _ in range(4)] == [2, 9, 4, 3]


def test_the_answer_has_the_qos_that_was_granted(bench):
    with subscribed(bench, qos=0) as wire:
        wire.send(publish(REGISTER, qos=0))
        answer = wire.receive()
        assert (answer.type, answer.qos) == (3, 0)
    with subscribed(bench, qos=2) as wire:
        wire.send(publish(REGISTER, qos=0))
        answer = wire.receive()
        assert (answer.qos, answer.packet_id) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b'{"payload": null, "registrationId": "mydevice001"}',
        b'{"registrationId":"MyDevice001"}',
        b'{"payload":{"modelId":"dtmi:com:example:Thermostat;1"}}',
    ],
)
def test_every_sdks_body_is_taken(bench, body):
    with subscribed(bench) as wire:
        assert "/res/202/" in wire.request(REGISTER, body)[0]


@pytest.mark.parametrize("body", [b"", b" ", b'{"operationId":"x"}', b'{"registrationId":"mydevice001"}'])
def test_the_body_of_a_poll_is_ignored(bench, body):
    with subscribed(bench) as wire:
        answer = wire.request(REGISTER)[1]
        assert wire.request(POLL.format(rid=2, operation_id=answer["operationId"]), body)[1]["status"] == "assigned"


def test_an_encoded_operation_id_is_the_same(bench):
    with subscribed(bench) as wire:
        operation_id = wire.request(REGISTER)[1]["operationId"].replace("-", "%2D").replace(".", "%2e")
        assert wire.request(POLL.format(rid=2, operation_id=operation_id))[1]["status"] == "assigned"


def test_keep_alive_0_clean_0_and_pings_are_fine(bench):
    with bench.wire(bench.certificates.device) as wire:
        tail = dps_username("mydevice001") + "&ClientVersion=2019-03-31"
        assert wire.connack("mydevice001", tail, keep_alive_s=0, clean=False) == (False, 0)
        wire.send(PINGREQ)
        assert wire.receive().type == 13
    with bench.wire(bench.certificates.device) as wire:
        assert wire.connack("mydevice001", tail, clean=False) == (False, 0), "DPS keeps no sessions"


def test_the_node_sdks_goodbye(bench):
    with subscribed(bench) as wire:
        wire.send(packet(0xA2, b"\0\6" + text(RESPONSES)), DISCONNECT)
        assert wire.receive() == (11, 0, b"\0\6")
        assert wire.closed()


@pytest.mark.parametrize(("steps", "statuses"), [(0, [200]), (1, [202, 200]), (3, [202, 202, 202, 200])])
def test_the_number_of_assigning_answers_can_be_chosen(start, steps, statuses):
    with start(assigning_steps=steps, retry_after_s=7) as bench, subscribed(bench) as wire:
        topic, answer = wire.request(REGISTER)
        topics = [topic]
        while answer["status"] == "assigning":
            topics.append(wire.request(POLL.format(rid=1, operation_id=answer["operationId"]))[0])
            if "/200/" in topics[-1]:
                break
        assert topics == [
            f"$dps/registrations/res/{status}/?$rid=1" + ("&retry-after=7" if status == 202 else "")
            for status in statuses
        ]


def test_what_is_written_at_assignment(bench):
    bench.provision()
    leaf = bench.certificates.device.certificate.public_bytes(Encoding.DER)
    registration = bench.emulator.registry.registration("mydevice001")
    assert (registration.assigned_hub, registration.device_id) == ("localhost", "mydevice001")
    assert registration.enrollment_group_id == "group"
    assert registration.leaf_sha1 == hashlib.sha1(leaf).hexdigest().upper()
    assert registration.leaf_sha256 == hashlib.sha256(leaf).hexdigest().upper()
    identity = bench.emulator.registry.device("localhost", "mydevice001")
    assert identity.enabled
    assert identity.authentication == "selfSigned"
    assert identity.thumbprints == (hashlib.sha256(leaf).hexdigest().upper(),)
    event = bench.emulator.events.wait_for(lambda e: e.kind == "registered")
    assert event.text == "assigned to hub localhost as 'mydevice001' through enrollment group 'group'"


def test_registering_again_replaces_the_thumbprint_and_keeps_the_rest(provisioned):
    registry = provisioned.emulator.registry
    before, identity = registry.registration("mydevice001"), registry.device("localhost", "mydevice001")
    state = provisioned.provision(provisioned.certificates.renewed)["registrationState"]
    after = registry.registration("mydevice001")
    assert (after.created, state["substatus"]) == (before.created, "initialAssignment")
    assert after.etag != before.etag
    renewed = registry.device("localhost", "mydevice001")
    assert renewed.generation_id == identity.generation_id
    assert renewed.thumbprints == (after.leaf_sha256,) != identity.thumbprints


def test_registering_again_does_not_enable_a_disabled_device(provisioned):
    from dataclasses import replace

    registry = provisioned.emulator.registry
    registry.put_device(replace(registry.device("localhost", "mydevice001"), enabled=False))
    provisioned.provision()
    assert not registry.device("localhost", "mydevice001").enabled


def enroll_individually(bench, credential, registration_id, device_id):
    now = datetime.now(UTC)
    leaf = credential.certificate.public_bytes(Encoding.DER)
    bench.emulator.registry.put_enrollment(
        IndividualEnrollment(registration_id, device_id, (leaf,), True, (), now, now)
    )


def identities(bench):
    return [(device.hub, device.device_id) for device in bench.emulator.registry.devices()]


def test_an_individual_enrollment_may_give_another_device_id(bench):
    enroll_individually(bench, bench.certificates.device, "mydevice001", "machine-7")
    state = bench.provision()["registrationState"]
    assert (state["registrationId"], state["deviceId"]) == ("mydevice001", "machine-7")
    with bench.on_hub(device_id="machine-7"):
        pass


def test_a_device_stays_on_its_hub_and_moves_when_it_must(start):
    with start(hubs=("north", "south")) as bench:
        first = bench.provision()["registrationState"]["assignedHub"]
        assert bench.provision()["registrationState"]["assignedHub"] == first
        other = "south" if first == "north" else "north"
        bench.enroll(hubs=(other,))
        state = bench.provision()["registrationState"]
        assert (state["assignedHub"], state["substatus"]) == (other, "deviceDataMigrated")
        assert bench.emulator.registry.device(first, "mydevice001") is None
        assert bench.emulator.registry.device(other, "mydevice001") is not None


def test_a_device_that_was_refused_in_between_still_leaves_no_identity_behind(start):
    """The record of a refused device forgot the hub, and the old identity let the device in for ever."""
    with start(hubs=("north", "south")) as bench:
        first = bench.provision()["registrationState"]["assignedHub"]
        other = "south" if first == "north" else "north"
        for refusal in ({"enabled": False}, {"hubs": ("elsewhere",)}):
            bench.enroll(**refusal)
            answer = bench.provision()
            assert answer["status"] != "assigned"
            assert not {"assignedHub", "deviceId"} & answer["registrationState"].keys()
            assert identities(bench) == [(first, "mydevice001")], "a refusal takes nothing away (§2.6)"
        bench.enroll(hubs=(other,))
        state = bench.provision()["registrationState"]
        assert (state["assignedHub"], state["substatus"]) == (other, "deviceDataMigrated")
        assert identities(bench) == [(other, "mydevice001")]


def test_a_registration_id_in_another_case_is_the_same_device(provisioned):
    """Two identities let the old leaf in beside the new one."""
    state = provisioned.provision(provisioned.certificates.renewed, "MYDEVICE001")["registrationState"]
    assert (state["registrationId"], state["deviceId"]) == ("mydevice001", "mydevice001")
    assert identities(provisioned) == [("localhost", "mydevice001")]
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", hub_username("mydevice001")) == 5


def test_a_device_whose_device_id_changes_leaves_no_identity_behind(bench):
    for device_id in ("machine-7", "machine-8"):
        enroll_individually(bench, bench.certificates.device, "mydevice001", device_id)
        assert bench.provision()["registrationState"]["deviceId"] == device_id
        assert identities(bench) == [("localhost", device_id)]


def test_an_identity_that_two_enrollments_give_is_told_to_change_hands(bench):
    enroll_individually(bench, bench.certificates.device, "mydevice001", "machine")
    enroll_individually(bench, bench.certificates.other, "mydevice002", "machine")
    bench.provision()
    bench.provision(bench.certificates.other, "mydevice002")
    event = bench.emulator.events.wait_for(lambda e: "belongs to registration 'mydevice002'" in e.text)
    assert (event.kind, event.device_id, event.section) == ("emulator", "machine", "docs/protocol.md §2.1")
    assert "was 'mydevice001'" in event.text
    # The first has none now: its next move must not take the second's away.
    former = bench.emulator.registry.registration("mydevice001")
    assert (former.status, former.assigned_hub, former.device_id) == ("unassigned", "", "")
    enroll_individually(bench, bench.certificates.device, "mydevice001", "machine-7")
    bench.provision()
    assert sorted(identities(bench)) == [("localhost", "machine"), ("localhost", "machine-7")]
    with bench.on_hub(bench.certificates.other, "machine"):
        pass


@pytest.mark.parametrize(
    ("query", "echoed"),
    [("$rid=a%20b", "a%20b"), ("%24rid=7", "7"), ("a$rid=x&$rid=7", "7"), ("x=1&$rid=7&y=2", "7"), ("$rid=a=b", "a=b")],
)
def test_rid_is_found_by_its_key_and_echoed_as_it_was_sent(bench, query, echoed):
    with subscribed(bench) as wire:
        topic = wire.request(f"$dps/registrations/PUT/iotdps-register/?{query}")[0]
        assert topic == f"$dps/registrations/res/202/?$rid={echoed}&retry-after=1"


def test_connections_that_say_the_same_id_do_not_disturb_each_other(bench):
    """Nobody has proved anything at CONNECT: a stranger without certificate must not throw the real device out."""
    with subscribed(bench) as wire:
        operation_id = wire.request(REGISTER)[1]["operationId"]
        with bench.wire() as stranger:
            assert stranger.open("mydevice001", dps_username("mydevice001", "0ne11111111")) == 0
            assert wire.request(POLL.format(rid=2, operation_id=operation_id))[1]["status"] == "assigned"
            stranger.send(PINGREQ)
            assert stranger.receive().type == 13


def test_a_device_that_has_no_ear_for_100_answers_is_dropped(bench):
    with subscribed(bench) as wire:
        for _ in range(100):
            wire.send(publish(REGISTER, qos=0))
            assert wire.receive().qos == 1
        wire.send(publish(REGISTER, qos=0))
        assert wire.closed()
    assert bench.reason("dropped", "have had no PUBACK") == "MQTT 3.1.1 §4.3.2"
