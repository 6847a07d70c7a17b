"""Pins that an MQTT client nobody here wrote (paho-mqtt) gets along with the emulator: DPS by hand, telemetry, and each
way of being refused as a program on paho sees it."""

import json
import queue
import socket
import ssl

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from .mqtt_wire import POLL, REGISTER, RESPONSES, dps_username, hub_username, tls_context

ID = "mydevice001"
EVENTS = f"devices/{ID}/messages/events/"
NOT_AUTHORIZED = 135  # paho reports MQTT 5's numbers, also for MQTT 3.1.1's CONNACK 5
UNSUPPORTED_VERSION = 132  # and for 1
CONNECTION_LOST = 128  # the server closed without a word
TIMEOUT_S = 10


class Bare:
    """A paho client; what it is told stands in queues.

    connack: (reason code, session present).  suback: lists of granted QoS.  messages: (topic, payload, QoS).
    published: packet ids that were acknowledged.  disconnected: reason codes.
    """

    def __init__(self, bench, username, credential=None, *, protocol=mqtt.MQTTv311, clean=False, will=None):
        self.connack, self.suback, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.published, self.disconnected, self.log = queue.Queue(), queue.Queue(), queue.Queue()
        options = {} if protocol == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, ID, protocol=protocol, reconnect_on_failure=False, **options
        )
        client.username_pw_set(username)
        if will is not None:
            client.will_set(*will)
        context = tls_context(bench.emulator.ca_path, credential)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client.tls_set_context(context)
        client.on_connect = lambda _, __, flags, code, ___: self.connack.put((code.value, flags.session_present))
        client.on_subscribe = lambda _, __, ___, codes, ____: self.suback.put([code.value for code in codes])
        client.on_message = lambda _, __, message: self.messages.put((message.topic, message.payload, message.qos))
        client.on_publish = lambda _, __, packet_id, ___, ____: self.published.put(packet_id)
        client.on_disconnect = lambda _, __, ___, code, ____: self.disconnected.put(code.value)
        client.on_log = lambda _, __, ___, text: self.log.put(text)
        self.port = bench.emulator.mqtt_port

    def connect(self, keep_alive_s=60):
        """(reason code, session present) of the CONNACK."""
        self.client.connect("localhost", self.port, keep_alive_s)
        self.client.loop_start()
        return self.connack.get(timeout=TIMEOUT_S)

    def subscribe(self, *filters, qos=1):
        """The granted QoS of each."""
        self.client.subscribe([(one, qos) for one in filters])
        return self.suback.get(timeout=TIMEOUT_S)

    def send(self, topic, payload=b"", qos=1):
        """Publish; returns when the emulator has acknowledged it."""
        info = self.client.publish(topic, payload, qos)
        info.wait_for_publish(TIMEOUT_S)
        assert info.is_published()

    def request(self, topic, payload=b""):
        """Publish to DPS; (topic, JSON) of its answer."""
        self.send(topic, payload)
        topic, payload, qos = self.messages.get(timeout=TIMEOUT_S)
        assert qos == 1
        return topic, json.loads(payload)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def paho(bench):
    """Make a client; all are stopped in the end."""
    made = []

    def make(username, credential=bench.certificates.device, **options):
        made.append(Bare(bench, username, credential, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def on_hub(provisioned, paho):
    """A client that the hub has let in."""
    client = paho(hub_username(ID))
    assert client.connect() == (0, False)
    return client


def telemetry(bench, payload):
    """The detail of the message with this payload, when it has arrived."""
    return bench.emulator.events.wait_for(lambda e: e.kind == "telemetry" and e.detail["payload"] == payload).detail


# What works.


def test_from_dps_to_telemetry_by_hand(bench, paho):
    dps = paho(dps_username(ID))
    assert dps.connect() == (0, False)
    assert dps.subscribe(RESPONSES) == [1]
    topic, answer = dps.request(REGISTER, json.dumps({"registrationId": ID}))
    assert (topic, answer["status"]) == ("$dps/registrations/res/202/?$rid=1&retry-after=1", "assigning")
    topic, answer = dps.request(POLL.format(rid=2, operation_id=answer["operationId"]))
    assert (topic, answer["status"]) == ("$dps/registrations/res/200/?$rid=2", "assigned")
    state = answer["registrationState"]
    dps.stop()

    hub = paho(hub_username(state["deviceId"], state["assignedHub"]))
    assert hub.connect() == (0, False)
    hub.send(EVENTS + "%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true&%C3%BC%20%26=a%3D1", '{"t": 31.5}')
    detail = telemetry(bench, '{"t": 31.5}')
    assert detail["properties"] == {"temperatureAlert": "true", "ü &": "a=1"}
    assert (detail["system"]["$.ct"], detail["system"]["$.ce"]) == ("application/json", "utf-8")


def test_a_hundred_messages_of_each_qos(on_hub, provisioned):
    sent = [on_hub.client.publish(f"{EVENTS}n={number}", str(number), qos=number % 2) for number in range(200)]
    sent[-1].wait_for_publish(TIMEOUT_S)
    assert sent[-1].is_published()
    telemetry(provisioned, "199")
    events = provisioned.emulator.events.recent(limit=1000)
    arrived = [int(event.detail["payload"]) for event in events if event.kind == "telemetry"]
    assert [n for n in arrived if n % 2] == list(range(1, 200, 2)), "QoS 1 in order"
    assert sorted(arrived) == list(range(200))


def test_a_session_is_found_again(on_hub, paho):
    on_hub.stop()
    assert on_hub.disconnected.get(timeout=TIMEOUT_S) == 0
    again = paho(hub_username(ID))
    assert again.connect() == (0, True)
    again.stop()
    clean = paho(hub_username(ID), clean=True)
    assert clean.connect() == (0, False)


def test_pahos_pings_keep_it_connected(provisioned, paho):
    client = paho(hub_username(ID))
    assert client.connect(keep_alive_s=1) == (0, False)
    while client.log.get(timeout=TIMEOUT_S) != "Received PINGRESP":
        pass
    client.send(EVENTS, b"still here")
    assert client.disconnected.empty()


def test_a_will_comes_when_the_client_is_cut_off(provisioned, paho):
    client = paho(hub_username(ID), will=(EVENTS + "why=gone", "cut off", 1))
    assert client.connect() == (0, False)
    client.client.socket().shutdown(socket.SHUT_RDWR)
    detail = telemetry(provisioned, "cut off")
    assert detail["properties"] == {"iothub-MessageType": "Will", "why": "gone"}


def test_the_newer_of_two_clients_of_one_id_stays(on_hub, paho):
    newer = paho(hub_username(ID))
    assert newer.connect() == (0, True)
    assert on_hub.disconnected.get(timeout=TIMEOUT_S) == CONNECTION_LOST
    newer.send(EVENTS, b"from the newer")


# What is refused in CONNACK.


def test_another_devices_certificate(provisioned, paho):
    client = paho(hub_username(ID), provisioned.certificates.other)
    assert client.connect() == (NOT_AUTHORIZED, False)
    assert client.disconnected.get(timeout=TIMEOUT_S) == CONNECTION_LOST


def test_no_certificate(provisioned, paho):
    assert paho(hub_username(ID), None).connect() == (NOT_AUTHORIZED, False)


def test_a_device_that_is_not_registered(bench, paho):
    assert paho(hub_username(ID)).connect() == (NOT_AUTHORIZED, False)


@pytest.mark.parametrize("protocol", [mqtt.MQTTv31, mqtt.MQTTv5])
def test_another_version_of_mqtt(provisioned, paho, protocol):
    client = paho(hub_username(ID), protocol=protocol)
    assert client.connect() == (UNSUPPORTED_VERSION, False)
    assert provisioned.reason("refused", "MQTT protocol level") == "docs/protocol.md §1.2"


# What DPS refuses in its answer.


@pytest.mark.parametrize(
    ("credential", "id_scope", "body", "status", "code"),
    [
        ("other", "0ne00000000", "", 401, 401002),
        (None, "0ne00000000", "", 401, 401002),
        ("device", "0ne11111111", "", 401, 401002),
        ("device", "0ne00000000", "no JSON", 400, 400004),
        ("device", "0ne00000000", '{"registrationId": "somebody-else"}', 400, 400004),
    ],
)
def test_a_registration_that_dps_refuses(bench, paho, credential, id_scope, body, status, code):
    client = paho(dps_username(ID, id_scope), credential and getattr(bench.certificates, credential))
    assert client.connect() == (0, False), "DPS refuses in its answer, never in CONNACK"
    client.subscribe(RESPONSES)
    topic, answer = client.request(REGISTER, body)
    assert topic == f"$dps/registrations/res/{status}/?$rid=1"
    assert answer["errorCode"] == code


# What closes the connection without a word.


@pytest.mark.parametrize(
    ("topic", "qos", "size", "section"),
    [
        pytest.param("devices/mydevice002/messages/events/", 1, 1, "§3.9", id="another device's topic"),
        pytest.param("telemetry", 1, 1, "§3.9", id="a topic of one's own"),
        pytest.param("$iothub/twin/PATCH/properties/desired/", 1, 1, "§3.9", id="a topic of the service"),
        pytest.param(EVENTS, 2, 1, "§3.4", id="QoS 2"),
        pytest.param(EVENTS, 1, 256 * 1024 + 1, "§3.5", id="a message too long"),
    ],
)
def test_a_publish_that_is_not_allowed(on_hub, provisioned, topic, qos, size, section):
    on_hub.client.publish(topic, b"x" * size, qos)
    assert on_hub.disconnected.get(timeout=TIMEOUT_S) == CONNECTION_LOST
    assert on_hub.published.empty()
    event = provisioned.emulator.events.wait_for(lambda e: e.kind == "dropped")
    assert section in event.section, event.text


@pytest.mark.parametrize("topic_filter", ["#", "devices/mydevice002/messages/devicebound/#", EVENTS + "#"])
def test_a_subscription_that_is_not_allowed(on_hub, provisioned, topic_filter):
    on_hub.client.subscribe(topic_filter, 1)
    assert on_hub.disconnected.get(timeout=TIMEOUT_S) == CONNECTION_LOST
    assert on_hub.suback.empty()
    assert provisioned.reason("dropped", "SUBSCRIBE") == "docs/protocol.md §3.9"


def test_qos_2_is_granted_as_qos_1(on_hub):
    filters = ["$iothub/methods/POST/#", f"devices/{ID}/messages/devicebound/#"]
    assert on_hub.subscribe(*filters, qos=2) == [1, 1]
