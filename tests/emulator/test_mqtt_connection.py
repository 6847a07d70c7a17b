"""Pins what closes an MQTT connection, whatever the service: each is told to the developer with reason and section."""

import pytest

from azureiot_tools.emulator.mqtt.connection import Limits

from .mqtt_wire import DISCONNECT, PINGREQ, connect, dps_username, hub_username, packet, publish, subscribe, text


def test_the_first_packet_must_be_connect(bench):
    with bench.wire() as wire:
        wire.send(PINGREQ)
        assert wire.closed()
    assert bench.reason("dropped", "the first packet is not CONNECT") == "MQTT 3.1.1 §3.1"


def test_a_second_connect_is_a_violation(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(connect("mydevice001", hub_username("mydevice001")))
        assert wire.closed()
    assert provisioned.reason("dropped", "a second CONNECT") == "MQTT 3.1.1 §3.1"


def test_another_mqtt_version_gets_connack_1(bench):
    with bench.wire() as wire:
        wire.send(packet(0x10, text("MQTT") + b"\5\2\0\x3c" + text("dev")))
        assert wire.receive() == (2, 0, b"\0\1")
        assert wire.closed()
    assert bench.reason("refused", "MQTT protocol level 5") == "docs/protocol.md §1.2"


def test_garbage_closes_the_connection(bench):
    with bench.wire() as wire:
        wire.send(b"get / http/1.1\r\n\r\n")
        assert wire.closed()
    assert bench.reason("dropped", "flags") == "MQTT 3.1.1 §2.2.2"


def test_packets_before_garbage_are_answered(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(PINGREQ, packet(0xF0))
        assert wire.receive() == (13, 0, b"")
        assert wire.closed()


def test_qos_2_closes_the_connection_unanswered(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(publish("devices/mydevice001/messages/events/", b"x", qos=2))
        assert wire.closed()
    assert provisioned.reason("dropped", "QoS 2") == "docs/protocol.md §3.4"


@pytest.mark.parametrize("first", [0x50, 0x62, 0x70])
def test_acknowledgements_of_qos_2_have_no_place(provisioned, first):
    with provisioned.on_hub() as wire:
        wire.send(packet(first, b"\0\1"))
        assert wire.closed()
    assert provisioned.reason("dropped", "an acknowledgement of QoS 2") == "docs/protocol.md §3.4"


def test_an_unknown_puback_is_ignored(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(packet(0x40, b"\0\1"), PINGREQ)
        assert wire.receive().type == 13


def test_unsubscribe_is_acknowledged_also_without_subscription(provisioned):
    with provisioned.on_hub() as wire:
        wire.send(packet(0xA2, b"\0\x09" + text("$iothub/methods/POST/#")))
        assert wire.receive() == (11, 0, b"\0\x09")


def test_a_connect_that_never_comes_is_not_waited_for(start):
    with start(limits=Limits(connect_s=0.1)) as bench, bench.wire() as wire:
        assert wire.closed()
        assert bench.reason("dropped", "no CONNECT came within 0.1 s") == "MQTT 3.1.1 §3.1.4"


def test_a_connect_that_drips_in_is_not_waited_for(start):
    with start(limits=Limits(connect_s=0.1)) as bench, bench.wire() as wire:
        wire.send(b"\x10\x7f\x00")  # the beginning of a packet of 127 bytes
        assert wire.closed()
        assert bench.reason("dropped", "no CONNECT came")


def test_a_connect_larger_than_any_real_one_is_not_read(bench):
    with bench.wire() as wire:
        wire.send(b"\x10\xff\xff\x7f")
        assert wire.closed()
    assert bench.reason("dropped", "a packet of 2097151 bytes") == "docs/protocol.md §3.9"


def test_answers_to_one_chunk_come_in_order(provisioned):
    """The C# SDK wants PUBACKs in publish order (docs/protocol.md §3.4)."""
    topic = "devices/mydevice001/messages/events/"
    with provisioned.on_hub() as wire:
        wire.send(
            *(publish(topic, b"x", packet_id=number) for number in (9, 3, 7)),
            PINGREQ,
            subscribe("$iothub/methods/POST/#"),
        )
        answers = [wire.receive() for _ in range(5)]
    assert [answer.type for answer in answers] == [4, 4, 4, 13, 9]
    assert [answer.body[1] for answer in answers[:3]] == [9, 3, 7]


def test_a_client_that_says_goodbye_is_disconnected(bench):
    with bench.wire() as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        wire.send(DISCONNECT)
        assert wire.closed()
    bench.reason("disconnected", "DISCONNECT (DPS 0ne00000000)")


def test_a_client_that_just_goes_is_noticed(bench):
    with bench.wire() as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
    bench.reason("disconnected", "without DISCONNECT")


@pytest.mark.parametrize("username", [None, "", "0ne00000000", "nonsense", "/", "a//b", "0ne00000000/registrations"])
def test_a_username_of_neither_service_is_refused(bench, username):
    with bench.wire() as wire:
        wire.send(connect("mydevice001", username))
        assert wire.receive() == (2, 0, b"\0\5")
        assert wire.closed()
    assert bench.reason("refused", "CONNACK 5") == "docs/protocol.md §3.1"


def test_a_long_name_is_told_in_short(bench):
    with bench.wire() as wire:
        wire.send(connect("c" * 60_000, "u" * 10_000))
        assert wire.receive() == (2, 0, b"\0\5")
    event = bench.emulator.events.wait_for(lambda e: e.kind == "refused")
    assert len(event.device_id) == 501
    assert len(event.text) < 600


def test_the_emulators_own_failure_is_called_that(provisioned):
    provisioned.emulator.registry.close()
    with provisioned.wire(provisioned.certificates.device) as wire:
        wire.send(connect("mydevice001", hub_username("mydevice001")))
        assert wire.closed()
    assert provisioned.reason("dropped", "the emulator itself failed: ProgrammingError") == ""
