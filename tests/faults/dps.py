"""What a DPS says, as items of scripts (docs/protocol.md §1.3 and §1.5)."""

from __future__ import annotations

import json
from typing import Any

from fakes import publish
from faults.identities import HUB
from faults.server import CONNECT, PUBLISH, SUBSCRIBE, Item, Peer, Script, message

# From the handshake to the device's first request.
ASKED_BY_DEVICE = (Peer.handshake, CONNECT, Peer.acknowledge, SUBSCRIBE, Peer.acknowledge, PUBLISH, Peer.acknowledge)


def answers(status: int | str, body: object, query: str = "", rid: str | None = None, packet_id: int = 0) -> Item:
    """DPS's answer to the last request (docs/protocol.md §1.3). body: text as it is, or what JSON can hold."""

    def send(peer: Peer) -> None:
        last = next(body for first, body in reversed(peer.packets) if first == PUBLISH)
        asked = message(last)[0].partition("$rid=")[2].partition("&")[0]
        topic = f"$dps/registrations/res/{status}/?$rid={asked if rid is None else rid}{query}"
        text = body if isinstance(body, str) else json.dumps(body)
        peer.send(publish(topic, text.encode(), packet_id))

    return send


def assigned(hub: str = HUB, device_id: str = "dev-1") -> dict[str, Any]:
    """The body of an assignment."""
    state = {"assignedHub": hub, "deviceId": device_id, "status": "assigned", "substatus": "initialAssignment"}
    return {"operationId": "5.a.b", "status": "assigned", "registrationState": {"registrationId": "dev-1", **state}}


def assigns(hub: str) -> Script:
    """A DPS that assigns this hub at once."""
    return (*ASKED_BY_DEVICE, answers(200, assigned(hub)))
