"""The device library on both runtimes against Eclipse Mosquitto, which asks for its certificate: where the two read
MQTT or TLS differently, devices fail in the field and nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential
from conftest import ROOT
from mosquitto_broker import TIMEOUT_S, Broker, Files, Watcher

ID = "mydevice001"
EVENTS = f"devices/{ID}/messages/events/"


@pytest.fixture(scope="module")
def root() -> Credential:
    return authority.create_root("Plant root")


@pytest.fixture(scope="module")
def issuing(root: Credential) -> Credential:
    return authority.create_intermediate(root, "Plant issuing")


@pytest.fixture
def start_broker(root: Credential, tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start a broker with further lines of mosquitto.conf."""
    started: list[Broker] = []

    def start(*options: str) -> Broker:
        started.append(Broker(tmp_path, root, *options))
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def broker(start_broker: Callable[..., Broker]) -> Broker:
    return start_broker()


@pytest.fixture
def watch() -> Iterator[Callable[[Broker], Watcher]]:
    started: list[Watcher] = []

    def start(broker: Broker) -> Watcher:
        started.append(Watcher(broker))
        return started[-1]

    yield start
    for watcher in started:
        watcher.stop()


class Client:
    """commanded_client.py in a process of its own."""

    def __init__(self, interpreter: str | Path, kind: str, config: Path) -> None:
        here = Path(__file__).parent
        self.process = subprocess.Popen(
            [interpreter, here / "commanded_client.py", kind, config],
            env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def tell(self, name: str, *arguments: Any) -> None:
        """Give a command and do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, *arguments]) + "\n")

    def answered(self) -> dict[str, Any]:
        """The answer to the oldest command that has none."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, name: str, *arguments: Any) -> Any:
        """Give a command that must not fail; its answer."""
        self.tell(name, *arguments)
        answer = self.answered()
        assert "answer" in answer, answer
        return answer["answer"]

    def failure(self, name: str, *arguments: Any) -> dict[str, Any]:
        """Give a command that must fail; how it did."""
        self.tell(name, *arguments)
        answer = self.answered()
        assert "error" in answer, answer
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["cpython", "micropython"])
def start_client(
    request: pytest.FixtureRequest, issuing: Credential, tmp_path: Path
) -> Iterator[Callable[..., Client]]:
    """Start a "device" or a "session"; unless given, its certificate is of an issuing CA under the broker's root."""
    interpreter = sys.executable if request.param == "cpython" else request.getfixturevalue("micropython")
    started: list[Client] = []

    def start(kind: str, broker: Broker, credential: Credential | None = None, **options: Any) -> Client:
        files = Files(tmp_path, "device", credential or authority.issue_device(issuing, ID))
        config = tmp_path / "client.json"
        where = {"host": "localhost", "port": broker.port, "id": ID, "roots": str(broker.ca)}
        pair = {"certificate": str(files.certificate), "key": str(files.key)}
        config.write_text(json.dumps({**where, **pair, "options": options}))
        started.append(Client(interpreter, kind, config))
        return started[-1]

    yield start
    for client in started:
        client.stop()


def numbers(messages: list[mqtt.MQTTMessage]) -> list[int]:
    """The payloads as numbers, each when it came first."""
    return list(dict.fromkeys(int(message.payload) for message in messages if message.topic == EVENTS + "%24.ce=utf-8"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Who is let in.


def test_a_certificate_of_the_registered_ca_is_let_in_and_its_messages_arrive(start_client, broker, watch):
    watcher = watch(broker)
    device = start_client("device", broker)
    device.ask("connect", TIMEOUT_S, False)
    device.ask("send", {"temperature": 21.5}, [["temperatureAlert", "false"], ["ä &", "1=1"]], TIMEOUT_S)
    device.ask("send", "plain", None, TIMEOUT_S)
    first, second = watcher.wait_for(lambda messages: len(messages) == 2)
    bag = "%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=false&%C3%A4%20%26=1%3D1"
    assert (first.topic, json.loads(first.payload), first.qos) == (EVENTS + bag, {"temperature": 21.5}, 1)
    assert (second.topic, second.payload) == (f"{EVENTS}%24.ce=utf-8", b"plain")
    device.ask("close")
    assert broker.wait_for_log(f"Received DISCONNECT from {ID}")
    # mosquitto took the user from the certificate: leaf and intermediate came, and the leaf's key signed.
    assert any(f"as {ID} (p2, c0, k240, u'{ID}')" in line for line in broker.log)


def test_a_certificate_of_another_ca_is_refused_in_words_that_help(start_client, broker):
    stranger = authority.create_root("A stranger")
    device = start_client("device", broker, authority.issue_device(stranger, ID))
    answer = device.failure("connect", TIMEOUT_S, False)
    assert answer["error"] in ("tls-alert", "tls-closed"), "the alert may be lost with the connection"
    assert f"localhost:{broker.port}" in answer["message"]
    assert "certificate" in answer["message"]
    assert not any("as mydevice001" in line for line in broker.log)


def test_a_broker_that_nobody_trusts_sees_no_connect(start_client, broker, tmp_path):
    Files(tmp_path, "ca", authority.create_root("Another root"))  # in the place of the broker's
    device = start_client("device", broker)
    answer = device.failure("connect", TIMEOUT_S, False)
    assert answer["error"] == "tls-untrusted"
    assert "`roots`" in answer["message"]
    assert not any("as mydevice001" in line for line in broker.log)


def test_a_refusal_by_connack(start_client, start_broker):
    broker = start_broker("use_identity_as_username false", "allow_anonymous false", "require_certificate false")
    device = start_client("device", broker)
    answer = device.failure("connect", TIMEOUT_S, True)
    assert (answer["error"], answer["retryable"]) == ("connack-5", False)
    assert "not authorized" in answer["message"]
    assert "enabled" in answer["message"], "and what to do about it"


# Staying connected.


def test_a_restart_of_the_broker_loses_nothing(start_client, broker, watch):
    watcher = watch(broker)
    device = start_client("device", broker, window=8)
    device.ask("connect", TIMEOUT_S, False)
    device.ask("queue", 1, 20)
    assert device.ask("deliver", TIMEOUT_S) == 20
    watcher.wait_for(lambda messages: len(messages) >= 20)
    broker.freeze()
    device.ask("queue", 21, 60)
    device.ask("wait", 0.2)  # a window of messages leaves and is not acknowledged
    assert device.ask("delivered") == 20
    broker.stop()
    device.ask("wait", 0.3)  # refused, as long as it is down
    assert broker.start()
    assert device.ask("deliver", TIMEOUT_S) == 60
    messages = watcher.wait_for(lambda messages: len(numbers(messages)) == 60)
    assert numbers(messages) == list(range(1, 61)), "in the order in which they were queued"


def test_a_broker_killed_in_the_middle_of_the_stream(start_client, broker):
    device = start_client("device", broker)
    device.ask("connect", TIMEOUT_S, False)
    device.ask("queue", 1, 64)
    device.tell("deliver", TIMEOUT_S)
    broker.wait_for_log(f"Received PUBLISH from {ID}", 5)
    broker.process.kill()
    broker.stop()
    assert broker.start()
    assert device.answered() == {"answer": 64}


def test_another_client_of_the_same_id_takes_over_and_is_taken_over(start_client, broker, watch):
    watcher = watch(broker)
    device = start_client("device", broker)
    device.ask("connect", TIMEOUT_S, False)
    other = broker.paho(ID)
    answers: list[bool] = []
    other.on_connect = lambda client, data, flags, *_: answers.append(flags.session_present)
    other.connect("localhost", broker.port)
    while not answers:
        other.loop(timeout=1)
    assert answers == [True], "clean session 0: the session of this id is kept"
    assert any(f"Client {ID} already connected" in line for line in broker.log)
    device.ask("send", "1", None, TIMEOUT_S)
    watcher.wait_for(lambda messages: numbers(messages) == [1])
    while other.loop(timeout=1) == mqtt.MQTT_ERR_SUCCESS:
        pass  # until it learns that it was taken over
    device.ask("send", "2", None, TIMEOUT_S)
    watcher.wait_for(lambda messages: numbers(messages) == [1, 2])


def test_silence_longer_than_the_keep_alive_is_bridged_by_pings(start_client, broker):
    device = start_client("device", broker, keep_alive_s=1)
    device.ask("connect", TIMEOUT_S, False)
    assert device.ask("wait", 2.4) is True, "the broker drops whoever is silent for 1.5 s"
    assert broker.wait_for_log(f"Sending PINGRESP to {ID}", 2)
    assert sum("New client connected" in line for line in broker.log) == 1


# Sizes.


def test_a_message_above_the_brokers_limit_fails_alone(start_client, start_broker, watch):
    broker = start_broker("max_packet_size 20000")
    watcher = watch(broker)
    device = start_client("device", broker)
    device.ask("connect", TIMEOUT_S, False)
    device.ask("send_bytes", 19000, TIMEOUT_S)
    answer = device.failure("send_bytes", 21000, 1)
    assert answer["error"] == "timeout"
    assert "closed the connection" in answer["message"], "the last failure is named"
    device.ask("send", "7", None, TIMEOUT_S)
    messages = watcher.wait_for(lambda messages: numbers(messages[1:]) == [7])
    assert [len(message.payload) for message in messages] == [19000, 1]


SIZES = (0, 1, 100, 127, 128, 3000, 16383, 16384, 70000)


def test_what_mosquitto_sends_is_received_whole_and_acknowledged(start_client, broker, watch):
    """Its SUBACK, its PUBLISH with and without retain and packet id, in packets of every length of length."""
    watcher = watch(broker)
    watcher.client.publish(f"devices/{ID}/messages/devicebound/retained", b"kept", 1, retain=True).wait_for_publish()
    session = start_client("session", broker, max_packet_bytes=16384)
    assert session.ask("connect", TIMEOUT_S) is False
    assert session.ask("subscribe", f"devices/{ID}/messages/devicebound/#", TIMEOUT_S) == 1
    (kept,), _ = session.ask("receive", 1, TIMEOUT_S)
    assert kept == [f"devices/{ID}/messages/devicebound/retained", 4, sha256(b"kept"), 1]

    expected, skipped = [], []
    for number, size in enumerate(SIZES * 2):
        topic, qos = f"devices/{ID}/messages/devicebound/n={number}&ü", number % 2
        payload = os.urandom(size)
        watcher.client.publish(topic, payload, qos).wait_for_publish()
        overhead = 2 + len(topic.encode()) + (2 if qos else 0)
        packet = 1 + (1 if size + overhead < 128 else 2 if size + overhead < 16384 else 3) + overhead + size
        if packet > 16384:
            skipped.append([packet, qos])
        else:
            expected.append([topic, size, sha256(payload), qos])
    assert session.ask("receive", 2 * len(SIZES), TIMEOUT_S) == [expected, skipped]
    assert len(skipped) == 6
    session.ask("close")

    # All was acknowledged, also what was skipped: the kept session has nothing to send again.
    assert broker.wait_for_log(f"Received PUBACK from {ID}", 1 + len(SIZES))
    again = start_client("session", broker)
    assert again.ask("connect", TIMEOUT_S) is True
    topic = f"devices/{ID}/messages/devicebound/last"
    watcher.client.publish(topic, b"x", 1).wait_for_publish()
    assert again.ask("receive", 1, TIMEOUT_S) == [[[topic, 1, sha256(b"x"), 1]], []]
