"""A device's life as a state machine: provision, connect, stay connected, deliver. Never blocks, sleeps or resolves.

The drivers (azureiot.blocking) turn it into calls that a program makes; they alone wait.
"""

import json

import azureiot.credentials as credentials
import azureiot.hub as hub
import azureiot.runtime as runtime
from azureiot.backoff import Backoff, random_fraction
from azureiot.errors import AzureIoTError
from azureiot.link import Link
from azureiot.provisioning import GLOBAL_HOST, RESPONSES, Registration
from azureiot.runtime import WRITE, const
from azureiot.session import Session

# Phases
IDLE = const(0)  # not asked for anything
PROVISIONING = const(1)  # with DPS
CONNECTING = const(2)  # to the hub
ONLINE = const(3)
WAITING = const(4)  # between two attempts

_STABLE_MS = const(60000)  # a connection this old makes earlier failures forgotten
_FAILURES_BEFORE_DPS = const(10)  # docs/protocol.md §3.12


class Message:
    """A message on its way to the hub; `delivered` becomes True when the hub has acknowledged it."""

    def __init__(self, topic, payload):
        self.topic = topic
        self.payload = payload
        self.packet_id = 0  # given when it is first sent
        self.delivered = False


class Engine:
    """One device.

    id_scope, registration_id: what DPS knows this device by. Without them: hub, device_id, a hub that knows it already.
    credential: an X509.
    provisioning_host, port: the DPS endpoint; the port serves for DPS and hub.
    roots: the server roots to trust instead of those that ship with the library (credentials.roots).
    payload: given to DPS with the registration, for custom allocation.
    keep_alive_s: the longest silence; 60 to 1177 is useful (docs/protocol.md §3.3).
    window: how many messages may be unacknowledged at once.  max_queued: how many may wait besides.
    max_packet_bytes: longer packets from the hub are skipped.
    clock, open_link, random: what tests put in place of the real ones.
    """

    def __init__(
        self,
        id_scope=None,
        registration_id=None,
        credential=None,
        hub=None,
        device_id=None,
        provisioning_host=GLOBAL_HOST,
        port=8883,
        roots=None,
        payload=None,
        keep_alive_s=240,
        window=16,
        max_queued=64,
        max_packet_bytes=runtime.MAX_PACKET_BYTES,
        clock=runtime,
        open_link=Link,
        random=random_fraction,
    ):
        self.phase = IDLE
        self.hub = hub
        self.device_id = device_id or registration_id
        self.error = None  # the last failure
        self._id_scope = id_scope
        self._registration_id = registration_id
        self._credential = credential
        self._provisioning_host = provisioning_host
        self._port = port
        self._roots = roots
        self._payload = payload
        self._keep_alive_s = keep_alive_s
        self._window = window
        self._max_queued = max_queued
        self._max_packet_bytes = max_packet_bytes
        self._clock = clock
        self._open_link = open_link
        self._backoff = Backoff(random=random)
        self._context = None  # TLS: made once, it costs memory
        self._session = None
        self._packet_id = 0  # goes on over reconnections
        self._registration = None
        self._connect_after = True  # whether provisioning is only the first step
        self._freshly_assigned = False
        self._due_ms = None  # when the wait ends: DPS's next request, or the next attempt
        self._online_ms = 0
        self._queue = []  # messages that wait
        self._in_flight = []  # messages sent, not yet acknowledged, oldest first

    # What a driver asks for.

    def start(self, connect=True):
        """Begin to connect: to DPS first where no hub is known. connect=False: provision only, then be IDLE again."""
        if self.phase == ONLINE and connect:
            return
        if self._credential is None or not (self._id_scope and self._registration_id or connect and self.hub and self.device_id):
            raise AzureIoTError("A device needs a credential and either id_scope and registration_id, or hub and device_id.", "settings")
        self.close()
        self._connect_after = connect
        if not connect:
            self.hub = None
        self._begin()

    def send(self, payload, properties=None, content_type=None, content_encoding=None, message_id=None):
        """Queue a telemetry message; the Message, whose `delivered` tells when the hub has it.

        payload: bytes, text, or what JSON can hold. Raises AzureIoTError when it is too long or too many wait.
        """
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload)
            content_type = content_type or "application/json"
        if isinstance(payload, str):
            payload = payload.encode()
            content_encoding = content_encoding or "utf-8"
        topic = hub.telemetry_topic(self.device_id, properties, content_type, content_encoding, message_id).encode()
        if len(topic) + len(payload) > hub.MAX_MESSAGE_BYTES:
            raise AzureIoTError("A message of %d bytes is too long for IoT Hub (262,144)." % (len(topic) + len(payload)), "too-long")
        if len(self._queue) >= self._max_queued:
            raise AzureIoTError("%d messages are waiting already." % len(self._queue), "queue-full", True)
        message = Message(topic, payload)
        self._queue.append(message)
        return message

    def close(self):
        """End the connection. Messages that wait stay."""
        if self._session is not None:
            self._packet_id = self._session.packet_id
            self._session.close()
            self._session = None
            self._queue = self._in_flight + self._queue
            self._in_flight = []
        self._registration = None
        self.phase = IDLE

    @property
    def link(self):
        """The link to wait on, or None."""
        return self._session and self._session.link

    def step(self):
        """Do what can be done now; what to wait for (READ, WRITE, NAME; 0: only time), at most `timeout_ms()` long.

        Raises AzureIoTError when somebody must help: a refusal that another attempt would only repeat.
        """
        try:
            if self.phase == WAITING and self._left_ms() <= 0:
                self._begin()
            if self._session is None:
                return 0
            mask = self._session.step()
            self._advance()
            if self._session is not None and self._session.connected and not self._session.idle:
                mask |= WRITE  # what _advance gave it has not all left
            return mask
        except AzureIoTError as error:
            self.failed(error)
            return 0

    def timeout_ms(self):
        """Milliseconds until `step` must be called even if nothing happens."""
        if self._session is None:
            return max(0, self._left_ms())
        timeout_ms = self._session.timeout_ms()
        if self._due_ms is not None:
            timeout_ms = min(timeout_ms, self._left_ms())
        return max(0, timeout_ms)

    def failed(self, error):
        """Take a failure: wait for the next attempt, or raise it when there is no point in one."""
        self.error = error
        refused_by_hub = self.phase == CONNECTING and error.code == "connack-5"
        if self.phase == ONLINE and self._since_ms(self._online_ms) > _STABLE_MS:
            self._backoff.reset()
        self.close()
        delay_ms = max(self._backoff.failed(), (error.retry_after_s or 0) * 1000)
        # A hub that refuses what DPS has just assigned will go on refusing; an old assignment may be out of date.
        outdated = self._id_scope and not self._freshly_assigned
        if outdated and (refused_by_hub or self._backoff.failures >= _FAILURES_BEFORE_DPS):
            self.hub = None
        elif not error.retryable:
            raise error
        self._due_ms = (self._clock.ticks_ms(), delay_ms)
        self.phase = WAITING

    # The phases.

    def _begin(self):
        if self.hub is None:
            self._registration = Registration(self._id_scope, self._registration_id, self._payload)
            self.phase = PROVISIONING
            self._open(self._provisioning_host, self._registration.client_id, self._registration.username)
        else:
            self.phase = CONNECTING
            self._open(self.hub, self.device_id, hub.username(self.hub, self.device_id))

    def _open(self, host, client_id, username):
        self._due_ms = None
        if self._context is None:
            try:
                self._context = runtime.tls_context(
                    self._credential.certificates(), self._credential.private_key(), credentials.roots(self._roots, host)
                )
            except ValueError as error:
                raise AzureIoTError("The credential cannot be used: %s." % error, "credential")
        self._session = Session(
            self._open_link(host, self._port, self._context),
            self,
            self._clock,
            self._keep_alive_s,
            max_packet_bytes=self._max_packet_bytes,
        )
        self._session.packet_id = self._packet_id
        self._session.connect(client_id.encode(), username.encode())

    def _advance(self):
        """Send what the phase calls for, as far as the session takes it."""
        if self.phase == PROVISIONING:
            if self._registration.hub:
                self._assigned()
            elif self._due_ms is not None and self._left_ms() <= 0 and self._session.idle:
                self._due_ms = None
                topic, payload = self._registration.request()
                self._session.publish(topic.encode(), payload.encode(), self._session.next_packet_id())
        elif self.phase == ONLINE:
            while self._queue and self._session.idle and len(self._in_flight) < self._window:
                message = self._queue.pop(0)
                again = message.packet_id != 0
                if not again:
                    message.packet_id = self._session.next_packet_id()
                self._in_flight.append(message)
                self._session.publish(message.topic, message.payload, message.packet_id, again)

    def _assigned(self):
        self.hub = self._registration.hub
        self.device_id = self._registration.device_id
        connect = self._connect_after
        self.close()  # before the hub's is opened: two TLS sessions do not fit an ESP32
        self._freshly_assigned = True
        if connect:
            self._begin()

    # What the session reports.

    def on_connected(self, session_present):
        if self.phase == PROVISIONING:
            self._session.subscribe(RESPONSES.encode())
        else:
            self.phase = ONLINE
            self._freshly_assigned = False
            self._online_ms = self._clock.ticks_ms()

    def on_subscribed(self, granted_qos):
        if granted_qos == 0x80:
            raise AzureIoTError("The service refused a subscription.", "suback", True)
        self._due_ms = (self._clock.ticks_ms(), 0)

    def on_acknowledged(self, packet_id):
        for message in self._in_flight:
            if message.packet_id == packet_id:
                message.delivered = True
                self._in_flight.remove(message)
                return

    def on_message(self, topic, payload, packet_id):
        if packet_id:
            self._session.acknowledge(packet_id)
        if self.phase == PROVISIONING:
            wait_s = self._registration.receive(topic, bytes(payload))
            if wait_s is not None:
                self._due_ms = (self._clock.ticks_ms(), wait_s * 1000)

    def on_oversized(self, packet_bytes, packet_id):
        if packet_id:
            self._session.acknowledge(packet_id)
        self.error = AzureIoTError("A packet of %d bytes was skipped." % packet_bytes, "oversized", True)

    def _since_ms(self, then_ms):
        return self._clock.ticks_diff(self._clock.ticks_ms(), then_ms)

    def _left_ms(self):
        if self._due_ms is None:
            return 0
        return self._due_ms[1] - self._since_ms(self._due_ms[0])
