"""What to do about an error, by its code. The only text on a board that it can do without: leave this module out."""

# Numbers: docs/protocol.md §1.5 and §3.14. Three digits stand for every code of that class that has no line of its own.
_HINTS = {
    400: "DPS takes this request for malformed: check the id scope, the registration id and the payload.",
    400004: "Check the registration id: letters, digits and - . _ : only, at most 64 in a certificate.",
    400207: "The custom allocation of this enrollment failed: look at its function's log.",
    400208: "The enrollment names no hub: link one to it in DPS.",
    400209: "DPS may not use the hub: check the linked hub's access policy in DPS.",
    401: "Check the credential, the id scope and the clock of this device.",
    401002: "DPS has no enrollment that accepts this certificate: check the id scope and the enrollment, send the leaf "
    "with every intermediate up to a CA that is verified in DPS, and let the leaf's CN be the registration id.",
    403: "Check the service's quota and network rules, and whether the device is enabled.",
    404: "Check the id scope and the registration id: DPS has nothing under them.",
    404201: "There is no enrollment for this registration id: create one, or check the id scope.",
    404202: "This registration does not exist any more: register again.",
    409: "Two registrations of the same id are under way: see whether two devices have this id.",
    429: "DPS is throttled: let fewer devices register at once; this one asks again.",
    500: "The fault is the service's: this device tries again; if that goes on, look at Azure's status page.",
    "assigning": "DPS is still choosing a hub: wait longer, or look at the enrollment's allocation policy.",
    "failed": "Look at the enrollment in DPS: its allocation policy and its linked hubs.",
    "disabled": "The enrollment is disabled in DPS: enable it.",
    "dps-answer": "Check the provisioning host: what answers is not DPS as this library knows it.",
    "dps-long": "Give this device a larger max_packet_bytes, or let the custom allocation return a shorter payload.",
    "suback": "Check the provisioning host: DPS itself always grants this subscription.",
    "connack-2": "The server does not take this client id: check the device id, or the registration id.",
    "connack-3": "The service is busy or the device is disabled: try again later.",
    "connack-4": "Check the credential and the device id.",
    "connack-5": "A hub that says so does not know this device or this certificate: let DPS register it again, and "
    "check that the device is enabled and its clock right. With DPS: check id scope and registration id.",
    "mqtt": "Check host and port: what answers there is not the MQTT of Azure.",
    "tls-untrusted": "The server's certificate does not lead to a trusted root: check `roots` (for a local emulator "
    "its own CA, for Azure the roots that ship with this library).",
    "tls-name": "The server's certificate is for another host: check the host name in the settings.",
    "tls-expired": "The server's certificate has expired: check the clock of this device, then the server.",
    "tls-clock": "The server's certificate is not valid yet: the clock of this device is behind. Set it (NTP) first.",
    "tls-certificate": "The server's certificate is not meant for servers (serverAuth): give the server another one.",
    "tls-roots": "No root certificate is loaded: check `roots`.",
    "tls-alert": "The server refuses this device in the handshake: check this device's certificate (its dates, its "
    "chain, whether the server knows its CA), then the TLS version and the ciphers of the server.",
    "tls-closed": "If this goes on, the server refuses this device's certificate, or does no TLS on this port: check "
    "the certificate's dates and chain, then host and port.",
    "tls-protocol": "What answers does not speak TLS 1.2: check host and port (Azure's is 8883).",
    "credential": "Give the certificate (leaf first) and its key, unencrypted, as PEM or DER.",
    "dns": "Check the host name, and whether this device is on a network.",
    "refused": "Nothing listens there: check host and port, and whether the server runs.",
    "timeout": "Check host, port and network; a firewall may drop port 8883 without a word.",
    "no-answer": "The connection stood and no answer came: the network was lost, or the server is overloaded; if that "
    "goes on, look at the server's log.",
    "closed": "Azure closes without a word what it does not allow, and a network may break: if this goes on, check the "
    "id scope, the device id and the hub's quota.",
    "network": "Check whether this device is on a network that reaches the server.",
    "memory": "TLS needs about 40 KB with one free block of 17 KB: free memory before connecting, or use P-256 keys.",
}


def hint(code: "int | str") -> str:
    """The next step for `code` (an AzureIoTError's), or ""."""
    if code not in _HINTS and isinstance(code, int):
        code = code // 1000 if code >= 1000 else code
        if code not in _HINTS:
            code = code // 100 * 100
    return _HINTS.get(code, "")
