"""Pins that no sequence of packets, well-formed or not, makes the emulator itself fail, and that each end has a reason.

The connection, DPS and the hub are the real ones; only TCP and TLS are left out.
"""

import asyncio
import hashlib
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from azureiot_tools.emulator.dps.allocation import Allocator
from azureiot_tools.emulator.dps.assignment import Assignments
from azureiot_tools.emulator.dps.mqtt import Dps, is_username
from azureiot_tools.emulator.dps.provisioning import DpsRules, Provisioning
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.mqtt.connection import Connection, Limits
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import SasRules
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.timers import Timers
from azureiot_tools.emulator.twins import Twins

from .mqtt_wire import (
    DISCONNECT,
    PINGREQ,
    POLL,
    REGISTER,
    RESPONSES,
    connect,
    dps_username,
    hub_username,
    packet,
    publish,
    subscribe,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LEAF = b"not a certificate at all"
TEXT = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), max_size=30)
TOPICS = st.one_of(
    st.sampled_from([REGISTER, POLL.format(rid=1, operation_id="x"), "devices/dev/messages/events/"]),
    TEXT.map("devices/dev/messages/events/".__add__),
    TEXT.map(REGISTER.__add__),
    TEXT.map("$iothub/".__add__),
    TEXT,
)
CONNECTS = st.one_of(
    st.just(connect("dev", dps_username("dev"))),
    st.just(connect("dev", hub_username("dev"), clean=False)),
    st.builds(
        connect,
        TEXT,
        TEXT | st.just(hub_username("dev")) | TEXT.map(dps_username),
        clean=st.booleans(),
        password=st.none() | st.binary(max_size=9),
        will=st.none() | st.tuples(TOPICS, st.binary(max_size=9)),
    ),
)
PACKETS = st.one_of(
    st.builds(
        publish,
        TOPICS,
        st.binary(max_size=60) | st.just(b'{"registrationId":"dev"}'),
        st.integers(0, 2),
        st.integers(0, 9),
        st.booleans(),
    ),
    st.builds(subscribe, st.sampled_from([RESPONSES, "$iothub/methods/POST/#", "$iothub/twin/res/#"]) | TEXT),
    st.sampled_from([PINGREQ, DISCONNECT, packet(0x40, b"\0\1"), packet(0xA2, b"\0\1\0\1a")]),
    st.binary(max_size=20),
    CONNECTS,
)


class Transport:
    """Takes what is written, until it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name):
        return Peer("127.0.0.1:1", (LEAF,), None, "TLSv1.2") if name == "peer" else None

    def write(self, data):
        assert not self.closed
        self.written += data

    def close(self):
        self.closed = True


async def converse(chunks):
    """Feed the chunks to a new emulator's connection; returns (open before the end, events, faults of its own)."""
    loop = asyncio.get_running_loop()
    faults = []
    loop.set_exception_handler(lambda _loop, context: faults.append(context))
    registry, events = Registry(None, lambda: NOW), Events(lambda: NOW)
    thumbprint = hashlib.sha256(LEAF).hexdigest().upper()
    registry.put_device(DeviceIdentity("localhost", "dev", "1", True, (thumbprint,), NOW, NOW))
    telemetry, identities = TelemetryLog(registry, events), Identities(registry, lambda: NOW)
    twins = Twins(registry, events, lambda: NOW)
    assignments = Assignments(
        registry, identities, twins, events, lambda: NOW, Allocator(("localhost",), {}, allocate=None)
    )
    dps = Dps(Provisioning(registry, assignments, events, lambda: NOW, "0ne00000000", DpsRules()), events)
    timers = Timers(lambda: NOW)
    hub = Hub("localhost", registry, identities, twins, events, telemetry, timers, SasRules())
    transport = Transport()
    connection = Connection(
        lambda _, asked: dps if is_username(asked.username or "") else hub, events.publish, Limits()
    )
    connection.connection_made(transport)  # type: ignore[arg-type]
    for chunk in chunks:
        connection.data_received(chunk)
    open_before = not transport.closed
    connection.connection_lost(None)
    telemetry.flush()
    registry.close()
    assert transport.closed
    return open_before, events.recent(limit=1000), faults


@settings(max_examples=3 * settings().max_examples)
@given(st.lists(PACKETS, max_size=8), CONNECTS | st.binary(max_size=30), st.integers(1, 50))
def test_nothing_a_client_sends_makes_the_emulator_fail(packets, first, chunk_bytes):
    stream = first + b"".join(packets)
    chunks = [stream[start : start + chunk_bytes] for start in range(0, len(stream), chunk_bytes)]
    open_before, events, faults = asyncio.run(converse(chunks))
    assert faults == []
    ends = [event for event in events if event.kind in ("dropped", "disconnected") or "CONNACK" in event.text]
    assert len(ends) == 1, "every connection ends with exactly one event"
    assert open_before or ends[0].kind == "disconnected" or "§" in ends[0].section, "a drop cites its rule"


def test_the_fuzzed_conversation_can_reach_telemetry():
    chunks = [connect("dev", hub_username("dev")), publish("devices/dev/messages/events/a=1", b"x")]
    open_before, events, faults = asyncio.run(converse(chunks))
    assert (open_before, faults) == (True, [])
    assert [event.kind for event in events] == ["connected", "telemetry", "disconnected"]
