"""The body of a register request (docs/protocol.md §1.4)."""

from __future__ import annotations

import json
from typing import Any

from azureiot_tools.emulator.attestation import Refusal
from azureiot_tools.emulator.ids import same_id


def read_payload(registration_id: str, body: bytes) -> dict[str, Any] | None:
    """What the device says to a custom allocation, None for nothing.

    The body may be empty and need not name the device; if it does, it must be this one.

    Raises Refusal.
    """
    if not body.strip():
        return None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _refusal("Invalid request body", "the body of the register request is not a JSON object")
    if fields.get("csr") is not None:
        raise _refusal(
            "Invalid request body",
            "the body asks for a certificate (csr), and this emulator issues none: register without it",
            "docs/protocol.md §6.1",
        )
    named = fields.get("registrationId", registration_id)
    if not isinstance(named, str) or not same_id(named, registration_id):
        raise _refusal(
            "Invalid RegistrationId",
            f"the body names the registration id {named!r}, and the device says that it is '{registration_id}'",
        )
    payload = fields.get("payload")
    if not isinstance(payload, dict | None):
        raise _refusal("Invalid request body", "the 'payload' of the register request is neither an object nor null")
    return payload


def _refusal(message: str, reason: str, section: str = "docs/protocol.md §1.4") -> Refusal:
    return Refusal(message, reason, status=400, error_code=400004, section=section)
