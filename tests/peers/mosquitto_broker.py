"""Eclipse Mosquitto, an MQTT broker nobody here wrote, and a paho client that watches what arrives there.

It asks for client certificates as IoT Hub does; the name in the certificate is the user, and a user may touch the
topics of the device of that name only.
"""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from conftest import missing

WATCHER = "watcher"
TIMEOUT_S = 20


def find_mosquitto() -> str:
    """The broker's program; the test is left out where there is none."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        missing("mosquitto is not here (Debian's package of that name)")
        raise AssertionError
    return program


class Files:
    """A credential as the PEM files that mosquitto, paho and a device read."""

    def __init__(self, folder: Path, name: str, credential: Credential) -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        self.certificate.write_bytes(to_pem(credential.certificates))
        self.key.touch(0o600)
        self.key.write_bytes(key_to_pem(credential.key))


class Broker:
    """A broker on a free loopback port; `folder` holds its configuration and what outlives a restart.

    options: further lines of mosquitto.conf.  log: what it has said so far.
    """

    def __init__(self, folder: Path, root: Credential, *options: str) -> None:
        self.folder = folder
        self.log: list[str] = []
        self._said = threading.Condition()
        self._program = find_mosquitto()
        self._options = options
        self._root = root
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(to_pem([root.certificate]))
        self.server = Files(folder, "server", authority.issue_server(root, ["localhost"]))
        acl = folder / "acl"
        acl.write_text(f"pattern readwrite devices/%u/messages/#\nuser {WATCHER}\ntopic readwrite #\n")
        acl.chmod(0o600)
        self.port = 0
        for _ in range(5):  # somebody may take the free port before mosquitto does
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            if self.start():
                return
            self.stop()
        raise AssertionError("\n".join(self.log))

    def start(self) -> bool:
        """Whether it accepts connections now."""
        lines = (
            f"listener {self.port} 127.0.0.1",
            f"cafile {self.ca}",
            f"certfile {self.server.certificate}",
            f"keyfile {self.server.key}",
            "require_certificate true",
            "use_identity_as_username true",
            f"acl_file {self.folder}/acl",
            "persistence true",
            f"persistence_location {self.folder}/",
            f"user {getpass.getuser()}",
            "max_queued_messages 0",
            "log_dest stderr",
            "log_type all",
            *self._options,
        )
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        with self._said:
            self.log.clear()
        self.process = subprocess.Popen(
            [self._program, "-c", self.folder / "mosquitto.conf"], stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self.wait_for_log(" running")

    def wait_for_log(self, words: str, count: int = 1) -> bool:
        """Whether it says these words, in so many lines; False once it has ended without."""
        with self._said:
            return (
                self._said.wait_for(
                    lambda: sum(words in line for line in self.log) >= count or "" in self.log, TIMEOUT_S
                )
                and sum(words in line for line in self.log) >= count
            )

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in chain(self.process.stderr, ("",)):
            with self._said:
                self.log.append(line.rstrip())
                self._said.notify_all()

    def freeze(self) -> None:
        """It answers nothing from now on; `stop` ends that."""
        self.process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it as a service manager does: what was to be kept is on disk."""
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def paho(self, client_id: str, name: str | None = None) -> mqtt.Client:
        """A paho client with a session that is kept and a certificate of this name, not yet connected."""
        files = Files(self.folder, f"paho-{client_id}", authority.issue_device(self._root, name or client_id))
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=mqtt.MQTTv311)
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(files.certificate, files.key)
        client.tls_set_context(context)
        return client


class Watcher:
    """Sees every message that reaches the broker, also those that came while the broker restarted.

    messages: what has arrived, oldest first.
    """

    def __init__(self, broker: Broker) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self._arrived = threading.Condition()
        self._subscribed = threading.Event()
        self.client = broker.paho(WATCHER)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.connect("localhost", broker.port)
        self.client.loop_start()
        assert self._subscribed.wait(TIMEOUT_S)

    def wait_for(self, enough: Callable[[list[mqtt.MQTTMessage]], bool]) -> list[mqtt.MQTTMessage]:
        """What has arrived, once that is enough."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: enough(self.messages), TIMEOUT_S), f"{len(self.messages)} arrived"
            return list(self.messages)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()
