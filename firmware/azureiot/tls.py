"""The TLS context: this device's certificate and key, and the roots it trusts, from files or bytes, PEM or DER.

Needed once, when the device first connects: a board then forgets this module (runtime.once).
"""

import os

import azureiot.runtime as runtime
from azureiot.errors import AzureIoTError

der = runtime.once("azureiot.der")

_ENDINGS = (".der", ".pem", ".crt", ".cer")


def context(credential, source: "str | bytes | None", host: str):
    """What a link to `host` needs to verify it and to show the credential, an X509.

    source, host: see `roots`.  Raises AzureIoTError.
    """
    try:
        return runtime.tls_context(
            certificates(credential.certificate), private_key(credential.key), roots(source, host)
        )
    except ValueError as error:
        raise AzureIoTError("The credential cannot be used: %s." % error, "credential")


def certificates(source: "str | bytes") -> "list[bytes]":
    """The certificates in a file or in bytes as DERs. Raises AzureIoTError."""
    return _parse(source, der.certificates)


def private_key(source: "str | bytes") -> bytes:
    """The private key in a file or in bytes as DER. Raises AzureIoTError."""
    return _parse(source, der.private_key)


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
        yield from _parse(source, der.certificates, "tls-roots")


def _directory(path):
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise AzureIoTError("The root certificates in %s cannot be read: %s." % (path, error), "tls-roots")
    found = False
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if dot + ending in _ENDINGS and (ending == "der" or stem + ".der" not in names):
            yield from _parse(path + "/" + name, der.certificates, "tls-roots")
            found = True
    if not found:
        raise AzureIoTError("There is no root certificate in %s." % path, "tls-roots")


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
