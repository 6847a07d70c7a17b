"""A device's life as a state machine: provision, connect, stay connected, deliver. Never blocks, sleeps or resolves.

The drivers (azureiot.blocking) turn it into calls that a program makes; they alone wait.
"""

import azureiot.hub as hub
import azureiot.runtime as runtime
from azureiot.backoff import Backoff, random_fraction
from azureiot.errors import AzureIoTError
from azureiot.link import Link
from azureiot.outbox import Message, Outbox
from azureiot.runtime import WRITE, const, once
from azureiot.session import Session

GLOBAL_HOST = "global.azure-devices-provisioning.net"

# Phases
IDLE = const(0)  # not asked for anything
PROVISIONING = const(1)  # with DPS
CONNECTING = const(2)  # to the hub
ONLINE = const(3)
WAITING = const(4)  # between two attempts

_STABLE_MS = const(60000)  # a connection this old makes earlier failures forgotten
_FOREVER_MS = const(0x3FFFFFF)
_FAILURES_BEFORE_DPS = const(10)  # docs/protocol.md §3.12


class Engine:
    """One device.

    id_scope, registration_id: what DPS knows this device by. Without them: hub, device_id, a hub that knows it already.
    credential: an X509 (azureiot.credentials).
    provisioning_host, port: the DPS endpoint; the port serves for DPS and hub.
    roots: the server roots to trust instead of those that ship with the library (tls.roots).
    payload: given to DPS with the registration, for custom allocation.
    keep_alive_s: the longest silence; 60 to 1177 is useful (docs/protocol.md §3.3).
    window, max_waiting: how many messages may be unacknowledged at once, and how many may wait besides (outbox.Outbox).
    max_packet_bytes: longer packets from the hub are skipped.
    clock, open_link, random: what tests replace.
    """

    def __init__(
        self,
        id_scope: "str | None" = None,
        registration_id: "str | None" = None,
        credential=None,
        hub: "str | None" = None,
        device_id: "str | None" = None,
        provisioning_host: str = GLOBAL_HOST,
        port: int = 8883,
        roots: "str | bytes | None" = None,
        payload: "dict | None" = None,
        keep_alive_s: int = 240,
        window: int = 16,
        max_waiting: int = 64,
        max_packet_bytes: int = runtime.MAX_PACKET_BYTES,
        clock=runtime,
        open_link=Link,
        random=random_fraction,
    ):
        if not 0 <= keep_alive_s <= 65535:
            raise AzureIoTError("A keep-alive of %s s is not possible: 0 to 65535." % keep_alive_s, "settings")
        self.phase = IDLE
        self.hub = hub
        self.device_id = device_id or registration_id or ""
        self.error = None  # the last failure since start(), or since a message was to be sent while online
        self.skipped = 0  # packets above max_packet_bytes
        self._id_scope = id_scope
        self._registration_id = registration_id
        self._by_dps = bool(id_scope and registration_id)
        self._credential = credential
        self._provisioning_host = provisioning_host
        self._port = port
        self._roots = roots
        self._payload = payload
        self._keep_alive_s = keep_alive_s
        self._max_packet_bytes = max_packet_bytes
        self._clock = clock
        self._open_link = open_link
        self._backoff = Backoff(random=random)
        self._outbox = Outbox(window, max_waiting)
        self._context = None  # TLS: made once, it costs memory
        self._session = None
        self._last_packet_id = 0  # goes on over reconnections
        self._topic_prefix = b""
        self._registration = None
        self._connect_after = True  # whether provisioning is only the first step
        self._freshly_assigned = False
        self._provisioner = None
        self._since_ms = 0  # when the present connection, or the wait for the next attempt, began
        self._delay_ms = 0  # how long that wait is

    # What a driver asks for.

    def start(self, connect: bool = True) -> None:
        """Begin to connect: to DPS first where no hub is known.

        connect=False: provision anew, then be IDLE; a known hub is forgotten, a connection ended.
        """
        if self.phase == ONLINE and connect:
            return
        self.error = None
        if not self._credential or not (self._by_dps or (connect and self.hub and self.device_id)):
            needs = "A device needs a credential, and id_scope and registration_id, or hub and device_id."
            raise AzureIoTError(needs, "settings")
        self.close()
        self._connect_after = connect
        if not connect:
            self.hub = None
        self._begin()

    def queue(self, payload, properties=None, **system) -> Message:
        """Queue a telemetry message (hub.telemetry says of what); its Message. Raises AzureIoTError."""
        message = hub.telemetry(payload, properties, **system)
        self._outbox.put(message)
        return message

    def close(self) -> None:
        """End the connection. Messages that wait stay."""
        if self.phase == ONLINE:
            self._backoff.reset()
        self._end()

    @property
    def link(self):
        """The link to wait on, or None."""
        return self._session and self._session.link

    def step(self) -> int:
        """Do what can be done now; what to wait for (READ, WRITE, NAME; 0: only time), at most `timeout_ms()` long.

        Raises AzureIoTError when somebody must help: a refusal that another attempt would only repeat.
        """
        try:
            if self.phase == WAITING and self._elapsed_ms() >= self._delay_ms:
                self._begin()
            elif self.phase == ONLINE and self._backoff.failures and self._elapsed_ms() > _STABLE_MS:
                self._backoff.reset()
            session = self._session
            if session is None:
                return 0
            mask = session.step()
            self._advance()
            if self._session is not session:
                return self.step()  # on to the hub: another link, another thing to wait for
            if session.connected and not session.idle:
                mask |= WRITE  # what _advance gave it has not all left
            return mask
        except AzureIoTError as error:
            self.failed(error)
            return 0

    def timeout_ms(self) -> int:
        """Milliseconds until `step` must be called even if nothing happens."""
        timeout_ms = self._session.timeout_ms() if self._session is not None else _FOREVER_MS
        if self._provisioner is not None:
            timeout_ms = min(timeout_ms, self._provisioner.timeout_ms())
        elif self.phase == WAITING:
            timeout_ms = self._delay_ms - self._elapsed_ms()
        return max(0, timeout_ms)

    def failed(self, error: AzureIoTError) -> None:
        """Take a failure: wait for the next attempt, or raise it when there is no point in one."""
        refused_by_hub = self.phase == CONNECTING and error.code == "connack-5"
        self._end()
        self.error = error
        self._delay_ms = self._backoff.failed()
        self._since_ms = self._clock.ticks_ms()
        if refused_by_hub and self._by_dps and not self._freshly_assigned:
            self.hub = None  # an old assignment may be out of date; what DPS has just assigned is not
        elif not error.retryable:
            raise error
        elif self._by_dps and self._backoff.failures >= _FAILURES_BEFORE_DPS:
            self.hub = None
        self.phase = WAITING

    # The phases.

    def _begin(self):
        if self._context is None:  # before more is loaded: it needs memory in one piece
            self._context = once("azureiot.tls").context(
                self._credential, self._roots, self.hub or self._provisioning_host
            )
        if self.hub is None:
            Registration = once("azureiot.provisioning").Registration
            self._registration = Registration(self._id_scope or "", self._registration_id or "", self._payload)
            provisioner = self._provisioner = once("azureiot.provisioner").Provisioner(self._registration, self._clock)
            self._open(self._provisioning_host, self._registration.client_id, self._registration.username, provisioner)
            provisioner.session = self._session
            self.phase = PROVISIONING
        else:
            self._open(self.hub, self.device_id, hub.username(self.hub, self.device_id), self)
            self.phase = CONNECTING

    def _open(self, host, client_id, username, handler):
        link = self._open_link(host, self._port, self._context, self._clock)
        self._session = Session(link, handler, self._clock, self._keep_alive_s, self._max_packet_bytes)
        self._session.last_packet_id = self._last_packet_id
        self._session.connect(client_id.encode(), username.encode())

    def _end(self):
        if self._session is not None:
            self._last_packet_id = self._session.last_packet_id
            self._session.close()
            self._session = None
            self._outbox.disconnected()
        self._registration = self._provisioner = None
        self.phase = IDLE

    def _advance(self):
        """Send what the phase calls for, as far as the session takes it."""
        if self._provisioner is not None:
            if self._registration.hub:
                self._assigned()
            else:
                self._provisioner.advance()
        elif self.phase == ONLINE:
            self._outbox.send(self._session, self._topic_prefix)

    def _assigned(self):
        self.hub, self.device_id = self._registration.hub, self._registration.device_id
        self._end()  # before the hub's is opened: two TLS sessions do not fit an ESP32
        self._freshly_assigned = True
        if self._connect_after:
            self._begin()

    # What the hub's session reports.
    def on_connected(self, session_present):
        self.phase = ONLINE
        self._freshly_assigned = False
        self._since_ms = self._clock.ticks_ms()
        self._topic_prefix = hub.telemetry_prefix(self.device_id)

    def on_acknowledged(self, packet_id):
        self._outbox.acknowledged(packet_id)

    def on_message(self, topic, payload, packet_id):
        if packet_id:
            self._session.acknowledge(packet_id)

    def on_oversized(self, packet_bytes, packet_id):
        self.skipped += 1
        if packet_id:
            self._session.acknowledge(packet_id)

    def _elapsed_ms(self):
        return self._clock.ticks_diff(self._clock.ticks_ms(), self._since_ms)
