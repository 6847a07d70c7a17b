"""Whether a client is the device that it says it is."""

from __future__ import annotations

import hashlib
from datetime import datetime

from azureiot_tools.emulator.mqtt.packets import Connect
from azureiot_tools.emulator.mqtt.session import Reject
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.records import DeviceIdentity
from azureiot_tools.emulator.sas import BadToken, SasRules, SasToken


def authenticate(
    identity: DeviceIdentity, peer: Peer, connect: Connect, now: datetime, rules: SasRules
) -> datetime | None:
    """By a token of its keys or by its certificate, as its identity says.

    Returns until when the connection may last, None for as long as it likes. Raises Reject.
    """
    if identity.authentication == "sas":
        return _by_token(identity, connect, now, rules)
    _by_certificate(identity, peer, connect)
    return None


def _by_token(identity: DeviceIdentity, connect: Connect, now: datetime, rules: SasRules) -> datetime:
    if not connect.password:
        raise Reject(f"'{identity.device_id}' has symmetric keys, and sent no SAS token", "docs/protocol.md §3.1")
    try:
        token = SasToken.parse(connect.password)
        _check_resource(token, identity)
        token.check_time(now, rules.skew_s)
    except BadToken as error:
        raise Reject(f"'{identity.device_id}': {error}", "docs/protocol.md §3.1") from None
    if not token.is_signed_with(identity.keys):
        raise Reject(
            f"the SAS token of '{identity.device_id}' is signed with neither of its keys: after a key was changed the "
            "device must register with DPS again",
            "docs/protocol.md §3.1",
        )
    return token.expires(rules.grace_s)


def _check_resource(token: SasToken, identity: DeviceIdentity) -> None:
    """It must be for this device. Which host it names for a hub's device endpoint is not verified: either will do
    (docs/protocol.md §9.7). Raises BadToken.
    """
    if token.key_name:
        raise BadToken(f"the SAS token is of the hub policy '{token.key_name}' (skn); the emulator's hubs have none")
    host, slash, path = token.resource.partition("/")
    hosts = (identity.hub.lower(), identity.hub.lower().replace(".", ".device.", 1))
    if host.lower() not in hosts or slash + path != f"/devices/{identity.device_id}":
        raise BadToken(
            f"the SAS token is for '{token.resource}', not for '{identity.hub}/devices/{identity.device_id}'"
        )


def _by_certificate(identity: DeviceIdentity, peer: Peer, connect: Connect) -> None:
    """The leaf must be the one whose thumbprint the hub holds (docs/protocol.md §2.5, §4.4)."""
    if not peer.chain:
        also = ", by which the hub knows it; a SAS token does not help" if connect.password else ""
        raise Reject(f"'{identity.device_id}' presented no client certificate{also}", "docs/protocol.md §4.4")
    thumbprint = hashlib.sha256(peer.chain[0]).hexdigest().upper()
    if thumbprint not in identity.thumbprints:
        known = ", ".join(f"{known[:16]}…" for known in identity.thumbprints) or "none"
        raise Reject(
            f"the certificate of '{identity.device_id}' has the SHA-256 thumbprint {thumbprint[:16]}… and the "
            f"hub knows {known}: after a renewal the device must register with DPS again",
            "docs/protocol.md §2.5",
        )
