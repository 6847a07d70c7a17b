"""The Device Provisioning Service over MQTT: register and poll as a state machine. No I/O, no clock.

Section numbers are those of docs/protocol.md.
"""

import json

from azureiot.encoding import query, quote
from azureiot.errors import AzureIoTError
from azureiot.runtime import const

API_VERSION = "2019-03-31"

_RESPONSE = "$dps/registrations/res/"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=%d"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=%d&operationId=%s"
_DEFAULT_RETRY_AFTER_S = const(3)  # seen in the service's own answers (§1.3)
_MAX_RETRY_AFTER_S = const(300)
_SHOWN_BYTES = const(60)  # of an answer that is not understood


class Registration:
    """One registration, from the first request to the assignment.

    Publish `request()`, give every message that comes to `receive()`, wait the seconds it returns, and so on until
    `hub` and `device_id` are known.
    """

    responses = b"$dps/registrations/res/#"  # what to subscribe to first

    def __init__(self, id_scope: str, registration_id: str, payload: "dict | None" = None):
        self.client_id = registration_id
        self.username = "%s/registrations/%s/api-version=%s" % (id_scope, registration_id, API_VERSION)
        self.hub = ""  # the assigned hub's host name, "" until it is known
        self.device_id = ""
        self.unanswered = False  # whether DPS owes an answer
        self._busy = None  # the last answer that put this device off, an AzureIoTError
        self._body: "dict[str, str | dict]" = {"registrationId": registration_id}
        if payload is not None:
            self._body["payload"] = payload
        self._operation_id = ""
        self._request_id = 0

    def request(self) -> "tuple[str, str]":
        """(topic, payload) of the next request: register, or ask how the operation stands."""
        self._request_id += 1
        self.unanswered = True
        if self._operation_id:
            return _POLL % (self._request_id, quote(self._operation_id)), ""
        return _REGISTER % self._request_id, json.dumps(self._body)

    def receive(self, topic: str, payload: bytes) -> "int | None":
        """Take a message: the seconds to wait before the next `request()`, or None (not ours, or assigned).

        Raises AzureIoTError when DPS refuses: its code, its words, its tracking id.
        """
        # $dps/registrations/res/{status}/?$rid={rid}&retry-after={s}
        status, _, rest = topic[len(_RESPONSE) :].partition("/?")
        fields = query(rest)
        ours = topic.startswith(_RESPONSE) and fields.get("$rid") == str(self._request_id)
        if not ours or not self.unanswered:
            return None
        self.unanswered = False
        try:
            status = int(status)
        except ValueError:
            raise _not_understood(topic, payload)
        try:
            answer = json.loads(payload)
        except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
            answer = None
        if not isinstance(answer, dict):
            answer = {}
        if status < 300:
            return self._progress(answer, fields, topic, payload)
        code = answer.get("errorCode")
        error = AzureIoTError(
            "DPS refused the registration: %s." % str(answer.get("message", "status %d" % status)).rstrip("."),
            code if isinstance(code, int) else status,
            _may_pass(status),
            str(answer.get("trackingId", "")),
        )
        if status == 409 or not error.retryable:  # another registration is under way: better to begin again later
            raise error
        self._busy = error
        return max(1, _retry_after_s(fields))

    def delay(self) -> "AzureIoTError | None":
        """Why it is not done yet, when DPS has said so."""
        if self._busy is None and self._operation_id:
            return AzureIoTError("DPS is still assigning this device.", "assigning", True)
        return self._busy

    def _progress(self, answer, fields, topic, payload):
        status = answer.get("status")
        state = answer.get("registrationState")
        if not isinstance(state, dict):
            state = {}
        if status == "assigning" or status == "unassigned":
            self._operation_id = str(answer.get("operationId") or self._operation_id)
            self._busy = None
            return _retry_after_s(fields)
        if status == "assigned":
            hub, device_id = state.get("assignedHub"), state.get("deviceId")
            if not (hub and isinstance(hub, str) and device_id and isinstance(device_id, str)):
                raise _not_understood("assigned without hub and device id", payload)
            self.hub, self.device_id = hub, device_id
            return None
        if not status or not isinstance(status, str):
            raise _not_understood(topic, payload)
        code = state.get("errorCode")
        if not isinstance(code, int):
            code = 0
        text = "DPS did not assign this device (%s): %s." % (status, state.get("errorMessage") or "no reason given")
        cause = "" if code or status == "disabled" else "failed"  # other ends have no hint of their own
        raise AzureIoTError(text, code or status, _may_pass(code // 1000), cause=cause)


def _may_pass(status):
    """Whether DPS may grant later what it refuses with this HTTP status."""
    return status == 409 or status == 429 or status >= 500


def _not_understood(what, payload):
    text = "DPS answered something that is not understood: %s, %r." % (what, payload[:_SHOWN_BYTES])
    return AzureIoTError(text, "dps-answer", True)


def _retry_after_s(fields):
    try:
        return min(_MAX_RETRY_AFTER_S, max(0, int(fields.get("retry-after"))))
    except (TypeError, ValueError):
        return _DEFAULT_RETRY_AFTER_S
