"""Whether a device is who it says, and which enrollment applies to it: DPS's rules (docs/protocol.md §2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from azureiot_tools.emulator.attestation import x509
from azureiot_tools.emulator.attestation.outcome import (
    CA_NOT_FOUND,
    INVALID_CERTIFICATE,
    NO_MATCH,
    UNAUTHORIZED,
    Attested,
    Enrollment,
    Refusal,
)
from azureiot_tools.emulator.attestation.symmetric_key import TokenBearer
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import PREFIX, SasRules

__all__ = [
    "CA_NOT_FOUND",
    "INVALID_CERTIFICATE",
    "NO_MATCH",
    "UNAUTHORIZED",
    "Attested",
    "Enrollment",
    "Refusal",
    "attest",
]


def attest(
    registry: Registry,
    registration_id: str,
    chain: Sequence[bytes],
    now: datetime,
    *,
    password: bytes = b"",
    id_scope: str = "",
    rules: SasRules | None = None,
) -> Attested:
    """Find the enrollment that applies to a device.

    registration_id: as the device sent it. chain: DER as the client sent it, leaf first, maybe empty. now: aware.
    password: of the CONNECT, or the token of an HTTPS request; what a device with a certificate sends beside it counts
    only if it is a SAS token. id_scope: what a token must be for.

    Raises Refusal.
    """
    individual = registry.enrollment(registration_id)
    by_token = password.startswith(PREFIX.encode()) or bool(password and not chain)
    bearer = TokenBearer(registration_id, password, id_scope, now, rules or SasRules())
    # A disabled one blocks a device that comes with a certificate, too: rule 4.
    if individual is not None and individual.keys and (individual.enabled or by_token or not chain):
        return bearer.attest_individual(individual)
    if individual is None and by_token:
        return bearer.attest_in_group(registry.groups())
    if by_token and not chain:
        raise Refusal(
            UNAUTHORIZED,
            f"'{registration_id}' came with a password and without a client certificate, and its individual enrollment "
            "is by certificate.",
        )
    return x509.attest(registry, registration_id, chain, now)
