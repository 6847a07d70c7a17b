"""Pins that an MQTT client nobody here wrote (paho-mqtt) gets along with the emulator: connect, publish, refusal."""

import queue
import ssl

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from .mqtt_wire import hub_username, tls_context


@pytest.fixture
def client(provisioned):
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "mydevice001", protocol=mqtt.MQTTv311, clean_session=False)
    client.username_pw_set(hub_username("mydevice001"))
    yield client
    client.disconnect()
    client.loop_stop()


def connack(client, bench, credential):
    """Connect; returns the return code, as paho translates it."""
    answers = queue.Queue()
    client.on_connect = lambda _client, _userdata, _flags, reason_code, _properties: answers.put(reason_code.value)
    context = tls_context(bench.emulator.ca_path, credential)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client.tls_set_context(context)
    client.connect("localhost", bench.emulator.mqtt_port, keepalive=5)
    client.loop_start()
    return answers.get(timeout=10)


def test_a_hundred_messages_of_each_qos(client, provisioned):
    assert connack(client, provisioned, provisioned.certificates.device) == 0
    sent = [
        client.publish(f"devices/mydevice001/messages/events/n={number}", str(number), qos=number % 2)
        for number in range(200)
    ]
    sent[-1].wait_for_publish(10)
    assert sent[-1].is_published()
    provisioned.emulator.events.wait_for(lambda e: e.kind == "telemetry" and e.detail["payload"] == "199")
    events = provisioned.emulator.events.recent(limit=1000)
    arrived = [int(event.detail["payload"]) for event in events if event.kind == "telemetry"]
    assert [n for n in arrived if n % 2] == list(range(1, 200, 2)), "QoS 1 in order"
    assert sorted(arrived) == list(range(200))


def test_a_refusal_is_understood(client, provisioned):
    assert connack(client, provisioned, provisioned.certificates.other) == 135, "MQTT 5's number for 5, Not authorized"
