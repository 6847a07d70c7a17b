"""Pins docs/protocol.md §2.4: what becomes of hub, identity and twin when a device registers again."""

import pytest

from .hub_bench import ask
from .key_bench import NEVER, RESET, assigned, enroll

TWIN = {"tags": {"site": "Bern"}, "properties": {"desired": {"interval": 60}}}


def twin_of(bench, hub):
    status, twin = ask(bench, "GET", "/twins/keyed", hub=hub)
    assert status == 200
    desired = {name: value for name, value in twin["properties"]["desired"].items() if name[0] != "$"}
    return twin["tags"], desired


def hubs(bench):
    return [device.hub for device in bench.emulator.registry.devices()]


@pytest.fixture
def moved(start):
    """A device on "north" with a twin that has changed since; its enrollment now wants "south"."""
    with start(hubs=("north", "south")) as bench:

        def move(**policy):
            enroll(bench, hubs=("north",), initial_twin=TWIN)
            assert assigned(bench)["substatus"] == "initialAssignment"
            assert twin_of(bench, "north") == ({"site": "Bern"}, {"interval": 60})
            change = {"properties": {"desired": {"interval": 5, "mode": "eco"}}}
            assert ask(bench, "PATCH", "/twins/keyed", change)[0] == 200
            enroll(bench, hubs=("south",), initial_twin=TWIN, **policy)
            return bench, assigned(bench)

        yield move


def test_migrate_is_the_default_and_takes_the_twin_along(moved):
    bench, state = moved()
    assert (state["assignedHub"], state["substatus"]) == ("south", "deviceDataMigrated")
    assert twin_of(bench, "south") == ({"site": "Bern"}, {"interval": 5, "mode": "eco"})
    assert hubs(bench) == ["south"]
    assert bench.emulator.registry.twin("north", "keyed") is None


def test_reset_writes_the_first_twin_anew(moved):
    bench, state = moved(**RESET)
    assert (state["assignedHub"], state["substatus"]) == ("south", "deviceDataReset")
    assert twin_of(bench, "south") == ({"site": "Bern"}, {"interval": 60})
    assert hubs(bench) == ["south"]


def test_never_stays(moved):
    bench, state = moved(**NEVER)
    assert (state["assignedHub"], state["substatus"]) == ("north", "initialAssignment")
    assert twin_of(bench, "north") == ({"site": "Bern"}, {"interval": 5, "mode": "eco"})
    assert hubs(bench) == ["north"]


def test_never_does_not_keep_a_hub_that_is_gone(start, tmp_path):
    with start(hubs=("north", "south"), data=tmp_path) as bench:
        enroll(bench, hubs=("north",), **NEVER)
        assert assigned(bench)["assignedHub"] == "north"
    with start(hubs=("south",), data=tmp_path) as bench:
        enroll(bench, **NEVER)
        state = assigned(bench)
        assert (state["assignedHub"], state["substatus"]) == ("south", "deviceDataMigrated")
        assert bench.reason("registered", "it leaves hub north, which is no longer linked") == "docs/protocol.md §2.1"


def test_never_asks_no_custom_policy_again(start):
    asked = []

    def allocate(request):
        asked.append(request)
        return {"iotHubHostName": "localhost", "payload": {"number": len(asked)}}

    with start(allocate=allocate) as bench:
        enroll(bench, allocation="custom", **NEVER)
        assert assigned(bench)["payload"] == {"number": 1}
        assert assigned(bench)["payload"] == {"number": 1}
        assert len(asked) == 1


def test_registering_again_changes_nothing(bench):
    enroll(bench, initial_twin=TWIN)
    assigned(bench)
    identity = bench.emulator.registry.device("localhost", "keyed")
    assert ask(bench, "PATCH", "/twins/keyed", {"tags": {"site": "Thun"}})[0] == 200
    assert assigned(bench)["substatus"] == "initialAssignment"
    assert twin_of(bench, "localhost")[0] == {"site": "Thun"}
    again = bench.emulator.registry.device("localhost", "keyed")
    assert (again.generation_id, again.created) == (identity.generation_id, identity.created)


def test_a_device_that_its_hub_has_lost_begins_anew(bench):
    enroll(bench, initial_twin=TWIN)
    assigned(bench)
    assert ask(bench, "PATCH", "/twins/keyed", {"tags": {"site": "Thun"}})[0] == 200
    assert ask(bench, "DELETE", "/devices/keyed")[0] == 204
    assert assigned(bench)["substatus"] == "reprovisionedToInitialAssignment"
    assert twin_of(bench, "localhost") == ({"site": "Bern"}, {"interval": 60})


def test_a_device_under_another_name_has_no_data_to_migrate(start):
    with start(hubs=("north", "south")) as bench:
        enroll(bench, hubs=("north",), device_id="old")
        assigned(bench)
        assert ask(bench, "PATCH", "/twins/old", {"tags": {"site": "Thun"}})[0] == 200
        enroll(bench, hubs=("south",), device_id="keyed", initial_twin=TWIN)
        state = assigned(bench)
        assert (state["deviceId"], state["substatus"]) == ("keyed", "deviceDataReset")
        assert twin_of(bench, "south") == ({"site": "Bern"}, {"interval": 60})
        assert [device.device_id for device in bench.emulator.registry.devices()] == ["keyed"]
