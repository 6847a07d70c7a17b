"""What to do about an error, by its code. The only text on a board that it can do without: leave this module out."""

# Six-digit codes: docs/protocol.md §1.5 and §3.14.
_HINTS = {
    400004: "Check the registration id: letters, digits and - . _ : only, at most 64 in a certificate.",
    401000: "The key, the id scope or the clock of this device is wrong.",
    401002: "DPS has no enrollment that accepts this certificate: check the id scope and the enrollment, send the leaf "
    "with every intermediate up to a CA that is verified in DPS, and let the leaf's CN be the registration id.",
    404201: "There is no enrollment for this registration id: create one, or check the id scope.",
    404202: "This registration does not exist any more: register again.",
    "connack-5": "The hub does not know this device or this certificate: let DPS register it again, and check that the "
    "device is enabled and its clock right.",
    "connack-3": "The service is busy or the device is disabled: try again later.",
    "disabled": "The enrollment is disabled in DPS: enable it.",
    "tls-untrusted": "The server's certificate does not lead to a trusted root: check `roots` (for a local emulator "
    "its own CA, for Azure the roots that ship with this library).",
    "tls-name": "The server's certificate is for another host: check the host name in the settings.",
    "tls-expired": "The server's certificate has expired: check the clock of this device, then the server.",
    "tls-clock": "The server's certificate is not valid yet: the clock of this device is behind. Set it (NTP) first.",
    "tls-roots": "No root certificate is loaded: check `roots`.",
    "tls-alert": "The server ended the handshake: it refuses the TLS version, the ciphers, or this certificate.",
    "credential": "Give the certificate (leaf first) and its key, unencrypted, as PEM or DER.",
    "dns": "Check the host name, and whether this device is on a network.",
    "refused": "Nothing listens there: check host and port, and whether the server runs.",
    "timeout": "Check host, port and network; a firewall may drop port 8883 without a word.",
    "closed": "The other side closed the connection without a reason, as Azure does for anything it does not allow.",
    "memory": "TLS needs about 40 KB with one free block of 17 KB: free memory before connecting, or use P-256 keys.",
}


def hint(code: "int | str") -> str:
    """The next step for `code` (an AzureIoTError's), or ""."""
    return _HINTS.get(code, "")
