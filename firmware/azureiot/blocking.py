"""The driver for programs that block: every call returns when it is done, or raises by its deadline. No thread."""

import azureiot.runtime as runtime
from azureiot.device import IDLE, ONLINE, WAITING, Engine
from azureiot.errors import AzureIoTError
from azureiot.runtime import NAME


class Device:
    """A device in DPS and IoT Hub.

    Keep-alive runs inside the calls: use `wait` in place of time.sleep. Not thread-safe. Every method raises
    AzureIoTError. id_scope, registration_id, credential and the options: see azureiot.device.Engine.
    """

    def __init__(
        self,
        id_scope: "str | None" = None,
        registration_id: "str | None" = None,
        credential=None,
        wait=runtime.wait,
        resolve=runtime.resolve,
        **options,
    ):
        self._engine = Engine(id_scope, registration_id, credential, **options)
        self._clock = options.get("clock", runtime)
        self._wait = wait
        self._resolve = resolve

    @property
    def hub(self) -> "str | None":
        """The host name of the hub that DPS assigned, or None."""
        return self._engine.hub

    @property
    def device_id(self) -> "str | None":
        """This device's id in the hub."""
        return self._engine.device_id

    @property
    def connected(self) -> bool:
        """Whether the hub was connected when last heard of."""
        return self._engine.phase == ONLINE

    def provision(self, timeout_s: float = 60, retry: bool = True) -> None:
        """Register with DPS, without connecting to the hub; afterwards `hub` and `device_id` are known."""
        self._engine.start(connect=False)
        self._run(lambda: self._engine.phase == IDLE, timeout_s, retry)

    def connect(self, timeout_s: float = 60, retry: bool = True) -> None:
        """Connect to the hub, through DPS where that is not known. retry=False: the first failure is the last."""
        self._engine.start()
        self._run(lambda: self._engine.phase == ONLINE, timeout_s, retry)

    def send(self, payload, properties=None, timeout_s: float = 60, **system) -> None:
        """Send telemetry; returns when the hub has acknowledged it. After a lost connection it is sent again.

        payload: dict or list (JSON), text or bytes.  properties: application properties.
        system: content_type, content_encoding, message_id (docs/protocol.md §3.5).
        """
        if self._engine.phase == IDLE:
            raise AzureIoTError("The device is not connected: call connect() first.", "not-connected")
        message = self._engine.send(payload, properties, **system)
        self._run(lambda: message.delivered, timeout_s, True)

    def wait(self, seconds: float) -> None:
        """Stay connected for so long."""
        started_ms = self._clock.ticks_ms()
        self._run(lambda: self._clock.ticks_diff(self._clock.ticks_ms(), started_ms) >= seconds * 1000, None, True)

    def close(self) -> None:
        """Disconnect."""
        self._engine.close()

    def _run(self, done, timeout_s, retry):
        """Drive the engine until done() or the deadline; None: no deadline but done's own."""
        engine = self._engine
        started_ms = self._clock.ticks_ms()
        while True:
            mask = engine.step()
            if done():
                return
            if not retry and engine.phase == WAITING:
                engine.close()
                raise self._failure(None)
            timeout_ms = engine.timeout_ms()
            if timeout_s is not None:
                left_ms = int(timeout_s * 1000) - self._clock.ticks_diff(self._clock.ticks_ms(), started_ms)
                if left_ms <= 0:
                    raise self._failure(timeout_s)
                timeout_ms = min(timeout_ms, left_ms)
            if mask == NAME:
                self._resolve_name(engine)
            else:
                self._wait(mask and engine.link.socket, mask, timeout_ms)

    def _resolve_name(self, engine):
        link = engine.link
        try:
            link.resolved(self._resolve(link.host, link.port))
        except OSError as error:
            engine.failed(link.unresolved(error))

    def _failure(self, timeout_s):
        """The engine's last error; with a deadline, that it passed, and the last error as the reason."""
        error = self._engine.error
        link = self._engine.link
        if error is None:
            where = " (waiting for %s:%d)" % (link.host, link.port) if link else ""
            return AzureIoTError("Not done within %s s%s." % (timeout_s, where), "timeout", True)
        if timeout_s is None:
            return error
        message = "Not done within %s s; the last failure: %s" % (timeout_s, error.message)
        return AzureIoTError(message, error.code, True, error.tracking_id)
