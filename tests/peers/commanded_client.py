"""The device library at the end of a pipe, on CPython or MicroPython: it does what it is told, one line at a time.

argv[1]: a JSON file with host, port, id, certificate, key, roots (paths), options.
Each line of standard input is a JSON list, the name of a method and its arguments; each is answered by one line:
{"answer": …}, or {"error": code, "message": …, "retryable": …}.
"""

import hashlib
import json
import sys

import azureiot.runtime as runtime
from azureiot import X509, AzureIoTError, Device
from azureiot.link import Link
from azureiot.runtime import NAME, once
from azureiot.session import Session


class DeviceCommands:
    """azureiot.Device, by hub and device id."""

    def __init__(self, config):
        self._queued = []
        self._device = Device(
            hub=config["host"],
            device_id=config["id"],
            credential=X509(config["certificate"], config["key"]),
            port=config["port"],
            roots=config["roots"],
            random=lambda: 0.1,  # delays of 100, 200, 400 ms …: nobody waits for a server here
            **config["options"],
        )

    def connect(self, timeout_s, retry):
        self._device.connect(timeout_s, retry)

    def send(self, payload, properties, timeout_s):
        self._device.send(payload, properties, timeout_s)

    def send_bytes(self, count, timeout_s):
        self._device.send(b"x" * count, None, timeout_s)

    def queue(self, first, last):
        for number in range(first, last + 1):
            self._queued.append(self._device.queue(str(number)))

    def deliver(self, timeout_s):
        """How many of the queued messages are delivered, after all are or the time is over."""
        end_ms = runtime.ticks_ms() + timeout_s * 1000
        while self.delivered() < len(self._queued) and runtime.ticks_diff(end_ms, runtime.ticks_ms()) > 0:
            self._device.wait(0.02)
        return self.delivered()

    def delivered(self):
        return len([message for message in self._queued if message.delivered])

    def wait(self, seconds):
        self._device.wait(seconds)
        return self._device.connected

    def close(self):
        self._device.close()


class SessionCommands:
    """azureiot.session over azureiot.link: MQTT without Azure's topics. It is the session's handler, too."""

    def __init__(self, config):
        context = once("azureiot.tls").context(
            X509(config["certificate"], config["key"]), config["roots"], config["host"]
        )
        self._connected = self._present = self._granted = None
        self._messages = []
        self._skipped = []
        self._link = Link(config["host"], config["port"], context)
        self._session = Session(self._link, self, **config["options"])
        self._session.connect(config["id"].encode())

    def connect(self, timeout_s):
        self._until(lambda: self._connected, timeout_s)
        return self._present

    def subscribe(self, topic_filter, timeout_s):
        self._session.subscribe(topic_filter.encode())
        self._until(lambda: self._granted is not None, timeout_s)
        return self._granted

    def receive(self, count, timeout_s):
        """The messages, [topic, bytes, SHA-256, QoS], and what was skipped, [bytes, QoS]: so many together."""
        self._until(lambda: len(self._messages) + len(self._skipped) >= count, timeout_s)
        taken = [self._messages, self._skipped]
        self._messages, self._skipped = [], []
        return taken

    def close(self):
        self._session.close()

    def _until(self, done, timeout_s):
        end_ms = runtime.ticks_ms() + timeout_s * 1000
        while True:
            mask = self._session.step()
            if mask == NAME:
                self._link.resolved(runtime.resolve(self._link.host, self._link.port))
                continue
            if done():
                self._session.step()  # what was to be acknowledged is
                return
            left_ms = runtime.ticks_diff(end_ms, runtime.ticks_ms())
            if left_ms <= 0:
                raise AzureIoTError("Not done in time.", "timeout")
            runtime.wait(self._link.socket, mask, min(left_ms, max(0, self._session.timeout_ms())))

    def on_connected(self, session_present):
        self._connected, self._present = True, session_present

    def on_subscribed(self, granted_qos):
        self._granted = granted_qos

    def on_acknowledged(self, packet_id):
        pass

    def on_message(self, topic, payload, packet_id):
        self._messages.append([topic, len(payload), hashlib.sha256(payload).digest().hex(), 1 if packet_id else 0])
        if packet_id:
            self._session.acknowledge(packet_id)

    def on_oversized(self, packet_bytes, packet_id):
        self._skipped.append([packet_bytes, 1 if packet_id else 0])
        if packet_id:
            self._session.acknowledge(packet_id)


def main(kind, path):
    with open(path) as file:
        config = json.load(file)
    commands = None
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            if commands is None:
                commands = (DeviceCommands if kind == "device" else SessionCommands)(config)
            answer = {"answer": getattr(commands, name)(*arguments)}
        except AzureIoTError as error:
            answer = {"error": error.code, "message": str(error), "retryable": error.retryable}
        print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
