"""Pins docs/protocol.md §2.3: which hub each allocation policy gives, and what a custom one is told and may answer."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from azureiot_tools.console import UserError
from azureiot_tools.emulator.dps.allocation import AllocationFailed, Allocator
from azureiot_tools.emulator.server import EmulatorOptions

from .hub_bench import ask
from .key_bench import GROUP_KEY, KEY, assigned, device_key, enroll, enroll_group, provision

HUBS = ("north", "south", "east")


def hubs_of(bench, count, prefix="d"):
    ids = [f"{prefix}{number}" for number in range(count)]
    return {id: assigned(bench, id, device_key(GROUP_KEY, id))["assignedHub"] for id in ids}


def test_hashed_spreads_devices_and_keeps_them(start):
    with start(hubs=HUBS, assigning_steps=0) as bench:
        enroll_group(bench)
        first = hubs_of(bench, 30)
        assert set(first.values()) == set(HUBS)
        for registration in bench.emulator.registry.registrations():
            bench.emulator.registry.delete_registration(registration.registration_id)
        assert hubs_of(bench, 30) == first, "the id alone decides"


def spread(weights, count=3000):
    """How many devices each hub gets by hash."""
    allocator = Allocator(HUBS, weights, allocate=None)
    enrollment = SimpleNamespace(hubs=(), allocation="hashed", initial_twin=None)
    attested = [SimpleNamespace(enrollment=enrollment, registration_id=f"d{number}") for number in range(count)]
    return Counter(allocator.choose(one, None, None).hub for one in attested)


def test_weights_count():
    even, uneven = spread({}), spread({"south": 8})
    assert all(900 < even[hub] < 1100 for hub in HUBS)
    assert 2300 < uneven["south"] < 2500
    assert 250 < uneven["north"] < 350


def test_a_hub_without_weight_is_only_for_those_whose_enrollment_names_it(start):
    assert set(spread({"north": 0})) == {"south", "east"}
    with start(hubs=("north", "south"), hub_weights={"north": 0}) as bench:
        enroll(bench, "a")
        enroll(bench, "b", hubs=("north",))
        assert assigned(bench, "a")["assignedHub"] == "south"
        assert assigned(bench, "b")["assignedHub"] == "north"


@pytest.mark.parametrize("weights", [{"elsewhere": 1}, {"localhost": -1}, {"localhost": 1001}])
def test_weights_that_cannot_be(weights):
    with pytest.raises(UserError, match="cannot have the weight"):
        EmulatorOptions(hub_weights=weights)


def test_lowest_latency_is_the_order_in_which_the_hubs_are_given(start):
    with start(hubs=HUBS) as bench:
        enroll(bench, "a", allocation="geoLatency")
        enroll(bench, "b", allocation="geoLatency", hubs=("east", "south"))
        assert assigned(bench, "a")["assignedHub"] == "north"
        assert assigned(bench, "b")["assignedHub"] == "south"


def test_static_is_the_one_hub(start):
    with start(hubs=HUBS) as bench:
        enroll(bench, allocation="static", hubs=("east",))
        assert assigned(bench)["assignedHub"] == "east"
        enroll(bench, allocation="static", hubs=("south",))
        assert assigned(bench)["assignedHub"] == "south"


class Policy:
    """A custom policy that remembers what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_custom_policy_is_told_what_a_webhook_is_told(start):
    policy = Policy({"iotHubHostName": "south", "payload": {"firmware": "1.2"}})
    with start(hubs=HUBS, allocate=policy) as bench:
        enroll(bench, allocation="custom", hubs=("north", "south"), device_id="pump")
        state = assigned(bench, body=json.dumps({"payload": {"modelId": "dtmi:x;1"}}).encode())
        assert (state["assignedHub"], state["deviceId"], state["payload"]) == ("south", "pump", {"firmware": "1.2"})
        (request,) = policy.asked
        assert request.keys() == {"individualEnrollment", "deviceRuntimeContext", "linkedHubs"}
        assert request["linkedHubs"] == ["north", "south"]
        assert request["deviceRuntimeContext"] == {
            "registrationId": "keyed",
            "symmetricKey": {},
            "payload": {"modelId": "dtmi:x;1"},
        }
        assert request["individualEnrollment"]["registrationId"] == "keyed"
        assert KEY not in json.dumps(request)
        assigned(bench)
        context = policy.asked[1]["deviceRuntimeContext"]
        assert (context["currentIotHubHostName"], context["currentDeviceId"]) == ("south", "pump")
        assert "payload" not in context
        assert ask(bench, "GET", "/registrations/keyed")[1]["payload"] == {"firmware": "1.2"}


def test_a_custom_policy_for_a_group_with_certificates(start):
    policy = Policy({"iotHubHostName": "localhost"})
    with start(allocate=policy) as bench:
        bench.enroll(allocation="custom")
        state = bench.provision()["registrationState"]
        assert "payload" not in state
        assert policy.asked[0]["enrollmentGroup"]["attestation"]["x509"] == {"caReferences": {"primary": "root"}}
        assert policy.asked[0]["deviceRuntimeContext"] == {"registrationId": "mydevice001", "x509": {}}


def test_a_custom_policy_gives_the_first_twin(start):
    twin = {"tags": {"site": "Bern"}, "properties": {"desired": {"interval": 5}}}
    with start(allocate=Policy({"iotHubHostName": "localhost", "initialTwin": twin})) as bench:
        enroll(bench, allocation="custom", initial_twin={"tags": {"site": "nowhere"}})
        assigned(bench)
        shown = ask(bench, "GET", "/twins/keyed")[1]
        assert shown["tags"] == {"site": "Bern"}
        assert shown["properties"]["desired"]["interval"] == 5


@pytest.mark.parametrize(
    ("answer", "code", "message", "says"),
    [
        (
            AllocationFailed(503),
            400207,
            "Custom allocation failed with status code: 503",
            "answers with status code 503",
        ),
        (KeyError("x"), 400207, "Custom allocation failed with status code: 500", "raised KeyError"),
        ({"iotHubHostName": "elsewhere"}, 400209, "The IoT hub is not linked", "chose the hub 'elsewhere'"),
        ({"iotHubHostName": ["localhost"]}, 400209, "The IoT hub is not linked", "chose the hub ['localhost']"),
        ({}, 400209, "The IoT hub is not linked", "chose the hub None"),
        (None, 400207, "Custom allocation failed with status code: 200", "answered with None"),
        ({"iotHubHostName": "localhost", "payload": "text"}, 400207, "status code: 200", "'payload' that is neither"),
        (
            {"iotHubHostName": "localhost", "initialTwin": 5},
            400207,
            "status code: 200",
            "'initialTwin' that is neither",
        ),
        (
            {"iotHubHostName": "localhost", "initialTwin": {"properties": {"reported": {}}}},
            400207,
            "status code: 200",
            "an initial twin has tags and properties.desired",
        ),
        (
            {"iotHubHostName": "localhost", "initialTwin": {"tags": {"a.b": 1}}},
            400207,
            "status code: 200",
            "the custom allocation's initialTwin: ",
        ),
    ],
)
def test_a_custom_policy_that_fails(start, answer, code, message, says):
    with start(allocate=Policy(answer)) as bench:
        enroll(bench, allocation="custom")
        topic, told = provision(bench)
        assert "/res/200/" in topic
        state = told["registrationState"]
        assert told["status"] == state["status"] == "failed"
        assert state["errorCode"] == code
        assert message in state["errorMessage"]
        assert bench.reason("refused", says) == "docs/protocol.md §2.3"
        assert bench.emulator.registry.devices() == []


def test_a_custom_policy_that_the_emulator_does_not_have(bench):
    enroll(bench, allocation="custom")
    assert provision(bench)[1]["registrationState"]["errorCode"] == 400207
    assert bench.reason("refused", "was started without one") == "docs/protocol.md §2.3"


def test_no_hub_at_all(start):
    with start(hub_weights={"localhost": 0}) as bench:
        enroll(bench)
        assert provision(bench)[1]["registrationState"]["errorCode"] == 400208
        assert bench.reason("refused", "none is linked for allocation") == "docs/protocol.md §2.3"


@pytest.mark.parametrize("payload", ['"text"', "5", "[]", "true"])
def test_a_payload_is_an_object_or_null(bench, payload):
    """docs/protocol.md §1.4."""
    enroll(bench)
    topic, answer = provision(bench, body=b'{"payload":%s}' % payload.encode())
    assert "/res/400/" in topic
    assert answer["errorCode"] == 400004
    assert bench.reason("refused", "'payload' of the register request is neither") == "docs/protocol.md §1.4"
