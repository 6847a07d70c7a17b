"""DPS over MQTT: its topics, and what comes before a request (docs/protocol.md §1.2, §1.3)."""

from __future__ import annotations

import itertools
import json
import re
from urllib.parse import unquote

from azureiot_tools.emulator.dps.provisioning import Provisioning, Registrant
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.emulator.mqtt.packets import Connect, Publish
from azureiot_tools.emulator.mqtt.session import Drop, Reject, Service, Session
from azureiot_tools.emulator.peer import Peer
from azureiot_tools.emulator.topics import split_query

RESPONSES = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?"

MAX_MESSAGE_BYTES = 96 * 1024  # docs/protocol.md §1.3

_USERNAME = re.compile(r"(?P<id_scope>[^/]+)/registrations/(?P<registration_id>[^/]+)/api-version=.+")
_FOR_DPS = re.compile(r"[^/]+/registrations/[^/?]")


def is_username(username: str) -> bool:
    """Whether a CONNECT's username is meant for DPS; `Dps.on_connect` says what is wrong with it, if anything."""
    return _FOR_DPS.match(username) is not None


class Dps(Service[Registrant]):
    """A DPS instance as MQTT clients see it."""

    max_packet_bytes = MAX_MESSAGE_BYTES
    keeps_sessions = False  # docs/protocol.md §1.2: session present is always 0

    def __init__(self, provisioning: Provisioning, events: Events) -> None:
        super().__init__()
        self.name = f"DPS {provisioning.id_scope}"
        self._provisioning = provisioning
        self._events = events
        self._connections = itertools.count(1)

    def on_connect(self, peer: Peer, connect: Connect) -> tuple[str, Registrant]:
        """Any credentials will do until the device registers; only the names must agree (docs/protocol.md §1.2)."""
        username = _USERNAME.fullmatch(connect.username or "")
        if username is None:
            raise Reject(
                "the username is not {idScope}/registrations/{registrationId}/api-version=… (without a ? "
                "before api-version)",
                "docs/protocol.md §1.2",
            )
        registration_id = username["registration_id"]
        if not same_id(connect.client_id, registration_id):
            raise Reject(
                f"the client id '{connect.client_id}' is not the username's registration id '{registration_id}'",
                "docs/protocol.md §1.2",
            )
        # Nobody has proved to be this device yet: a connection must not close another one that says the same.
        session_name = f"{registration_id}/{next(self._connections)}"
        return session_name, Registrant(username["id_scope"], registration_id, peer.chain, connect.password or b"")

    def on_subscribe(self, session: Session[Registrant], topic_filter: str, qos: int) -> int:
        if topic_filter != RESPONSES:
            raise Drop(f"a SUBSCRIBE to '{topic_filter}'; DPS has only {RESPONSES}", "docs/protocol.md §1.3")
        return min(qos, 1)

    def on_publish(self, session: Session[Registrant], message: Publish) -> None:
        request = next((kind for kind in (REGISTER, POLL) if message.topic.startswith(kind)), None)
        if request is None:
            raise Drop(f"a PUBLISH to '{message.topic}', which is no topic of DPS", "docs/protocol.md §1.3")
        query = split_query(message.topic.removeprefix(request))
        request_id = query.get("$rid")
        if not request_id:
            raise Drop(f"a PUBLISH to '{message.topic}', which has no $rid", "docs/protocol.md §1.3")
        registrant = session.principal
        if RESPONSES not in session.subscriptions:
            self._events.publish(
                "refused",
                registrant.registration_id,
                f"not answered: the device has not subscribed to {RESPONSES} before it asked",
                "docs/protocol.md §1.3",
            )
            return
        if request == REGISTER:
            answer = self._provisioning.register(registrant, message.payload)
        else:
            answer = self._provisioning.poll(registrant, unquote(query.get("operationId") or ""))
        retry_after = "" if answer.retry_after_s is None else f"&retry-after={answer.retry_after_s}"
        # $rid comes first and as it was sent: the Python and C# SDKs look for it there (docs/protocol.md §1.3).
        session.publish(
            f"$dps/registrations/res/{answer.status}/?$rid={request_id}{retry_after}",
            json.dumps(answer.body, separators=(",", ":")).encode(),
        )
