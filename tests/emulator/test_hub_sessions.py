"""Pins what a session outlives: session present, take-over, keep-alive, a client that does not read."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime

from azureiot_tools.emulator.dps.mqtt import Dps
from azureiot_tools.emulator.dps.provisioning import DpsRules, Provisioning
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.mqtt.connection import Connection, Limits
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.registry import Registry

from .mqtt_wire import (
    DISCONNECT,
    PINGREQ,
    POLL,
    RESPONSES,
    connect,
    dps_username,
    hub_username,
    publish,
    subscribe,
    unsubscribe,
)

EVENTS = "devices/mydevice001/messages/events/"


def test_session_present_follows_clean_session(provisioned):
    def session_present(clean):
        with provisioned.wire(provisioned.certificates.device) as wire:
            present, code = wire.connack("mydevice001", hub_username("mydevice001"), clean=clean)
            wire.send(DISCONNECT)
            assert wire.closed()
        assert code == 0
        return present

    answers = [session_present(clean) for clean in (False, False, True, False, False)]
    assert answers == [False, True, False, False, True]


def test_a_kept_session_keeps_its_subscriptions(provisioned):
    five = [
        "$iothub/methods/POST/#",
        "$iothub/twin/res/#",
        "$iothub/twin/PATCH/properties/desired/#",
        "$iothub/credentials/res/#",
        "devices/mydevice001/messages/devicebound/#",
    ]
    with provisioned.on_hub(clean=False) as wire:
        wire.send(subscribe(*five))
        assert wire.receive().type == 9
    with provisioned.wire(provisioned.certificates.device) as wire:
        assert wire.connack("mydevice001", hub_username("mydevice001"), clean=False) == (True, 0)
        wire.send(subscribe("$iothub/methods/#"))
        assert wire.closed(), "the five of before count"
    provisioned.reason("dropped", "more than 5 subscriptions")


def test_the_newer_connection_takes_over(provisioned):
    with provisioned.on_hub(clean=False) as first, provisioned.on_hub(clean=False) as second:
        assert first.closed()
        second.send(publish(EVENTS, b"from the second"))
        assert second.receive().type == 4
    assert (
        provisioned.reason("dropped", "another connection of the same client took over (400027)")
        == "docs/protocol.md §3.9"
    )


def test_a_take_over_without_session_leaves_the_newer_one_whole(provisioned):
    with provisioned.on_hub() as first, provisioned.on_hub() as second:
        assert first.closed()
        second.send(PINGREQ)
        assert second.receive().type == 13
        with provisioned.on_hub() as third:
            assert second.closed()
            third.send(PINGREQ)
            assert third.receive().type == 13


def test_a_refused_connection_takes_nothing_over(provisioned):
    with provisioned.on_hub() as first:
        with provisioned.wire(provisioned.certificates.other) as stranger:
            assert stranger.open("mydevice001", hub_username("mydevice001")) == 5
        first.send(PINGREQ)
        assert first.receive().type == 13


def test_dps_and_hub_do_not_take_over_from_each_other(provisioned):
    with provisioned.on_hub() as on_hub, provisioned.wire() as on_dps:
        assert on_dps.open("mydevice001", dps_username("mydevice001")) == 0
        on_hub.send(PINGREQ)
        assert on_hub.receive().type == 13


def test_silence_beyond_the_keep_alive_is_dropped(start):
    with start(limits=Limits(keep_alive_factor=0.1)) as bench:
        bench.provision()
        with bench.on_hub(keep_alive_s=1) as wire:
            assert wire.closed()
        assert bench.reason("dropped", "nothing came for 0.1 s") == "docs/protocol.md §3.3"


def test_silence_without_keep_alive_is_dropped_at_the_maximum(start):
    with start(limits=Limits(keep_alive_max_s=0.1)) as bench:
        bench.provision()
        for keep_alive_s in (0, 65535):
            with bench.on_hub(keep_alive_s=keep_alive_s) as wire:
                assert wire.closed()
        assert bench.reason("dropped", "nothing came for 0.1 s") == "docs/protocol.md §3.3"


def test_any_packet_keeps_alive(start):
    with start(limits=Limits(keep_alive_factor=0.5)) as bench:
        bench.provision()
        with bench.on_hub(keep_alive_s=2) as wire:
            wire.socket.settimeout(0.1)
            for _ in range(12):  # 1.2 s in all, where 1 s of silence is allowed and never more than 0.1 s kept
                wire.send(publish(EVENTS, b"x"))
                assert wire.receive().type == 4
                try:
                    wire.receive()
                except TimeoutError:
                    continue
                raise AssertionError("nothing else was to come")


def test_bytes_that_complete_no_packet_keep_nothing_alive(start):
    """MQTT 3.1.1 §3.1.2.10 counts packets; a byte now and then inside one PUBLISH held a connection for ever."""
    with start(limits=Limits(keep_alive_factor=0.3)) as bench:
        bench.provision()
        with bench.on_hub(keep_alive_s=1) as wire:
            wire.socket.settimeout(0.05)

            def ended_after(byte):
                try:
                    wire.send(bytes((byte,)))
                    return wire.closed()
                except TimeoutError:
                    return False
                except OSError:
                    return True

            assert any(ended_after(byte) for byte in publish(EVENTS, b"x" * 50)), (
                "5 s of dripping, where 0.3 s are silence"
            )
        assert bench.reason("dropped", "nothing came for 0.3 s") == "docs/protocol.md §3.3"


# A poll whose answer is as long as itself, for DPS echoes $rid: few packets fill the buffers between client and server.
LONG_POLL = publish(POLL.format(rid="r" * 60_000, operation_id="unknown"), qos=0)


@contextmanager
def deaf_client(bench):
    """A client on DPS that has sent until nothing more was taken, and has read nothing: (wire, bytes sent)."""
    with bench.wire(receive_buffer_bytes=4096) as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        wire.send(subscribe(RESPONSES, qos=0))
        assert wire.receive().type == 9
        wire.socket.settimeout(1)
        sent_bytes = 0
        try:
            while sent_bytes < 200_000_000:
                sent_bytes += wire.socket.send(LONG_POLL[sent_bytes % len(LONG_POLL) :])
        except OSError:  # nothing more is taken, or the server has closed
            pass
        yield wire, sent_bytes


def test_the_silence_of_a_client_that_is_not_read_from_is_not_watched(monkeypatch):
    """It was, every 10 ms for as long as the client was slow."""
    looks = []
    check_silence = Connection._check_silence
    monkeypatch.setattr(Connection, "_check_silence", lambda self: looks.append(1) or check_silence(self))

    async def scenario():
        closed = asyncio.Event()
        told = []
        transport = ScriptedTransport(closed)
        events = Events()
        provisioning = Provisioning(Registry(None), None, events, lambda: datetime.now(UTC), "0ne00000000", DpsRules())
        service = Dps(provisioning, events)
        connection = Connection(lambda *_: service, lambda *said: told.append(said[2]), Limits(keep_alive_factor=0.02))
        connection.connection_made(transport)
        connection.data_received(connect("mydevice001", dps_username("mydevice001"), keep_alive_s=1))
        connection.pause_writing()
        await asyncio.sleep(0.2)  # ten times what the client may be silent
        assert (len(looks), closed.is_set()) == (2, False), "at CONNECT, and once when the time was up"
        connection.resume_writing()
        await asyncio.wait_for(closed.wait(), 5)
        assert told[-1].startswith("nothing came for 0.02 s")

    asyncio.run(scenario())


class ScriptedTransport:
    def __init__(self, closed):
        self.closed = closed

    def get_extra_info(self, _):
        return Peer("127.0.0.1:1")

    def write(self, _):
        pass

    pause_reading = resume_reading = lambda self: None

    def close(self):
        self.closed.set()


def test_a_client_that_does_not_read_is_not_read_from_and_then_dropped(start):
    with start(limits=Limits(slow_reader_s=0.3)) as bench, deaf_client(bench) as (_, sent_bytes):
        assert sent_bytes < 50_000_000, "the server took everything: its answers grow without bound"
        assert bench.reason("dropped", "the client has read nothing for 0.3 s") == ""


def test_a_client_that_reads_again_in_time_is_served_on(bench):
    with deaf_client(bench) as (wire, sent_bytes):
        wire.socket.settimeout(10)
        complete, begun = divmod(sent_bytes, len(LONG_POLL))
        assert complete > 10
        assert all("/res/404/" in wire.receive().topic for _ in range(complete))
        if begun:
            wire.send(LONG_POLL[begun:])
            assert "/res/404/" in wire.receive().topic
        wire.send(PINGREQ)
        assert wire.receive().type == 13


def test_a_kept_session_outlives_the_emulator(start, tmp_path):
    """The Python SDK does not subscribe again: after a restart of the emulator it heard nothing more."""
    with start(data=tmp_path) as bench:
        bench.provision()
        with bench.on_hub(clean=False) as wire:
            wire.send(subscribe("$iothub/twin/res/#", "$iothub/methods/POST/#"), unsubscribe("$iothub/methods/POST/#"))
            assert [wire.receive().type for _ in range(2)] == [9, 11]
    with start(data=tmp_path) as bench:
        with bench.wire(bench.certificates.device) as wire:
            assert wire.connack("mydevice001", hub_username("mydevice001"), clean=False) == (True, 0)
            wire.send(publish("$iothub/twin/GET/?$rid=1", qos=0))
            assert (
                wire.receive().topic,
                bench.emulator.registry.session("localhost", "mydevice001").subscriptions,
            ) == ("$iothub/twin/res/200/?$rid=1", {"$iothub/twin/res/#": 1})
        with bench.on_hub(clean=True):
            pass
    with start(data=tmp_path) as bench, bench.wire(bench.certificates.device) as wire:
        assert wire.connack("mydevice001", hub_username("mydevice001"), clean=False) == (False, 0)
