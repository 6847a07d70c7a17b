"""Pins the ends of a connection that a device cannot bring about by itself: ordered faults (§3.13), the Basic tier."""

import pytest

from .hub_bench import TWIN, Clock, ask, send, subscribed
from .mqtt_wire import PINGREQ, publish

EVENTS = "devices/mydevice001/messages/events/"


def order(fault, delay=None):
    bag = f"AzIoTHub_FaultOperationType={fault}&AzIoTHub_FaultOperationCloseReason=test"
    return publish(EVENTS + bag + ("" if delay is None else f"&AzIoTHub_FaultOperationDelayInSecs={delay}"))


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("KillTcp", "the connection was cut"),
        ("ShutDownMqtt", "the connection was ended"),
        ("InvokeThrottling", "(429002)"),
        ("InvokeMaxMessageQuota", "(403002)"),
        ("InvokeAuthError", "(401003)"),
    ],
)
def test_an_ordered_fault_ends_the_connection_when_it_is_due(start, fault, why):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        with bench.on_hub() as wire:
            wire.send(order(fault, 30), PINGREQ)
            assert [wire.receive().type for _ in range(2)] == [4, 13]
            clock.advance(bench, seconds=29)
            wire.send(PINGREQ)
            assert wire.receive().type == 13
            clock.advance(bench, seconds=1)
            assert wire.closed()
        event = bench.emulator.events.wait_for(lambda e: e.kind == "dropped")
        assert (why in event.text, f"as the device has ordered ({fault})" in event.text) == (True, True)
        assert event.section == "docs/protocol.md §3.13"
        with bench.on_hub() as wire:
            clock.advance(bench, hours=1)
            wire.send(PINGREQ)
            assert wire.receive().type == 13, "the next connection is whole"


def test_a_fault_at_once(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(order("KillTcp"))
        assert wire.receive().type == 4
        assert wire.closed()


@pytest.mark.parametrize(("fault", "delay"), [("KillAmqpSession", 0), ("KillTcp", "soon"), ("KillTcp", "-1"), ("", 1)])
def test_no_fault_is_made_of_what_is_none(provisioned, fault, delay):
    with provisioned.on_hub() as wire:
        wire.send(order(fault, delay), PINGREQ)
        assert [wire.receive().type for _ in range(2)] == [4, 13]
    assert provisioned.reason("telemetry", "is no fault here") == "docs/protocol.md §3.13"


def test_a_hub_of_the_basic_tier_has_telemetry_only(start):
    with start(basic_tier=True) as bench:
        bench.provision()
        for topic in ("$iothub/twin/GET/?$rid=1", "$iothub/methods/res/200/?$rid=1"):
            with bench.on_hub() as wire:
                subscribed(wire, TWIN)
                wire.send(publish(EVENTS, b"fine"))
                assert wire.receive().type == 4
                wire.send(publish(topic))
                assert wire.closed()
            assert bench.reason("dropped", f"'{topic}' at a hub of the Basic tier") == "docs/protocol.md §3.9"
        assert send(bench)[1]["errorCode"] == 403010
        assert ask(bench, "POST", "/twins/mydevice001/methods", {"methodName": "a"})[1]["errorCode"] == 403010
