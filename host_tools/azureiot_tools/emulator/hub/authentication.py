"""Whether a client is the device that it says it is."""

from __future__ import annotations

import hashlib

from azureiot_tools.emulator.mqtt.packets import Connect
from azureiot_tools.emulator.mqtt.session import Reject
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import DeviceIdentity


def authenticate(identity: DeviceIdentity, peer: Peer, connect: Connect) -> None:
    """The leaf must be the one whose thumbprint the hub holds (docs/protocol.md §2.5, §4.4). Raises Reject."""
    if not peer.chain:
        also = "; SAS tokens are not checked by this emulator" if connect.password else ""
        raise Reject(f"'{identity.device_id}' presented no client certificate{also}", "docs/protocol.md §4.4")
    thumbprint = hashlib.sha256(peer.chain[0]).hexdigest().upper()
    if thumbprint not in identity.thumbprints:
        known = ", ".join(f"{known[:16]}…" for known in identity.thumbprints) or "none"
        raise Reject(
            f"the certificate of '{identity.device_id}' has the SHA-256 thumbprint {thumbprint[:16]}… and the "
            f"hub knows {known}: after a renewal the device must register with DPS again",
            "docs/protocol.md §2.5",
        )
