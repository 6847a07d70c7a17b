"""A server that sends anything at all, at any moment of a device's life: the engine raises AzureIoTError or goes on."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

import fakes
from azureiot import AzureIoTError
from azureiot.device import ONLINE, PROVISIONING
from test_device import World

from .streams import SENT, streams, thorough

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
ANSWERS = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"status": st.sampled_from(["assigned", "assigning", "failed", "disabled", "", 7]) | JSON},
        optional={
            "operationId": JSON,
            "errorCode": JSON,
            "message": JSON,
            "registrationState": JSON
            | st.fixed_dictionaries(
                {}, optional={"assignedHub": JSON, "deviceId": JSON, "errorCode": JSON, "errorMessage": JSON}
            ),
        },
    ).map(lambda value: json.dumps(value).encode()),
)
DPS_TOPICS = st.builds(
    "$dps/registrations/res/{}/?$rid={}{}".format,
    st.integers(-1, 600) | st.text(max_size=4),
    st.integers(0, 3),
    st.sampled_from(["", "&retry-after=0", "&retry-after=-1", "&retry-after=1e9", "&retry-after", "&&=&", "&$rid=1"]),
).filter(lambda topic: "\0" not in topic)
DPS_PACKETS = st.builds(fakes.publish, DPS_TOPICS, ANSWERS, st.integers(0, 0xFFFF))
STREAMS = streams(SENT.map(lambda sent: sent.data) | DPS_PACKETS)


def play(world: World, pieces: list[bytes]) -> None:
    """Feed each piece; a refused device is started again, as a program does."""
    refusals = []
    for piece in pieces:
        try:
            world.step(piece)
        except AzureIoTError as raised:
            refusals.append(raised)
            world.engine.start()
        assert world.engine.timeout_ms() >= 0
        world.clock.now_ms += 1000
    for error in refusals:
        assert error.code != ""
        assert error.message.endswith(".")
        assert error.message in str(error)


@thorough
@given(st.lists(DPS_PACKETS | STREAMS, max_size=6))
@example([fakes.publish("$dps/registrations/res/200/?$rid=1", b"[" * 100_000, 1)])
@example([fakes.publish("$dps/registrations/res/200/?$rid=1", b"1" * 5000, 1)])
@example([fakes.publish("$dps/registrations/res/400/?$rid=1", b'{"message": NaN, "errorCode": 1e999}', 1)])
@example([fakes.publish("$dps/registrations/res/" + "9" * 5000 + "/?$rid=1&retry-after=" + "9" * 5000, b"", 1)])
def test_dps(pieces):
    world = World()
    world.engine.start()
    world.step(fakes.connack())
    world.step(fakes.suback(1))
    assert world.engine.phase == PROVISIONING
    play(world, pieces)


@thorough
@given(st.lists(STREAMS, max_size=6))
def test_the_hub(pieces):
    world = World()
    world.online()
    for number in range(20):
        world.engine.queue({"number": number})
    world.step()
    assert world.engine.phase == ONLINE
    play(world, pieces)


@given(st.lists(STREAMS, max_size=4))
def test_instead_of_connack(pieces):
    world = World()
    world.engine.start()
    play(world, pieces)
