"""The driver for programs that block: every call returns when it is done, or raises by its deadline. No thread."""

import azureiot.runtime as runtime
from azureiot.device import IDLE, ONLINE, WAITING, Engine
from azureiot.errors import AzureIoTError
from azureiot.runtime import NAME, const

_DAY_S = const(86400)  # clocks on boards wrap: no single wait is longer


class Device(Engine):
    """A device in DPS and IoT Hub: the engine (which says what the options are), driven by waiting.

    hub, device_id: what DPS assigned, or was given. Keep-alive runs inside the calls: use `wait` in place of
    time.sleep. Not thread-safe. Every method raises AzureIoTError.
    """

    def __init__(
        self,
        id_scope: "str | None" = None,
        registration_id: "str | None" = None,
        credential=None,
        poll=runtime.wait,
        resolve=runtime.resolve,
        **options,
    ):
        super().__init__(id_scope, registration_id, credential, **options)
        self._poll = poll
        self._resolve = resolve

    @property
    def connected(self) -> bool:
        """Whether the hub was connected when last heard of."""
        return self.phase == ONLINE

    def provision(self, timeout_s: float = 60, retry: bool = True) -> None:
        """Register with DPS; afterwards `hub` and `device_id` are known. A connection to a hub is ended."""
        self.start(connect=False)
        self._until(lambda: self.phase == IDLE, timeout_s, retry)

    def connect(self, timeout_s: float = 60, retry: bool = True) -> None:
        """Connect to the hub, through DPS where that is not known.

        retry=False: the first failure is raised. After a deadline, later calls go on trying; close() ends that.
        """
        self.start()
        self._until(lambda: self.phase == ONLINE, timeout_s, retry)

    def send(self, payload, properties=None, timeout_s: float = 60, **system) -> None:
        """Send telemetry; returns when the hub has acknowledged it. After a lost connection it is sent again.

        payload: what JSON can hold, text or bytes.  properties: application properties.
        system: content_type, content_encoding, message_id (docs/protocol.md §3.5).
        A message whose deadline has passed is given up; it may still have arrived.
        """
        if self.phase == IDLE:
            raise AzureIoTError("The device is not connected: call connect() first.", "not-connected")
        message = self.queue(payload, properties, **system)
        if self.phase == ONLINE:
            self.error = None
        try:
            self._until(lambda: message.delivered, timeout_s)
        finally:
            if not message.delivered:
                self._outbox.forget(message)

    def wait(self, seconds: float) -> None:
        """Stay connected, or get connected again, for so long."""
        while seconds > 0:
            self._run(lambda: False, min(seconds, _DAY_S))
            seconds -= _DAY_S

    def _until(self, done, timeout_s, retry=True):
        """Step until done(). Raises AzureIoTError at the deadline; with retry=False at the first failure."""
        if not self._run(done, timeout_s, retry):
            raise self._too_late(timeout_s)

    def _run(self, done, timeout_s, retry=True):
        """Step until done() (True) or the deadline (False)."""
        started_ms = self._clock.ticks_ms()
        while True:
            mask = self.step()
            if done():
                return True
            if mask == NAME:
                self._resolve_name()
            if not retry and self.phase == WAITING:
                self.close()
                raise self.error  # pyright: ignore[reportGeneralTypeIssues]  WAITING follows a failure
            left_ms = int(timeout_s * 1000) - self._clock.ticks_diff(self._clock.ticks_ms(), started_ms)
            if left_ms <= 0:
                return False
            if mask != NAME:
                self._poll(self.link.socket if mask else None, mask, min(left_ms, self.timeout_ms()))

    def _resolve_name(self):
        link = self.link
        try:
            link.resolved(self._resolve(link.host, link.port))
        except (OSError, ValueError) as error:  # ValueError: no name at all
            self.failed(link.unresolved(error))

    def _too_late(self, timeout_s):
        """That a deadline has passed, with the last failure as the reason."""
        text = "Not done within %s s" % timeout_s
        cause = ""
        error = self.error
        if self._registration is not None:
            error = self._registration.delay() or error
        if error is not None:
            text += "; the last failure: " + error.message
            cause = error.cause
        elif self._session:
            text += " (waiting for %s:%d)" % (self.link.host, self.link.port)
            cause = "no-answer" if self._session.reached else ""
        return AzureIoTError(text.rstrip(".") + ".", "timeout", True, cause=cause)
