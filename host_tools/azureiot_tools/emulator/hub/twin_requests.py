"""A device's twin over MQTT: what it asks for, and the desired properties it is told of (docs/protocol.md §3.8)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from azureiot_tools.emulator.azure_json import error_body
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.packets import Publish
from azureiot_tools.emulator.mqtt.session import Drop, Session
from azureiot_tools.emulator.topics import split_query
from azureiot_tools.emulator.twin_document import BadTwin, Json, parse
from azureiot_tools.emulator.twins import Twins

_REQUEST = re.compile(r"\$iothub/twin/(?P<what>GET|PATCH/properties/reported)/\?(?P<query>.*)", re.DOTALL)
_RESPONSE = "$iothub/twin/res/{status}/?$rid={rid}"
_DESIRED = "$iothub/twin/PATCH/properties/desired/?$version={version}"


class TwinRequests:
    """The twin requests of one hub's devices."""

    def __init__(
        self,
        host: str,
        sessions: Mapping[str, Session[ConnectedDevice]],
        twins: Twins,
        events: Events,
        now: Callable[[], datetime],
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._twins = twins
        self._events = events
        self._now = now
        twins.watch(host, self._desired_changed)

    def requested(self, session: Session[ConnectedDevice], message: Publish) -> None:
        """A device's PUBLISH to $iothub/twin. Raises Drop for a topic that is none of a request."""
        match = _REQUEST.fullmatch(message.topic)
        rid = split_query(match["query"]).get("$rid") if match else None
        if match is None or not rid:
            raise Drop(
                f"a PUBLISH to '{message.topic}', which is neither $iothub/twin/GET/?$rid={{rid}} nor "
                "$iothub/twin/PATCH/properties/reported/?$rid={rid}",
                "docs/protocol.md §3.9",
            )
        device_id = session.principal.identity.device_id
        if session.principal.api_version is None:
            why = "The username has no api-version, which twins need: {hubHost}/{deviceId}/?api-version=2021-04-12."
            self._refuse(session, rid, why, "docs/protocol.md §3.1")
        elif match["what"] == "GET":
            twin = self._twins.get(self._host, device_id)
            body = {
                "desired": {**twin.desired, "$version": twin.desired_version},
                "reported": {**twin.reported, "$version": twin.reported_version},
            }
            self._answer(session, 200, rid, body)
        else:
            try:
                twin = self._twins.report(self._host, device_id, parse(message.payload))
            except BadTwin as error:
                # The service's words (§3.8), and what exactly is wrong.
                why = f"Provided json is not a valid 'tags' or 'properties' object: {error}."
                self._refuse(session, rid, why, "docs/protocol.md §3.8")
            else:
                self._answer(session, 204, f"{rid}&$version={twin.reported_version}")

    def _refuse(self, session: Session[ConnectedDevice], rid: str, why: str, section: str) -> None:
        self._events.publish("twin", session.name, f"a request was answered with 400: {why}", section, hub=self._host)
        self._answer(session, 400, rid, error_body(400004, why, self._now()))

    def _answer(self, session: Session[ConnectedDevice], status: int, rid: str, body: Json | None = None) -> None:
        topic = _RESPONSE.format(status=status, rid=rid)
        if session.publish(topic, b"" if body is None else _json(body)) is None and session.link is not None:
            text = f"a request has no answer ({status}): the device has not subscribed to $iothub/twin/res/#"
            self._events.publish("twin", session.name, text, "docs/protocol.md §3.8", hub=self._host)

    def _desired_changed(self, device_id: str, patch: Json, version: int) -> None:
        """Tell the device if it is there; nothing is kept for one that is away (§3.8)."""
        session = self._sessions.get(device_id)
        if session is not None:
            session.publish(_DESIRED.format(version=version), _json({**patch, "$version": version}))


def _json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
