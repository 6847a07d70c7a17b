"""The Device Provisioning Service over MQTT: register and poll as a state machine. No I/O, no clock.

Section numbers are those of docs/protocol.md.
"""

import json

from azureiot.encoding import query, quote
from azureiot.errors import AzureIoTError

GLOBAL_HOST = "global.azure-devices-provisioning.net"
API_VERSION = "2019-03-31"
RESPONSES = b"$dps/registrations/res/#"
_RESPONSE = "$dps/registrations/res/"

_DEFAULT_RETRY_AFTER_S = 3  # seen in the service's own answers (§1.3)
_MAX_RETRY_AFTER_S = 300
_REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=%d"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=%d&operationId=%s"


class Registration:
    """One registration, from the first request to the assignment.

    Publish `request()`, give every message that comes to `receive()`, wait the seconds it returns, and so on until
    `hub` and `device_id` are known.
    """

    def __init__(self, id_scope: str, registration_id: str, payload: "dict | None" = None):
        self.client_id = registration_id
        self.username = "%s/registrations/%s/api-version=%s" % (id_scope, registration_id, API_VERSION)
        self.hub = ""  # the assigned hub's host name, "" until it is known
        self.device_id = ""
        self.payload = None  # what a custom allocation returned
        self._body: "dict[str, str | dict]" = {"registrationId": registration_id}
        if payload is not None:
            self._body["payload"] = payload
        self._operation_id = None
        self._request_id = 0

    def request(self) -> "tuple[str, str]":
        """(topic, payload) of the next request: register, or ask how the operation stands."""
        self._request_id += 1
        if self._operation_id is None:
            return _REGISTER % self._request_id, json.dumps(self._body)
        return _POLL % (self._request_id, quote(self._operation_id)), ""

    def receive(self, topic: str, payload: bytes) -> "int | None":
        """Take a message: the seconds to wait before the next `request()`, or None (not ours, or assigned).

        Raises AzureIoTError when DPS refuses: its code, its words, its tracking id.
        """
        # $dps/registrations/res/{status}/?$rid={rid}&retry-after={s}
        status, _, rest = topic[len(_RESPONSE) :].partition("/?")
        fields = query(rest)
        if not topic.startswith(_RESPONSE) or fields.get("$rid") != str(self._request_id):
            return None
        try:
            status = int(status)
            answer = json.loads(payload)
            if not isinstance(answer, dict):
                raise ValueError
        except ValueError:
            raise AzureIoTError("DPS answered something that is not understood: %s." % topic, "dps-answer", True)
        if status < 300:
            return self._progress(answer, fields)
        if status == 429 or status >= 500:
            return max(1, _retry_after_s(fields))
        raise AzureIoTError(
            "DPS refused the registration: %s." % str(answer.get("message", "status %d" % status)).rstrip("."),
            answer.get("errorCode", status),
            status == 409,  # another registration of the same id is under way
            answer.get("trackingId", ""),
        )

    def _progress(self, answer, fields):
        state = answer.get("registrationState") or {}
        status = answer.get("status")
        if status == "assigning" or status == "unassigned":
            self._operation_id = answer.get("operationId") or self._operation_id
            return _retry_after_s(fields)
        if status == "assigned":
            if not state.get("assignedHub") or not state.get("deviceId"):
                raise AzureIoTError(
                    "DPS assigned this device without saying to which hub or as which device.", "dps-answer", True
                )
            self.hub = state["assignedHub"]
            self.device_id = state["deviceId"]
            self.payload = state.get("payload")
            return None
        raise AzureIoTError(
            "DPS did not assign this device (%s): %s." % (status, state.get("errorMessage") or "no reason given"),
            state.get("errorCode") or status or "dps-answer",
            status is None,
        )


def _retry_after_s(fields):
    try:
        return min(_MAX_RETRY_AFTER_S, max(0, int(fields.get("retry-after"))))
    except (TypeError, ValueError):
        return _DEFAULT_RETRY_AFTER_S
