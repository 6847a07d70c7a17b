"""A TLS byte stream that never blocks: name, TCP connection, handshake, bytes. No MQTT."""

import azureiot.runtime as runtime
from azureiot.errors import AzureIoTError
from azureiot.runtime import NAME, WRITE, const

_ADDRESS_TIMEOUT_MS = const(5000)  # for one address of a name, while there are others
_FOREVER_MS = const(0x3FFFFFF)

# What may pass by itself; a certificate that is refused will be refused again.
_RETRYABLE = ("refused", "timeout", "closed", "tls-closed", "network", "memory")


class Link:
    """One connection to one server; never used again after it failed or was closed.

    host, port: the server, whose certificate must carry this host name (also sent as SNI).
    context: runtime.tls_context(...).
    clock: what has ticks_ms and ticks_diff.
    """

    def __init__(self, host: str, port: int, context, clock=runtime):
        self.host = host
        self.port = port
        self.socket = None  # what to wait on; the driver polls it
        self._context = context
        self._clock = clock
        self._dialled_ms = 0
        self._addresses = None
        self._connected = False
        self._open = False
        self._secured = False  # the handshake is done
        self._heard = False  # and the server has said something after it

    def resolved(self, addresses) -> None:
        """The answer to NAME: what runtime.resolve(host, port) returned."""
        self._addresses = list(addresses)

    def unresolved(self, error: Exception) -> AzureIoTError:
        """The AzureIoTError for a name that runtime.resolve did not find."""
        return AzureIoTError("%s: the name cannot be resolved (%s)." % (self.host, error), "dns", True)

    def step(self) -> int:
        """Advance towards an open stream: what to wait for (NAME, READ, WRITE), or 0 when bytes can flow.

        Raises AzureIoTError.
        """
        if self._open:
            return 0
        try:
            if self._addresses is None:
                return NAME
            if not self._connected:
                if not self._connect():
                    return WRITE
                # Only now: wrapped before the connection stands, CPython would send what follows in the clear.
                self.socket = runtime.tls_wrap(self._context, self.socket, self.host)
                self._connected = True
            mask = runtime.handshake(self.socket)
            self._open = mask == 0
            return mask
        except (OSError, ValueError) as error:
            raise self.failure(error)

    def _connect(self):
        """Whether the TCP connection stands; a name's addresses are tried one after another."""
        while True:
            try:
                if self.socket is None:
                    self._dialled_ms = self._clock.ticks_ms()
                    self.socket = runtime.tcp_connect(self._addresses.pop(0))
                if runtime.tcp_connected(self.socket):
                    return True
                if self.timeout_ms() > 0:
                    return False
                self.close()
            except OSError:
                self.close()
                if not self._addresses:
                    raise

    def timeout_ms(self) -> int:
        """Milliseconds until `step` must be called even if nothing happens: an address that is silent gives way."""
        if self._connected or not self._addresses or self.socket is None:
            return _FOREVER_MS
        return _ADDRESS_TIMEOUT_MS - self._clock.ticks_diff(self._clock.ticks_ms(), self._dialled_ms)

    def read_into(self, view: memoryview) -> "int | None":
        """Bytes read into `view`, 0 when the peer has closed, None when there is nothing yet. Raises AzureIoTError."""
        try:
            count = runtime.read_into(self.socket, view)
            if count:
                self._heard = True
            return count
        except (OSError, ValueError) as error:
            raise self.failure(error)

    def write(self, view: memoryview) -> "int | None":
        """Bytes taken from `view`, or None: then exactly the rest must be offered again. Raises AzureIoTError."""
        try:
            count = runtime.write(self.socket, view)
            if count:  # on MicroPython it is the first write that drives the handshake
                self._secured = True
            return count
        except (OSError, ValueError) as error:
            raise self.failure(error)

    def close(self) -> None:
        """Close the connection at once; free what it held."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def failure(self, error: Exception) -> AzureIoTError:
        """The AzureIoTError for what the runtime raised on this link."""
        code, words = runtime.failure(error)
        if code == "closed":
            words = "closed the connection"
            if not self._secured:  # how a refused certificate looks where the alert is lost
                code = "tls-closed"
                words = "closed the connection in the TLS handshake"
        text = "%s:%d: %s." % (self.host, self.port, words.rstrip("."))
        # What has worked until now may work again, whatever ended it.
        return AzureIoTError(text, code, self._heard or code in _RETRYABLE)
