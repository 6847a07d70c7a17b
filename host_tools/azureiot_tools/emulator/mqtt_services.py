"""What MQTT clients connect to: DPS and the hubs, which share a port."""

from __future__ import annotations

from typing import Any

from azureiot_tools.emulator.dps.mqtt import Dps, is_username
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.hub.username import parse_username
from azureiot_tools.emulator.mqtt.packets import Connect
from azureiot_tools.emulator.mqtt.session import Reject, Service
from azureiot_tools.emulator.peer import Peer


class MqttServices:
    """DPS and the hubs, told apart by the username of a CONNECT."""

    def __init__(self, dps: Dps, hubs: dict[str, Hub]) -> None:
        self._dps = dps
        self._hubs = hubs

    def route(self, peer: Peer, connect: Connect) -> Service[Any]:
        """The service that a CONNECT is for. Raises Reject."""
        username = connect.username or ""
        if is_username(username):
            return self._dps
        parsed = parse_username(username)
        if parsed is None:
            raise Reject(
                f"the username '{username}' is neither one for DPS "
                "({idScope}/registrations/{registrationId}/api-version=…) nor one for a hub "
                "({hubHost}/{deviceId}/?api-version=…)",
                "docs/protocol.md §3.1",
            )
        # A hub's device endpoint has a name of its own, and clients write either (docs/protocol.md §3.1, §4.6).
        found = self._hubs.get(parsed.host) or self._hubs.get(parsed.host.replace(".device.", ".", 1))
        if found is None:
            raise Reject(
                f"there is no hub '{parsed.host}' here, only {', '.join(self._hubs)}; a device that was assigned to it "
                "is assigned anew when it registers with DPS again",
                "docs/protocol.md §3.1",
            )
        return found

    def disconnect_all(self) -> None:
        """Close every connection."""
        for service in (self._dps, *self._hubs.values()):
            for session in list(service.sessions.values()):
                if session.link is not None:
                    session.link.close("disconnected", "the emulator stops")
