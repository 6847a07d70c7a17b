"""The MicroPython side of azureiot.runtime. Facts and measurements behind it: docs/micropython.md §1 and §2."""

import errno
import gc
import select
import socket
import ssl
import sys
import time

from micropython import const as const

ROOTS = "/certs/roots"  # where `azureiot board flash` puts the server roots
MAX_PACKET_BYTES = 4096  # what a device takes from a hub unless told otherwise

ticks_ms = time.ticks_ms
ticks_diff = time.ticks_diff

# What mbedTLS says about a certificate, loosely matched: the wording differs between builds (docs/micropython.md §1.3).
_CERTIFICATE_FAULTS = (
    ("trusted CA", "tls-untrusted"),
    ("CN", "tls-name"),
    ("expired", "tls-expired"),
    ("future", "tls-clock"),
)
_OS_FAULTS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "closed",
    errno.ENOMEM: "memory",
    32: "closed",  # EPIPE has no name here
    # mbedTLS's own, without their sign
    0x7280: "closed",
    0x7680: "tls-roots",
    0x7780: "tls-alert",
    0x7A00: "tls-certificate",
    0x7F00: "memory",
}
_FIRST_OF_MBEDTLS = const(0x1000)  # smaller numbers are the system's
_poller = select.poll()


def once(path: str):
    """The module `path` ("azureiot.tls"), for one use: when the caller lets go of it, its memory is free again.

    What runs only at the start or after a failure would otherwise take the heap that is needed later.
    """
    gc.collect()  # what it needs is then found in one piece
    package, _, name = path.rpartition(".")
    module = getattr(__import__(path), name)
    del sys.modules[path]
    delattr(sys.modules[package], name)
    return module


def resolve(host: str, port: int):
    """The addresses of `host`, for `tcp_connect`. Blocks: MicroPython has no other way. Raises OSError."""
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


def tcp_connect(address):
    """A non-blocking socket that is connecting to `address` (one of `resolve`'s). Raises OSError."""
    sock = socket.socket(address[0])
    sock.setblocking(False)
    try:
        sock.setsockopt(6, 1, 1)  # TCP_NODELAY, which has no name here: Nagle costs 40 ms a DPS exchange
    except OSError:
        pass  # not on this port
    try:
        sock.connect(address[-1])
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            sock.close()
            raise
    return sock


def tcp_connected(sock) -> bool:
    """Whether the connection stands. Raises OSError when it failed."""
    events = _poll(sock, select.POLLOUT, 0)
    if events & (select.POLLERR | select.POLLHUP):
        raise OSError(errno.ECONNREFUSED)
    return events != 0


def tls_context(certificates, key, roots):
    """A context that verifies servers against `roots` and shows this device's certificates.

    certificates: X509.certificates' DERs, leaf first, or None.  key: SEC1 or PKCS#1 DER.  roots: DERs.
    Raises ValueError ("invalid key", "invalid cert").
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED  # the default here is to verify nothing
    for der in certificates or ():
        context.load_cert_chain(der, key)  # once a certificate, always with the key: each call appends one
    for der in roots:
        context.load_verify_locations(cadata=der)
    return context


def tls_wrap(context, sock, host: str):
    """The TLS side of a connected socket; the first write drives the handshake."""
    gc.collect()  # the handshake needs 17 KB in one piece; on some ports from this very heap
    return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


def handshake(sock) -> int:
    """0: here the first write drives the handshake."""
    return 0


def read_into(sock, view: memoryview) -> "int | None":
    """Read into `view`: the number of bytes, 0 when the peer has closed, None when nothing is there yet."""
    return sock.readinto(view)


def write(sock, view: memoryview) -> "int | None":
    """Write from `view`: the number of bytes taken, or None. The rest must be offered again, unchanged."""
    return sock.write(view)


def wait(sock, mask: int, timeout_ms: int) -> None:
    """Return when `sock` may be ready for `mask` (READ | WRITE), or after `timeout_ms`. sock None: just wait."""
    if sock is None:
        time.sleep_ms(timeout_ms)
    else:
        _poll(sock, mask, timeout_ms)  # READ and WRITE are POLLIN and POLLOUT


def failure(error: Exception) -> "tuple[str, str]":
    """(code, words) for what connecting, reading or writing raised."""
    words = "; ".join(str(error).split("\n\n")).strip()  # one line for each fault of a certificate
    if isinstance(error, ValueError):
        for text, code in _CERTIFICATE_FAULTS:
            if text in words:
                return code, words
        return "tls-untrusted", words
    number = getattr(error, "errno", 0)
    number = abs(number) if isinstance(number, int) else 0  # of a name that does not resolve it is a text
    if number >= _FIRST_OF_MBEDTLS and len(error.args) > 1:
        words = error.args[1]
    return _OS_FAULTS.get(number, "tls-protocol" if number >= _FIRST_OF_MBEDTLS else "network"), words


def _poll(sock, mask, timeout_ms):
    _poller.register(sock, mask)
    try:
        for entry in _poller.ipoll(timeout_ms):
            return entry[1]
        return 0
    finally:
        _poller.unregister(sock)
