"""What comes of an attestation: the enrollment that applies, or a refusal (docs/protocol.md §1.5, §2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment

SECTION = "docs/protocol.md §2.1"

# What DPS tells the device (docs/protocol.md §1.5). It says little; a Refusal's reason says the rest.
UNAUTHORIZED = "Unauthorized"
INVALID_CERTIFICATE = "Invalid certificate"
CA_NOT_FOUND = "CA certificate not found."
NO_MATCH = "Signing certificate info did not match chain elements"

Enrollment = IndividualEnrollment | EnrollmentGroup


class Refusal(Exception):
    """DPS refuses the device.

    status, error_code, message, retry_after_s: DPS's answer. reason: for the developer, what is missing and what to do
    next. section: where the rule stands.
    """

    def __init__(
        self,
        message: str,
        reason: str,
        *,
        status: int = 401,
        error_code: int = 401002,
        section: str = SECTION,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.reason = reason
        self.section = section
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Attested:
    """The enrollment that applies to a device; and what its hub shall know it by: the thumbprints of its leaf
    (upper-case hex), or, without a leaf (""), symmetric keys.

    A disabled enrollment is an answer too (docs/protocol.md §2.2): look at `enabled`.
    """

    enrollment: Enrollment
    registration_id: str
    device_id: str
    leaf_sha1: str = ""
    leaf_sha256: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def enabled(self) -> bool:
        return self.enrollment.enabled

    @property
    def group_id(self) -> str | None:
        """The enrollment group's id, None for an individual enrollment."""
        return self.enrollment.id if isinstance(self.enrollment, EnrollmentGroup) else None
