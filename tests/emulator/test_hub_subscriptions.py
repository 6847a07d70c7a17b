"""Pins SUBSCRIBE at a hub: the documented topics in the SDKs' spellings, at most five, and none for anything else."""

import pytest

from .mqtt_wire import PINGREQ, subscribe

DOCUMENTED = [
    "devices/mydevice001/messages/devicebound/#",
    "devices/+/messages/devicebound/#",
    "$iothub/methods/POST/#",
    "$iothub/methods/#",
    "$iothub/twin/res/#",
    "$iothub/twin/res/200/#",
    "$iothub/twin/PATCH/properties/desired/#",
    "$iothub/credentials/res/#",
]


@pytest.mark.parametrize("topic_filter", DOCUMENTED)
def test_documented_topics_are_granted_with_qos_1_at_most(provisioned, topic_filter):
    with provisioned.on_hub() as wire:
        for asked, granted in ((0, 0), (1, 1), (2, 1)):
            wire.send(subscribe(topic_filter, qos=asked, packet_id=300))
            assert wire.receive() == (9, 0, b"\x01\x2c" + bytes((granted,)))


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "devices/mydevice002/messages/devicebound/#",
        "devices/mydevice001/messages/events/",
        "$iothub/#",
        "$dps/registrations/res/#",
        "devices/{device_id}/messages/devicebound/#",
    ],
)
def test_anything_else_closes_the_connection(provisioned, topic_filter):
    with provisioned.on_hub() as wire:
        wire.send(subscribe(topic_filter))
        assert wire.closed()
    assert provisioned.reason("dropped", f"a SUBSCRIBE to '{topic_filter}'") == "docs/protocol.md §3.9"


def test_the_sixth_subscription_closes_the_connection(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(subscribe(*DOCUMENTED[:5]), subscribe(DOCUMENTED[0]), PINGREQ)  # the second of the same is no sixth
        assert [wire.receive().type for _ in range(3)] == [9, 9, 13]
        wire.send(subscribe(DOCUMENTED[5]))
        assert wire.closed()
    assert provisioned.reason("dropped", "more than 5 subscriptions") == "docs/protocol.md §3.9"


def test_six_filters_in_one_packet_close_the_connection(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(subscribe(*DOCUMENTED[:6]))
        assert wire.closed()
    provisioned.reason("dropped", "more than 5 subscriptions")
