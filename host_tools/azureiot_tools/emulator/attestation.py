"""Whether a device is who it says: DPS's rules for X.509 enrollments (docs/protocol.md §2.1).

TLS has proven that the device holds the key of the leaf it presented; nothing else about the chain has been checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from azureiot_tools.emulator.certificate import Certificate, UnreadableCertificate
from azureiot_tools.emulator.registry import CaCertificate, EnrollmentGroup, IndividualEnrollment, Registry

SECTION = "docs/protocol.md §2.1"
# More certificates than any real chain has; each costs signature checks.
LONGEST_CHAIN = 10

# What DPS tells the device (docs/protocol.md §1.5). It says little; a Refusal's reason says the rest.
UNAUTHORIZED = "Unauthorized"
INVALID_CERTIFICATE = "Invalid certificate"
CA_NOT_FOUND = "CA certificate not found."
NO_MATCH = "Signing certificate info did not match chain elements"


class Refusal(Exception):
    """DPS refuses the device.

    status, error_code, message: DPS's answer. reason: for the developer, what is missing and what to do next.
    section: where the rule stands.
    """

    def __init__(
        self, message: str, reason: str, *, status: int = 401, error_code: int = 401002, section: str = SECTION
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.reason = reason
        self.section = section


@dataclass(frozen=True, slots=True)
class Attested:
    """The enrollment that applies to a device, and the thumbprints of its leaf (upper-case hex).

    A disabled enrollment is an answer too (docs/protocol.md §2.2): look at `enabled`.
    """

    enrollment: IndividualEnrollment | EnrollmentGroup
    registration_id: str
    device_id: str
    leaf_sha1: str
    leaf_sha256: str

    @property
    def enabled(self) -> bool:
        return self.enrollment.enabled

    @property
    def group_id(self) -> str | None:
        """The enrollment group's id, None for an individual enrollment."""
        return self.enrollment.id if isinstance(self.enrollment, EnrollmentGroup) else None


def attest(registry: Registry, registration_id: str, chain: Sequence[bytes], now: datetime) -> Attested:
    """Find the enrollment that applies to a device.

    registration_id: from the username. chain: DER as the client sent it, leaf first, maybe empty. now: aware.

    Raises Refusal.
    """
    sent = _read_chain(registration_id, chain)
    leaf = sent[0]
    _check_common_name(leaf, registration_id)
    _check_dates(leaf, now)
    uploaded = {record.der: record for record in registry.certificates()}
    path = _path(sent, uploaded, now)

    individual = registry.enrollment(registration_id)
    if individual is not None:
        _check_individual(individual, path, now)
        return Attested(
            individual,
            individual.registration_id,
            individual.device_id or individual.registration_id,
            leaf.sha1,
            leaf.sha256,
        )
    group = _find_group(registry.groups(), path, now)
    return Attested(group, registration_id, registration_id, leaf.sha1, leaf.sha256)


@dataclass(frozen=True)
class _Link:
    """A certificate of the device's path, and the record where it is an uploaded CA."""

    certificate: Certificate
    uploaded: CaCertificate | None

    @property
    def verified(self) -> bool:
        return self.uploaded is not None and self.uploaded.verified


def _read_chain(registration_id: str, chain: Sequence[bytes]) -> list[Certificate]:
    if not chain:
        raise Refusal(UNAUTHORIZED, f"'{registration_id}' presented no client certificate in the TLS handshake.")
    if len(chain) > LONGEST_CHAIN:
        raise Refusal(INVALID_CERTIFICATE, f"The chain has {len(chain)} certificates; at most {LONGEST_CHAIN} count.")
    sent = []
    for position, der in enumerate(chain, start=1):
        try:
            sent.append(Certificate.read(der))
        except UnreadableCertificate as error:
            raise Refusal(
                INVALID_CERTIFICATE, f"Certificate {position} of the chain cannot be read: {error}."
            ) from None
    return sent


def _check_common_name(leaf: Certificate, registration_id: str) -> None:
    names = leaf.common_names
    if len(names) != 1:
        raise Refusal(
            UNAUTHORIZED,
            f"The leaf's subject '{leaf.name}' has {len(names)} common names; it must have "
            f"one, the registration id '{registration_id}'.",
        )
    if names[0].lower() != registration_id.lower():
        raise Refusal(
            UNAUTHORIZED, f"The leaf's common name '{names[0]}' is not the registration id '{registration_id}'."
        )


def _check_dates(certificate: Certificate, now: datetime) -> None:
    if now < certificate.starts:
        raise Refusal(
            INVALID_CERTIFICATE,
            f"'{certificate.name}' is not valid before {certificate.starts:%Y-%m-%d %H:%M} UTC, and it is "
            f"{now:%Y-%m-%d %H:%M}. Look at the clock of the machine that issued it.",
        )
    if now > certificate.ends:
        raise Refusal(
            INVALID_CERTIFICATE,
            f"'{certificate.name}' expired at {certificate.ends:%Y-%m-%d %H:%M} UTC. Issue it anew.",
        )


def _path(sent: list[Certificate], uploaded: dict[bytes, CaCertificate], now: datetime) -> list[_Link]:
    """From the leaf upwards, each certificate with the one above it that signed it.

    Issuers are looked for among what the device sent, in whatever order, and among the uploaded CAs; strangers are left
    out. It ends at a self-signed certificate, or where no issuer is found.

    Raises Refusal when there is a certificate of the issuer's name and none with its key.
    """
    path = [_Link(sent[0], uploaded.get(sent[0].der))]
    pool = {one.der: _Link(one, uploaded.get(one.der)) for one in sent[1:]}
    pool |= {der: _Link(Certificate.read(der), record) for der, record in uploaded.items()}
    pool.pop(sent[0].der, None)
    while not path[-1].certificate.self_signed:
        lower = path[-1].certificate
        namesakes = [link for link in pool.values() if link.certificate.x509.subject == lower.x509.issuer]
        issuers = [link for link in namesakes if link.certificate.issued(lower)]
        if issuers:
            # Several are one CA renewed under its key: one that is verified and still valid serves best.
            path.append(max(issuers, key=lambda link: (link.verified, now <= link.certificate.ends)))
            del pool[path[-1].certificate.der]
        elif namesakes:
            record = namesakes[0].uploaded
            whose = f"uploaded as '{record.name}'" if record else "sent by the device"
            raise Refusal(
                NO_MATCH if record else INVALID_CERTIFICATE,
                f"'{lower.name}' names the issuer '{lower.issuer_name}', but the certificate of that name "
                f"({whose}) has another key: its signature does not verify.",
            )
        else:
            break
    return path


def _check_individual(enrollment: IndividualEnrollment, path: list[_Link], now: datetime) -> None:
    if not enrollment.enabled:
        return  # it blocks the device whatever it presents (rules 2 and 4)
    leaf = path[0].certificate
    if leaf.der not in enrollment.certificates:
        raise Refusal(
            UNAUTHORIZED,
            f"'{enrollment.registration_id}' has an individual enrollment, and the leaf it "
            f"presented (SHA-256 {leaf.sha256}) is none of that enrollment's certificates.",
        )
    if not leaf.self_signed:
        _check_up_to_verified(
            path,
            1,
            now,
            "An individual enrollment whose leaf was issued by a CA needs a verified certificate in its chain.",
        )


def _find_group(groups: list[EnrollmentGroup], path: list[_Link], now: datetime) -> EnrollmentGroup:
    """The first group from the leaf's issuer up to the root (rule 1), if the chain holds as far as it must (rule 7)."""
    for position, link in enumerate(path[1:], start=1):
        for group in groups:
            if link.certificate.der in group.signing_certificates:
                _check_up_to_verified(
                    path, position, now, f"The certificate of group '{group.id}' must roll up to a verified CA."
                )
                return group
            if link.uploaded is not None and link.uploaded.name in group.ca_names:
                if not link.verified:
                    raise Refusal(CA_NOT_FOUND, f"Group '{group.id}' admits nobody now. {_not_verified(link.uploaded)}")
                _check_issuers(path[1 : position + 1], now)
                return group
    raise _no_group(path)


def _check_up_to_verified(path: list[_Link], start: int, now: datetime, rule: str) -> None:
    """The path must reach a verified CA at `start` or above, and hold up to there."""
    for position in range(start, len(path)):
        if path[position].verified:
            return _check_issuers(path[1 : position + 1], now)
    raise Refusal(CA_NOT_FOUND, f"{rule} {_what_is_missing(path)}")


def _check_issuers(links: list[_Link], now: datetime) -> None:
    """Each may issue certificates, has few enough CAs below it, and is valid now. (`_path` checked the signatures.)"""
    for below, link in enumerate(links):
        certificate = link.certificate
        if not certificate.is_ca:
            raise Refusal(
                INVALID_CERTIFICATE,
                f"'{certificate.name}' issued a certificate of the chain, and is not a "
                "CA by its basic constraints and key usage.",
            )
        if certificate.path_length is not None and below > certificate.path_length:
            raise Refusal(
                INVALID_CERTIFICATE,
                f"'{certificate.name}' allows {certificate.path_length} CAs below it "
                f"(path length), and the chain has {below}.",
            )
        _check_dates(certificate, now)


def _no_group(path: list[_Link]) -> Refusal:
    leaf = path[0].certificate
    if leaf.self_signed:
        return Refusal(
            UNAUTHORIZED,
            f"'{leaf.name}' is self-signed, so only an individual enrollment can admit it; "
            "there is none: azureiot service enroll device REGISTRATION_ID --cert FILE",
        )
    for link in path[1:]:
        if link.uploaded is not None and link.verified:
            name = link.uploaded.name
            return Refusal(
                NO_MATCH,
                f"The chain leads to the verified CA '{name}', but there is no enrollment for it: "
                f"azureiot service enroll group ID --ca {name}",
            )
    return Refusal(CA_NOT_FOUND, f"No enrollment applies. {_what_is_missing(path)}")


def _what_is_missing(path: list[_Link]) -> str:
    """Why the path reaches no verified CA."""
    for link in path[1:]:
        if link.uploaded is not None:
            return _not_verified(link.uploaded)
    top = path[-1].certificate
    if top.self_signed:
        return f"The chain ends at '{top.name}', which is not uploaded: azureiot service cert upload FILE"
    return (
        f"'{top.name}' was issued by '{top.issuer_name}', which the device did not send and which is not uploaded. "
        "A device sends its leaf and every intermediate up to a verified CA."
    )


def _not_verified(ca: CaCertificate) -> str:
    return f"The CA '{ca.name}' is uploaded but not verified: azureiot service cert code {ca.name}"
