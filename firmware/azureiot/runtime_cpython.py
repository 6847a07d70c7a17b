"""The CPython side of azureiot.runtime. Facts and measurements behind it: docs/micropython.md §8."""

import base64
import errno
import os
import select
import socket
import ssl
import tempfile
import time
from importlib import import_module

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
# In the wheel beside this file, in a source tree at the top.
ROOTS = next(
    (
        path
        for path in (os.path.join(_PACKAGE, "roots"), os.path.join(_PACKAGE, "..", "..", "certs", "roots"))
        if os.path.isdir(path)
    ),
    os.path.join(_PACKAGE, "roots"),
)
MAX_PACKET_BYTES = 262144 + 65536  # what a device takes from a hub unless told otherwise

# OpenSSL's X509_V_ERR_… numbers.
_CERTIFICATE_FAULTS = {9: "tls-clock", 10: "tls-expired", 26: "tls-certificate", 62: "tls-name", 64: "tls-name"}
_OS_FAULTS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
}


def const(value):
    """MicroPython folds such constants into the code; here it is the value itself."""
    return value


def once(path: str):
    """The module `path` ("azureiot.tls"). Boards forget it after use; here there is memory enough."""
    return import_module(path)


def ticks_ms() -> int:
    """A clock in milliseconds that only goes forward."""
    return time.monotonic_ns() // 1_000_000


def ticks_diff(later: int, earlier: int) -> int:
    """later - earlier, in milliseconds."""
    return later - earlier


def resolve(host: str, port: int):
    """The addresses of `host`, for `tcp_connect`. Blocks. Raises OSError."""
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


def tcp_connect(address):
    """A non-blocking socket that is connecting to `address` (one of `resolve`'s). Raises OSError."""
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle costs 45 ms a DPS exchange
        code = sock.connect_ex(address[-1])
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def tcp_connected(sock) -> bool:
    """Whether the connection stands. Raises OSError when it failed."""
    ready = _poll(sock, 4, 0)
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    return ready


def tls_context(certificates, key, roots):
    """A context that verifies servers against `roots` and shows this device's certificates.

    certificates: X509.certificates' DERs, leaf first, or None.  key: its DER.  roots: DERs.
    Raises ValueError when the certificates or the key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for der in roots:
        try:
            context.load_verify_locations(cadata=der)
        except ssl.SSLError as error:
            raise ValueError("a root certificate cannot be read: %s" % error) from None
    if certificates:
        pem = _armour(_key_label(key), key) + b"".join(_armour(b"CERTIFICATE", der) for der in certificates)
        try:
            _load_cert_chain(context, pem)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError("the private key does not belong to the certificate") from None
            raise ValueError("the certificate or its key cannot be used: %s" % (error.reason or error)) from None
    return context


def tls_wrap(context, sock, host: str):
    """The TLS side of a connected socket; `handshake` drives it on."""
    return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


def handshake(sock) -> int:
    """Drive the handshake: 0 when it is done, else what to wait for (READ or WRITE). Raises OSError."""
    try:
        sock.do_handshake()
        return 0
    except ssl.SSLWantReadError:
        return 1
    except ssl.SSLWantWriteError:
        return 4


def read_into(sock, view: memoryview) -> "int | None":
    """Read into `view`: the number of bytes, 0 when the peer has closed, None when nothing is there yet."""
    try:
        return sock.recv_into(view)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
        return None


def write(sock, view: memoryview) -> "int | None":
    """Write from `view`: the number of bytes taken, or None. The rest must be offered again, unchanged."""
    try:
        return sock.send(view)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
        return None


def wait(sock, mask: int, timeout_ms: int) -> None:
    """Return when `sock` may be ready for `mask` (READ | WRITE), or after `timeout_ms`. sock None: just wait."""
    if sock is None:
        time.sleep(timeout_ms / 1000)
    else:
        _poll(sock, mask, timeout_ms)


def failure(error: Exception) -> "tuple[str, str]":
    """(code, words) for what connecting, reading or writing raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(error.verify_code, "tls-untrusted"), error.verify_message
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "closed", ""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        code = "tls-alert" if reason.startswith(("SSLV3_ALERT", "TLSV1")) else "tls-protocol"
        return code, reason.replace("_", " ").lower()
    if isinstance(error, OSError):
        return _OS_FAULTS.get(error.errno or 0, "network"), error.strerror or str(error)
    return "network", str(error)


def _poll(sock, mask, timeout_ms):
    """Whether anything happened on `sock` in time."""
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock, mask)  # READ and WRITE are POLLIN and POLLOUT
        return bool(poller.poll(timeout_ms))
    # Windows; it reports a failed connect as an exceptional condition.
    return any(select.select((sock,) if mask & 1 else (), (sock,) if mask & 4 else (), (sock,), timeout_ms / 1000))


def _armour(label, der):
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, base64.encodebytes(der), label)


def _key_label(der):
    """The PEM label of a private key's DER: SEC1, PKCS#1 or PKCS#8, told apart by what follows the version."""
    offset = 5 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return {b"\x04": b"EC PRIVATE KEY", b"\x02": b"RSA PRIVATE KEY"}.get(der[offset : offset + 1], b"PRIVATE KEY")


def _load_cert_chain(context, pem):
    """load_cert_chain from memory: the key must not stand in a file that outlives this call."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("azureiot", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, pem)
            context.load_cert_chain("/dev/fd/%d" % descriptor)
        finally:
            os.close(descriptor)
    else:
        descriptor, path = tempfile.mkstemp()  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
            context.load_cert_chain(path)
        finally:
            os.unlink(path)
