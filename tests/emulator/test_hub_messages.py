"""Pins cloud-to-device messages: topics to the byte, the queue, PUBACK, locks, expiry, redelivery and feedback."""

from datetime import timedelta

import pytest

from .hub_bench import DESIRED, DEVICEBOUND, Clock, ask, puback, send, subscribed
from .mqtt_wire import DISCONNECT, PINGREQ, hub_username, unsubscribe

TOPIC = DEVICEBOUND + "%24.to=%2Fdevices%2Fmydevice001%2Fmessages%2Fdevicebound"


def queued(bench):
    """How many messages wait for the device."""
    return ask(bench, "GET", "/twins/mydevice001")[1]["cloudToDeviceMessageCount"]


def feedback(bench):
    """What the hub has to say, and forget it: (message id, status)."""
    found = ask(bench, "GET", "/messages/serviceBound/feedback")[1] or []
    if found:
        assert ask(bench, "DELETE", f"/messages/serviceBound/feedback/{2**40}")[0] == 204
    return [(one["originalMessageId"], one["statusCode"]) for one in found]


def receive(wire, payload):
    """The message with this payload must come next; its packet."""
    message = wire.receive()
    assert (message.type, message.payload) == (3, payload)
    return message


def nothing_comes(wire):
    wire.send(PINGREQ)
    assert wire.receive().type == 13


def acknowledge(wire, message):
    wire.send(puback(message.packet_id))
    nothing_comes(wire)


def texts(bench):
    return [event.text for event in bench.emulator.events.recent() if event.kind == "message"]


def test_a_message_without_properties_still_has_its_to(provisioned):
    """The C# SDK does not take an empty bag (docs/protocol.md §3.6)."""
    with provisioned.on_hub() as wire:
        subscribed(wire, DEVICEBOUND + "#")
        assert send(provisioned, b"\x00\xff")[0] == 201
        message = wire.receive()
        assert (message.topic, message.qos, message.payload) == (TOPIC, 1, b"\x00\xff")
        acknowledge(wire, message)
    assert texts(provisioned) == [
        "message no. 1 queued, 1 of 50",
        "message no. 1 delivered",
        "message no. 1 completed: the device has acknowledged it",
    ]


def test_every_property_has_its_place_in_the_topic(provisioned):
    with provisioned.on_hub() as wire:
        subscribed(wire, "devices/+/messages/devicebound/#")
        status, answer = send(
            provisioned,
            messageid="m 1",
            correlationid="c/1",
            contenttype="text/plain; charset=UTF-8",
            contentencoding="utf-8",
            ack="full",
            app_aaa="1+1&2",
            app_Empty="",
        )
        assert (status, answer["messageId"]) == (201, "m 1")
        assert wire.receive().topic == (
            DEVICEBOUND + "%24.mid=m%201&%24.cid=c%2F1&%24.to=%2Fdevices%2Fmydevice001%2Fmessages%2Fdevicebound"
            "&%24.ct=text%2Fplain%3B%20charset%3DUTF-8&%24.ce=utf-8&iothub-ack=full&aaa=1%2B1%262&Empty="
        )


def test_an_expiry_is_told_as_dotnet_writes_it(start):
    """§3.6: the C# SDK wants seven digits and Z."""
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        at = clock.time.replace(microsecond=0)
        send(bench, expiry=f"{at:%Y-%m-%dT%H}:59:59.5+00:00")
        with bench.on_hub(clean=False) as wire:
            subscribed(wire, DEVICEBOUND + "#")
            expected = f"{at:%Y-%m-%dT%H}:59:59.5000000Z".replace(":", "%3A")
            assert f"&%24.exp={expected}" in wire.receive().topic


def test_qos_0_completes_at_once(provisioned):
    send(provisioned, b"1", ack="full", messageid="one")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#", qos=0)
        assert receive(wire, b"1").qos == 0
    assert (queued(provisioned), feedback(provisioned)) == (0, [("one", "Success")])


def test_messages_wait_in_their_order_for_a_device_that_is_away(provisioned):
    for number in range(3):
        send(provisioned, b"%d" % number)
    with provisioned.on_hub(clean=False) as wire:
        nothing_comes(wire)
        send(provisioned, b"3")
        nothing_comes(wire)
        subscribed(wire, DEVICEBOUND + "#")
        messages = [receive(wire, b"%d" % number) for number in range(4)]
        assert [message.packet_id for message in messages] == [1, 2, 3, 4]
        assert queued(provisioned) == 4, "delivered is not done"
        for message in reversed(messages):  # in any order
            acknowledge(wire, message)
        assert queued(provisioned) == 0


def test_a_kept_session_gets_them_at_connect(provisioned):
    """The Python SDK does not subscribe again (session present); CONNACK comes first all the same."""
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        wire.send(DISCONNECT)
        assert wire.closed()
    send(provisioned, b"offline")
    with provisioned.on_hub(clean=False) as wire:
        acknowledge(wire, receive(wire, b"offline"))
    assert queued(provisioned) == 0


def test_clean_session_drops_what_waits(provisioned):
    """docs/protocol.md §3.1."""
    send(provisioned, b"lost", ack="negative", messageid="m")
    with provisioned.on_hub(clean=True) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        nothing_comes(wire)
        send(provisioned, b"new")
        receive(wire, b"new")
    assert feedback(provisioned) == [("m", "Purged")]
    text = "message m purged: the device has connected with clean session 1"
    assert provisioned.reason("message", text) == "docs/protocol.md §3.6"


def test_what_was_not_acknowledged_comes_again_over_the_next_connection(provisioned):
    """MQTT 3.1.1 §4.4: under its packet identifier, and marked as a duplicate."""
    send(provisioned, b"1")
    send(provisioned, b"2")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        first, second = receive(wire, b"1"), receive(wire, b"2")
        acknowledge(wire, first)
    send(provisioned, b"3")
    with provisioned.on_hub(clean=False) as wire:
        again = receive(wire, b"2")
        assert (again.flags, again.packet_id, again.topic) == (0b1010, second.packet_id, second.topic)
        fresh = receive(wire, b"3")
        assert (fresh.flags, fresh.packet_id) == (0b0010, second.packet_id + 1)
        acknowledge(wire, again)
        acknowledge(wire, fresh)
    assert queued(provisioned) == 0


def test_a_take_over_takes_the_messages_along(provisioned):
    send(provisioned, b"1")
    with provisioned.on_hub(clean=False) as first:
        subscribed(first, DEVICEBOUND + "#")
        receive(first, b"1")
        with provisioned.on_hub(clean=False) as second:
            acknowledge(second, receive(second, b"1"))
    assert queued(provisioned) == 0


def test_a_lock_lasts_a_minute_and_then_the_message_comes_again(start):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        send(bench, b"1")
        with bench.on_hub(clean=False) as wire:
            subscribed(wire, DEVICEBOUND + "#")
            message = receive(wire, b"1")
            for _ in range(20):  # more often than connections may end: a lock's end does not count as a delivery
                nothing_comes(wire)  # and the hub has looked at the clock
                clock.advance(bench, seconds=59)
                nothing_comes(wire)
                clock.advance(bench, seconds=1)
                again = receive(wire, b"1")
                assert (again.flags, again.packet_id) == (0b1010, message.packet_id)
            acknowledge(wire, again)
            clock.advance(bench, minutes=10)
            nothing_comes(wire)
        assert queued(bench) == 0
        assert bench.reason("message", "delivered again: it has had no PUBACK") == "docs/protocol.md §3.6"


def test_a_lock_that_ends_while_the_device_has_no_subscription(start):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        send(bench, b"1")
        with bench.on_hub(clean=False) as wire:
            subscribed(wire, DEVICEBOUND + "#")
            message = receive(wire, b"1")
            wire.send(unsubscribe(DEVICEBOUND + "#"))
            assert wire.receive().type == 11
            clock.advance(bench, seconds=60)
            nothing_comes(wire)
            subscribed(wire, DEVICEBOUND + "#")
            again = receive(wire, b"1")
            assert (again.flags, again.packet_id) == (0b1010, message.packet_id)
            acknowledge(wire, again)
        assert queued(bench) == 0


def test_a_message_is_given_up_after_ten_connections(provisioned):
    send(provisioned, b"poison", ack="negative", messageid="p")
    for connection in range(10):
        with provisioned.on_hub(clean=False) as wire:
            if connection == 0:
                subscribed(wire, DEVICEBOUND + "#")
            receive(wire, b"poison")
    provisioned.reason("message", "message p given up: 10 connections ended before")
    with provisioned.on_hub(clean=False) as wire:
        nothing_comes(wire)
    assert (queued(provisioned), feedback(provisioned)) == (0, [("p", "DeliveryCountExceeded")])


def test_messages_expire_after_an_hour_or_when_they_are_told(start):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        send(bench, b"hour", messageid="hour", ack="full")
        send(bench, b"now", messageid="now", expiry=clock.time.isoformat(), ack="full")
        send(bench, b"two days", messageid="two days", expiry=(clock.time + timedelta(days=2)).isoformat(), ack="full")
        bench.reason("message", "message now expired")
        clock.advance(bench, seconds=3600)
        bench.reason("message", "message hour expired before the device had acknowledged it")
        assert queued(bench) == 1
        clock.advance(bench, days=2)
        bench.reason("message", "message two days expired")
        assert feedback(bench) == [("now", "Expired"), ("hour", "Expired"), ("two days", "Expired")]


def test_an_expired_message_is_not_delivered_and_its_late_puback_means_nothing(start):
    clock = Clock()
    with start(now=clock) as bench:
        bench.provision()
        send(bench, b"1", ack="full", messageid="one")
        with bench.on_hub(clean=False) as wire:
            subscribed(wire, DEVICEBOUND + "#")
            message = receive(wire, b"1")
            clock.advance(bench, hours=1)
            bench.reason("message", "message one expired")
            send(bench, b"2", messageid="two")
            other = receive(wire, b"2")
            acknowledge(wire, message)
            assert queued(bench) == 1, "the other one still waits for its own PUBACK"
            acknowledge(wire, other)
        assert feedback(bench) == [("one", "Expired")]


@pytest.mark.parametrize(
    ("ack", "completed", "purged"),
    [
        ("none", [], []),
        ("positive", [("m", "Success")], []),
        ("negative", [], [("m", "Purged")]),
        ("full", [("m", "Success")], [("m", "Purged")]),
    ],
)
def test_feedback_as_the_sender_wants_it(provisioned, ack, completed, purged):
    send(provisioned, b"1", ack=ack, messageid="m")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        acknowledge(wire, receive(wire, b"1"))
    assert feedback(provisioned) == completed
    send(provisioned, b"2", ack=ack, messageid="m")
    assert ask(provisioned, "DELETE", "/devices/mydevice001/commands")[1]["totalMessagesPurged"] == 1
    assert feedback(provisioned) == purged


def test_pubacks_of_something_else_complete_nothing(provisioned):
    send(provisioned, b"1")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#", DESIRED)
        message = receive(wire, b"1")
        ask(provisioned, "PATCH", "/twins/mydevice001", {"properties": {"desired": {"a": 1}}})
        wire.send(puback(wire.receive().packet_id), puback(999))
        nothing_comes(wire)
        assert queued(provisioned) == 1
        acknowledge(wire, message)
        acknowledge(wire, message)  # twice is no harm
    assert queued(provisioned) == 0


def test_fifty_messages_wait_and_no_more(provisioned):
    assert {send(provisioned, b"x")[0] for _ in range(50)} == {201}
    status, error = send(provisioned, b"x")
    assert (status, error["errorCode"]) == (403, 403004)
    assert "50 messages wait for 'mydevice001' already" in error["message"]
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        first, *_ = (wire.receive() for _ in range(50))
        wire.send(puback(first.packet_id))
        nothing_comes(wire)
        assert send(provisioned, b"51st")[0] == 201
        receive(wire, b"51st")


def test_messages_go_with_the_identity(provisioned):
    send(provisioned, b"1")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        receive(wire, b"1")
        ask(provisioned, "DELETE", "/devices/mydevice001")
        assert wire.closed()
    provisioned.provision()
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        nothing_comes(wire)


def test_messages_and_feedback_outlive_the_emulator(start, tmp_path):
    with start(data=tmp_path) as bench:
        bench.provision()
        for name in ("1", "2"):
            send(bench, name.encode(), messageid=name, ack="positive", app_colour="red")
        with bench.on_hub(clean=False) as wire:
            subscribed(wire, DEVICEBOUND + "#")
            first = receive(wire, b"1")
            receive(wire, b"2")
            acknowledge(wire, first)
    with start(data=tmp_path) as bench:
        with bench.on_hub(clean=False) as wire:
            message = receive(wire, b"2")  # its session is kept, too
            assert message.topic.endswith("&iothub-ack=positive&colour=red")
            acknowledge(wire, message)
        assert feedback(bench) == [("1", "Success"), ("2", "Success")]


def test_another_devices_messages_are_not_ours(provisioned):
    provisioned.provision(provisioned.certificates.other, "mydevice002")
    with provisioned.on_hub(provisioned.certificates.other, "mydevice002") as other:
        subscribed(other, "devices/+/messages/devicebound/#")
        send(provisioned, b"for 001")
        nothing_comes(other)
        with provisioned.wire(provisioned.certificates.device) as wire:
            assert wire.open("mydevice001", hub_username("mydevice001"), clean=False) == 0
            subscribed(wire, "devices/+/messages/devicebound/#")
            receive(wire, b"for 001")


def test_a_subscription_that_is_changed_to_qos_0_gets_what_was_left(provisioned):
    send(provisioned, b"1")
    with provisioned.on_hub(clean=False) as wire:
        subscribed(wire, DEVICEBOUND + "#")
        receive(wire, b"1")
        wire.send(unsubscribe(DEVICEBOUND + "#"))
        assert wire.receive().type == 11
    with provisioned.on_hub(clean=False) as wire:
        nothing_comes(wire)
        subscribed(wire, DEVICEBOUND + "#", qos=0)
        assert receive(wire, b"1").flags == 0
        subscribed(wire, DEVICEBOUND + "#")
        nothing_comes(wire)
    assert queued(provisioned) == 0
