"""What a device shows to prove who it is, and the roots it trusts: from files or bytes, PEM or DER."""

import os

import azureiot.encoding as encoding
import azureiot.runtime as runtime
from azureiot.errors import AzureIoTError

_ENDINGS = (".der", ".pem", ".crt", ".cer")


class X509:
    """An X.509 certificate with its private key.

    certificate: a path or bytes; the leaf, then its issuing certificates without the root (docs/protocol.md §2.1).
    key: a path or bytes; not encrypted. Boards want SEC1 or PKCS#1 DER (docs/micropython.md §1.2).
    """

    def __init__(self, certificate: "str | bytes", key: "str | bytes"):
        self._certificate = certificate
        self._key = key

    def certificates(self) -> "list[bytes]":
        """The certificates as DERs, leaf first. Raises AzureIoTError."""
        return _parse(self._certificate, encoding.certificates)

    def private_key(self) -> bytes:
        """The key as DER. Raises AzureIoTError."""
        return _parse(self._key, encoding.private_key)


def tls_context(credential, source: "str | bytes | None", host: str):
    """What a link to `host` needs to verify it against `roots` and to show the credential. Raises AzureIoTError."""
    try:
        return runtime.tls_context(credential.certificates(), credential.private_key(), roots(source, host))
    except ValueError as error:
        raise AzureIoTError("The credential cannot be used: %s." % error, "credential")


def roots(source: "str | bytes | None", host: str):
    """Yield the root certificates to trust, as DERs, one at a time.

    source: a file or directory, bytes, or None for those that ship with the library: then the China and US Government
    clouds get DigiCert Global Root CA besides (docs/protocol.md §4.5).  host: the server that will be connected to.
    Raises AzureIoTError.
    """
    if source is None:
        yield from _directory(runtime.ROOTS)
        if host.rpartition(".")[2] in ("cn", "us"):
            yield from _directory(runtime.ROOTS + "/sovereign")
    elif isinstance(source, str) and _is_directory(source):
        yield from _directory(source)
    else:
        yield from _parse(source, encoding.certificates, "tls-roots")


def _directory(path):
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise AzureIoTError("The root certificates in %s cannot be read: %s." % (path, error), "tls-roots")
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if dot + ending in _ENDINGS and (ending == "der" or stem + ".der" not in names):
            yield from _parse(path + "/" + name, encoding.certificates, "tls-roots")


def _is_directory(path):
    try:
        return bool(os.stat(path)[0] & 0x4000)
    except OSError:
        return False


def _parse(source, parse, code="credential"):
    name = "The given data"
    try:
        if not isinstance(source, (bytes, bytearray, memoryview)):
            name = str(source)
            with open(source, "rb") as file:
                source = file.read()
        return parse(bytes(source))
    except OSError as error:
        raise AzureIoTError("%s cannot be read: %s." % (name, error), code)
    except ValueError as error:
        raise AzureIoTError("%s: %s." % (name, error), code)
