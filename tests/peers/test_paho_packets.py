"""Our packets and paho-mqtt's, byte for byte, for the same calls; and each side reads what the other writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from azureiot.session import Session
from emulator.test_golden_python_sdk import DPS, HUB
from fakes import Clock, FakeLink, Recorder, connack, puback
from paho_pair import PahoPair, listening

SIZES = (0, 1, 127, 128, 16383, 16384, 70000)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1, max_size=200)
PAYLOADS = st.binary(max_size=300) | st.sampled_from(SIZES).map(lambda size: (bytes(range(256)) * 274)[:size])


@pytest.fixture(scope="module")
def listener() -> Iterator:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def pair(listener) -> Iterator[PahoPair]:
    """paho, connected."""
    pair = PahoPair(listener)
    pair.client.max_inflight_messages_set(0)  # no limit
    pair.connect()
    pair.accept()
    yield pair
    pair.close()


class Ours:
    """Our session over a link whose other end is the test."""

    def __init__(self, **options) -> None:
        self.clock = Clock()
        self.link = FakeLink()
        self.handler = Recorder()
        self.session = Session(self.link, self.handler, self.clock, max_packet_bytes=1 << 20, **options)

    def connected(self) -> Ours:
        self.session.connect(b"dev")
        self.session.step()
        self.receive(connack())
        self.written()
        self.handler.events.clear()
        return self

    def written(self) -> bytes:
        """What it has sent since the last call."""
        data, self.link.sent = bytes(self.link.sent), bytearray()
        return data

    def receive(self, data: bytes) -> list:
        """Let it read; what its handler was told."""
        self.link.feed(data)
        while self.link._incoming:
            self.session.step()
        events, self.handler.events = self.handler.events, []
        return events


# What both write.


@given(
    TEXTS.filter(bool), st.none() | st.tuples(TEXTS, st.none() | TEXTS), st.integers(0, 0xFFFF) | st.sampled_from([240])
)
@example("dev1", ("hub/dev1/?api-version=2021-04-12", None), 240)
@example("d" * 65535, ("u" * 65535, "p" * 65535), 65535)
def test_connect(listener, client_id, credentials, keep_alive_s):
    pair = PahoPair(listener, client_id)
    username, password = credentials or (None, None)
    if username is not None:
        pair.client.username_pw_set(username, password)
    theirs = pair.connect(keep_alive_s)
    pair.close()
    ours = Ours(keep_alive_s=keep_alive_s)
    ours.session.connect(
        client_id.encode(), *(None if text is None else text.encode() for text in (username, password))
    )
    ours.session.step()
    assert ours.written() == theirs


def same_publish(pair: PahoPair, topic: str, payload: bytes, qos: int) -> None:
    info = pair.client.publish(topic, payload, qos)
    theirs = pair.read()
    ours = Ours().connected()
    ours.session.last_packet_id = info.mid - 1
    ours.session.publish(topic.encode(), payload, ours.session.next_packet_id() if qos else 0)
    assert ours.written() == theirs
    if qos:
        pair.answer(puback(info.mid), info.is_published)


@given(TOPICS, st.binary(max_size=300), st.sampled_from([0, 1]))
@example("t" * 65535, b"", 1)
def test_publish(pair, topic, payload, qos):
    same_publish(pair, topic, payload, qos)


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", SIZES)
def test_publish_at_the_borders_of_the_length(pair, size, qos):
    """The length field grows by a byte at each: as payload, and as what the field itself counts."""
    same_publish(pair, "t", b"x" * size, qos)
    same_publish(pair, "t", b"x" * max(0, size - 3 - 2 * qos), qos)


@given(TOPICS, st.sampled_from(["", "/#", "/+", "/+/x/#"]))
def test_subscribe(pair, topic, ending):
    topic_filter = topic + ending
    _, packet_id = pair.client.subscribe(topic_filter, 1)
    theirs = pair.read()
    ours = Ours().connected()
    ours.session.last_packet_id = (packet_id or 0) - 1
    ours.session.subscribe(topic_filter.encode())
    assert ours.written() == theirs


def test_a_publish_that_comes_again_is_marked_as_duplicate(listener):
    pair = PahoPair(listener)
    pair.connect()
    pair.accept()
    info = pair.client.publish("devices/dev/messages/events/", b"x", 1)
    pair.read()
    pair.connect()
    pair.accept(session_present=True)
    theirs = pair.read()
    pair.close()
    ours = Ours().connected()
    ours.session.publish(b"devices/dev/messages/events/", b"x", info.mid, duplicate=True)
    assert ours.written() == theirs


def test_pingreq_and_disconnect(listener, monkeypatch):
    pair = PahoPair(listener)
    pair.connect(keep_alive_s=30)
    pair.accept()
    ours = Ours(keep_alive_s=30).connected()
    now = mqtt.time_func()
    monkeypatch.setattr(mqtt, "time_func", lambda: now + 31)
    ours.clock.now_ms += 31_000
    pair.client.loop_misc()
    ours.session.step()
    assert ours.written() == pair.read()
    pair.client.disconnect()
    ours.session.close()
    assert ours.written() == pair.read()
    pair.close()


# What each reads of the other.


@given(TOPICS, PAYLOADS, st.integers(0, 0xFFFF))
def test_paho_reads_our_publish_and_we_its_puback(pair, topic, payload, packet_id):
    ours = Ours().connected()
    ours.session.publish(topic.encode(), payload, packet_id)
    read = []
    pair.client.on_message = lambda client, data, message: read.append(message)
    pair.answer(ours.written(), lambda: read)
    assert [(one.topic, one.payload, one.qos, one.dup) for one in read] == [(topic, payload, int(packet_id > 0), False)]
    if packet_id:
        theirs = pair.read()
        assert ours.receive(theirs) == [("acknowledged", packet_id)]
        ours.session.acknowledge(packet_id)
        ours.session.step()
        assert ours.written() == theirs, "the same PUBACK"


@given(st.lists(st.tuples(TOPICS, PAYLOADS, st.sampled_from([0, 1])), min_size=1, max_size=5), st.data())
def test_we_read_what_paho_publishes_however_it_is_cut(pair, messages, data):
    stream, expected = b"", []
    for topic, payload, qos in messages:
        info = pair.client.publish(topic, payload, qos)
        stream += pair.read()
        expected.append(("message", topic, payload, info.mid if qos else 0))
        if qos:
            pair.answer(puback(info.mid), info.is_published)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ours = Ours().connected()
    read = [
        event
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for event in ours.receive(stream[start:end])
    ]
    assert read == expected


def test_we_read_what_microsofts_sdk_publishes():
    """The recorded register request and telemetry: a PUBLISH looks the same in both directions."""
    ours = Ours().connected()
    stream = b"".join(map(base64.b64decode, [DPS[2], *HUB[1:]]))
    register, *telemetry = ours.receive(stream)
    assert register[1].startswith("$dps/registrations/PUT/iotdps-register/?$rid=")
    assert json.loads(register[2])["registrationId"] == "pydev"
    assert [event[1].startswith("devices/pydev/messages/events/") for event in telemetry] == [True, True]
    assert json.loads(telemetry[0][2])["temperature"] == 21.5
    assert [event[3] for event in (register, *telemetry)] == [2, 1, 2], "packet ids"
