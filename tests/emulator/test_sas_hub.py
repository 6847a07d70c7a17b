"""Pins docs/protocol.md §3.1, §3.9 for symmetric keys: which token a hub takes, and when it ends the connection."""

import time

import pytest

from .hub_bench import Clock, ask
from .key_bench import KEY, OTHER, SECONDARY, hub_token, token
from .mqtt_wire import PINGREQ, hub_username, publish


def know(bench, device_id="keyed", hub="localhost"):
    status, device = ask(
        bench,
        "PUT",
        f"/devices/{device_id}",
        {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": SECONDARY}}},
        hub=hub,
    )
    assert status == 200
    return device


def connect(bench, password, device_id="keyed", hub="localhost"):
    with bench.wire() as wire:
        code = wire.open(device_id, hub_username(device_id, hub), password=password)
        if code == 0:
            wire.send(PINGREQ)
            assert wire.receive().type == 13
        else:
            assert wire.closed()
        return code


@pytest.mark.parametrize("key", [KEY, SECONDARY], ids=["primary", "secondary"])
def test_either_key(bench, key):
    know(bench)
    assert connect(bench, hub_token("keyed", key)) == 0


def test_telemetry_says_how_the_device_proved_itself(bench):
    know(bench)
    with bench.wire() as wire:
        assert wire.open("keyed", hub_username("keyed"), password=hub_token("keyed", KEY)) == 0
        wire.send(publish("devices/keyed/messages/events/", b"x"))
        assert wire.receive().type == 4
    event = bench.emulator.events.wait_for(lambda event: event.kind == "telemetry")
    assert '"type":"sas"' in event.detail["system"]["iothub-connection-auth-method"]


@pytest.mark.parametrize(
    ("password", "says"),
    [
        (None, "'keyed' has symmetric keys, and sent no SAS token"),
        (b"", "'keyed' has symmetric keys, and sent no SAS token"),
        (b"secret", "'keyed': the password is no SAS token"),
        (KEY.encode(), "'keyed': the password is no SAS token"),
        (hub_token("keyed", OTHER), "signed with neither of its keys"),
        (hub_token("keyed", KEY, 1_600_000_000), "'keyed': the SAS token expired at 2020-09-13"),
        (hub_token("other", KEY), "is for 'localhost/devices/other', not for 'localhost/devices/keyed'"),
        (hub_token("Keyed", KEY), "is for 'localhost/devices/Keyed', not for 'localhost/devices/keyed'"),
        (hub_token("keyed", KEY, hub="elsewhere"), "is for 'elsewhere/devices/keyed'"),
        (token("localhost/devices", KEY), "is for 'localhost/devices'"),
        (token("localhost/devices/keyed/modules/m", KEY), "is for 'localhost/devices/keyed/modules/m'"),
        (token("0ne00000000/registrations/keyed", KEY), "is for '0ne00000000/registrations/keyed'"),
        (token("localhost/devices/keyed", KEY, tail="&skn=device"), "is of the hub policy 'device' (skn)"),
    ],
)
def test_every_refusal_is_connack_5_and_told_to_the_developer(bench, password, says):
    know(bench)
    assert connect(bench, password) == 5
    assert bench.reason("refused", f"CONNACK 5: {says}" if says.startswith("'") else says) == "docs/protocol.md §3.1"
    told = " ".join(event.text for event in bench.emulator.events.recent(limit=100))
    assert KEY not in told
    assert "sig=" not in told


def test_a_certificate_does_not_help_a_device_with_keys(provisioned):
    know(provisioned, "mydevice001")
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.open("mydevice001", hub_username("mydevice001")) == 5
    assert provisioned.reason("refused", "sent no SAS token") == "docs/protocol.md §3.1"


def test_the_host_of_the_resource_in_any_case_and_in_either_name(start):
    """Which of a hub's names it must be is not verified (§9.7)."""
    hub = "my.hub.example"
    with start(hubs=(hub,)) as bench:
        know(bench, hub=hub)
        for name in (hub, "MY.Hub.example", "my.device.hub.example"):
            assert connect(bench, hub_token("keyed", KEY, hub=name), hub=hub) == 0


def test_new_keys_are_the_only_ones(bench):
    know(bench)
    ask(bench, "PUT", "/devices/keyed", {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": OTHER}}})
    assert connect(bench, hub_token("keyed", KEY)) == 5
    assert connect(bench, hub_token("keyed", OTHER)) == 0
    assert connect(bench, hub_token("keyed", SECONDARY)) == 0, "the other slot stays as it was"


@pytest.fixture
def clocked(start):
    clock = Clock()
    with start(now=clock) as bench:
        know(bench)
        yield bench, clock


def test_clocks_may_differ_by_five_minutes(clocked):
    bench, clock = clocked
    now_s = clock.time.timestamp()
    assert connect(bench, hub_token("keyed", KEY, now_s - 299)) == 0
    assert connect(bench, hub_token("keyed", KEY, now_s - 302)) == 5


def test_the_connection_ends_ten_minutes_after_its_token(clocked):
    bench, clock = clocked
    with bench.wire() as wire:
        password = hub_token("keyed", KEY, clock.time.timestamp() + 3600)
        assert wire.open("keyed", hub_username("keyed"), password=password) == 0
        clock.advance(bench, minutes=69)
        wire.send(PINGREQ)
        assert wire.receive().type == 13
        clock.advance(bench, minutes=1.1)
        assert wire.closed()
    assert bench.reason("dropped", "the SAS token has expired, and the grace is over") == "docs/protocol.md §3.9"


def test_a_device_that_connects_with_a_newer_token_stays(clocked):
    """How every SDK renews: it connects again, and finds its session."""
    bench, clock = clocked
    start_s = clock.time.timestamp()
    with bench.wire() as first, bench.wire() as second:
        assert first.connack(
            "keyed", hub_username("keyed"), clean=False, password=hub_token("keyed", KEY, start_s + 3600)
        ) == (False, 0)
        clock.advance(bench, minutes=58)
        assert second.connack(
            "keyed", hub_username("keyed"), clean=False, password=hub_token("keyed", KEY, start_s + 7200)
        ) == (True, 0)
        assert first.closed()
        clock.advance(bench, minutes=15)  # past the end of the first
        second.send(PINGREQ)
        assert second.receive().type == 13
        clock.advance(bench, minutes=60)
        assert second.closed()


def test_a_device_that_has_gone_is_not_ended(clocked):
    bench, clock = clocked
    assert connect(bench, hub_token("keyed", KEY, clock.time.timestamp() + 60)) == 0
    bench.reason("disconnected", "")
    clock.advance(bench, hours=1)
    know(bench, "another")  # the loop has gone on
    assert not [event for event in bench.emulator.events.recent(limit=100) if event.kind == "dropped"]


def test_skew_and_grace_can_be_chosen(start):
    from azureiot_tools.emulator.sas import SasRules

    clock = Clock()
    with start(now=clock, sas=SasRules(skew_s=0, grace_s=5)) as bench:
        know(bench)
        assert connect(bench, hub_token("keyed", KEY, clock.time.timestamp() - 2)) == 5
        with bench.wire() as wire:
            password = hub_token("keyed", KEY, clock.time.timestamp() + 60)
            assert wire.open("keyed", hub_username("keyed"), password=password) == 0
            clock.advance(bench, seconds=66)
            assert wire.closed()


def test_a_token_without_end_is_no_fault(bench):
    know(bench)
    assert connect(bench, hub_token("keyed", KEY, 999_999_999_999_999)) == 0
    assert connect(bench, hub_token("keyed", KEY, time.time() + 3600)) == 0
