"""Attestation by symmetric key: DPS's rules for SAS tokens (docs/protocol.md §1.6, §2.1 rules 4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from azureiot_tools.emulator.attestation.outcome import UNAUTHORIZED, Attested, Refusal
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.sas import BadToken, SasRules, SasToken, derived_key

SECTION = "docs/protocol.md §1.6"
KEY_NAME = "registration"


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """A device that shows a SAS token. registration_id: as it spells it.  password: the token; b"" for none."""

    registration_id: str
    password: bytes = field(repr=False)
    id_scope: str
    now: datetime
    rules: SasRules

    def attest_individual(self, enrollment: IndividualEnrollment) -> Attested:
        """By the keys of its own enrollment. Raises Refusal."""
        if not self._token().is_signed_with(enrollment.keys):
            raise _refusal(
                f"The token is signed with neither key of the individual enrollment '{enrollment.registration_id}'."
            )
        device_id = enrollment.device_id or enrollment.registration_id
        return Attested(enrollment, enrollment.registration_id, device_id, keys=enrollment.keys)

    def attest_in_group(self, groups: Iterable[EnrollmentGroup]) -> Attested:
        """By a key that is derived from a group's; the id does not name the group, so all are tried. Raises Refusal."""
        token = self._token()
        groups = [group for group in groups if group.keys]
        for group in groups:
            keys = tuple(derived_key(key, self._derivation_id()) for key in group.keys)
            if token.is_signed_with(keys):
                return Attested(group, self.registration_id, self.registration_id, keys=keys)
        for group in groups:
            if token.is_signed_with(group.keys):
                raise _refusal(
                    f"The token is signed with the key of group '{group.id}' itself. A device signs with its own key, "
                    "base64(HMAC-SHA256(group key, registration id))."
                )
        names = ", ".join(group.id for group in groups)
        raise _refusal(
            f"No enrollment applies. '{self.registration_id}' has no individual one, and its token is signed with the "
            f"device key of no group ({names}); the id counts as it is spelled."
            if names
            else f"No enrollment applies. '{self.registration_id}' has no individual one, and there is no enrollment "
            "group with symmetric keys."
        )

    def _derivation_id(self) -> str:
        return self.registration_id.lower() if self.rules.lower_case_ids else self.registration_id

    def _token(self) -> SasToken:
        """The token, found good but for its signature. Raises Refusal."""
        if not self.password:
            raise _refusal(f"'{self.registration_id}' has symmetric keys, and sent no SAS token as password.")
        resource = f"{self.id_scope}/registrations/{self.registration_id}"
        try:
            token = SasToken.parse(self.password)
            if not same_id(token.resource, resource):
                raise BadToken(f"the SAS token is for '{token.resource}', not for '{resource}'")
            if token.key_name not in ("", KEY_NAME):
                raise BadToken(f"the SAS token's key name (skn) is '{token.key_name}', not '{KEY_NAME}'")
            token.check_time(self.now, self.rules.skew_s)
        except BadToken as error:
            raise _refusal(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
        return token


def _refusal(reason: str) -> Refusal:
    return Refusal(UNAUTHORIZED, reason, error_code=401000, section=SECTION)
