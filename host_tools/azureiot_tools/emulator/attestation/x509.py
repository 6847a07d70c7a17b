"""Attestation by certificate: DPS's rules for X.509 enrollments (docs/protocol.md §2.1).

TLS has proven that the device holds the key of the leaf it presented; nothing else about the chain has been checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from azureiot_tools.emulator.attestation.outcome import (
    CA_NOT_FOUND,
    INVALID_CERTIFICATE,
    NO_MATCH,
    UNAUTHORIZED,
    Attested,
    Enrollment,
    Refusal,
)
from azureiot_tools.emulator.certificate import Certificate, UnreadableCertificate
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.registry import Registry

# More certificates than any real chain has.
LONGEST_CHAIN = 10
# As many as there can be certificates, sent (10) and uploaded (25, docs/protocol.md §2.6): a device that sends many of
# one name must not keep the emulator busy.
MOST_SIGNATURE_CHECKS = 35


def attest(registry: Registry, registration_id: str, chain: Sequence[bytes], now: datetime) -> Attested:
    """Find the enrollment that applies to a device with this certificate chain.

    registration_id: from the username. chain: DER as the client sent it, leaf first, maybe empty. now: aware.

    Raises Refusal.
    """
    sent = _read_chain(registration_id, chain)
    leaf = sent[0]
    _check_common_name(leaf, registration_id)
    _check_fitness(leaf, now)
    search = _Search(sent, registry.certificates(), registry.groups(), now)
    individual = registry.enrollment(registration_id)
    if individual is None:
        group = search.climb([_Link(leaf)], None)
        return Attested(group, registration_id, registration_id, leaf.sha1, leaf.sha256)
    if individual.enabled:  # a disabled one blocks the device whatever it presents (rules 2 and 4)
        _check_is_enrolled(leaf, individual)
        if not leaf.self_signed:
            search.climb([_Link(leaf)], individual)
    device_id = individual.device_id or individual.registration_id
    return Attested(individual, individual.registration_id, device_id, leaf.sha1, leaf.sha256)


@dataclass(frozen=True)
class _Link:
    """A certificate of the device's path, and the record where it is an uploaded CA."""

    certificate: Certificate
    uploaded: CaCertificate | None = None

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
    if not same_id(names[0], registration_id):
        raise Refusal(
            UNAUTHORIZED, f"The leaf's common name '{names[0]}' is not the registration id '{registration_id}'."
        )


def _check_fitness(certificate: Certificate, now: datetime) -> None:
    """What is asked of every certificate of a chain, leaf or CA."""
    if certificate.unfit is not None:
        raise Refusal(
            INVALID_CERTIFICATE, f"'{certificate.name}' {certificate.unfit}.", section="docs/protocol.md §9.13"
        )
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


def _check_issuer(certificate: Certificate, below: int, now: datetime) -> None:
    """It may issue certificates, and allows so many CAs below it. Its signature is checked elsewhere."""
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
    _check_fitness(certificate, now)


def _check_is_enrolled(leaf: Certificate, enrollment: IndividualEnrollment) -> None:
    if leaf.der not in enrollment.certificates:
        raise Refusal(
            UNAUTHORIZED,
            f"'{enrollment.registration_id}' has an individual enrollment, and the leaf it "
            f"presented (SHA-256 {leaf.sha256}) is none of that enrollment's certificates.",
        )


class _Search:
    """The search for an enrollment, from the leaf upwards.

    Issuers are looked for among what the device sent, in whatever order, and among the uploaded CAs. Where there are
    several (a CA renewed, cross-signed, or one of the same name), all are tried, until an enrollment is reached through
    a verified CA; what stands above that does not matter.
    """

    def __init__(
        self, sent: list[Certificate], uploaded: list[CaCertificate], groups: list[EnrollmentGroup], now: datetime
    ) -> None:
        # One CA may be uploaded under several names: each counts, for its own groups and as verified or not.
        links = [_Link(Certificate.read(record.der), record) for record in uploaded]
        known = {record.der for record in uploaded}
        links += [_Link(one) for one in {one.der: one for one in sent[1:]}.values() if one.der not in known]
        # What is most likely to serve comes first.
        self._links = sorted(links, key=lambda link: (link.verified, now <= link.certificate.ends), reverse=True)
        self._groups = groups
        self._now = now
        self._checks_left = MOST_SIGNATURE_CHECKS
        self._dead_ends: list[tuple[int, Refusal]] = []  # by how many certificates the path had

    def climb(self, path: list[_Link], enrollment: Enrollment | None) -> Enrollment:
        """The enrollment that a path from these certificates upwards leads to.

        enrollment: the one that was found below (rule 1: the nearest to the leaf decides) and wants a verified CA yet.

        Raises Refusal, that of the path that led furthest.
        """
        found = self._climb(path, enrollment)
        if found is None:
            raise max(self._dead_ends, key=lambda dead_end: dead_end[0])[1]
        return found

    def _climb(self, path: list[_Link], below: Enrollment | None) -> Enrollment | None:
        for link in self._issuers(path, below):
            try:
                _check_issuer(link.certificate, len(path) - 1, self._now)
                enrollment = below or self._group_of(link)
            except Refusal as refusal:
                self._dead_ends.append((len(path) + 1, refusal))
                continue
            if enrollment is not None and link.verified:
                return enrollment
            found = self._climb([*path, link], enrollment)
            if found is not None:
                return found
        return None

    def _issuers(self, path: list[_Link], enrollment: Enrollment | None) -> Iterator[_Link]:
        """Whatever signed the last certificate of the path, one after the other. Without any, this is a dead end."""
        lower = path[-1].certificate
        found, false_issuer = False, None
        for link in [] if lower.self_signed else self._links:
            again = any(link.certificate.der == other.certificate.der for other in path)
            if again or link.certificate.x509.subject != lower.x509.issuer:
                continue
            if self._checks_left == 0:
                raise Refusal(
                    INVALID_CERTIFICATE, f"There are too many certificates of the name '{lower.issuer_name}'."
                )
            self._checks_left -= 1
            fault = link.certificate.fault_as_issuer_of(lower)
            if fault is None:
                found = True
                yield link
            else:
                false_issuer = _false_issuer(link, lower, fault)
        if not found:
            enough = any(link.verified for link in path)  # for an enrollment, whatever stands above
            refusal = None if enough else false_issuer
            self._dead_ends.append((len(path), refusal or _no_enrollment(path, enrollment)))

    def _group_of(self, link: _Link) -> EnrollmentGroup | None:
        """The group that stands on this certificate. Raises Refusal for one whose CA is not verified."""
        for group in self._groups:
            if link.certificate.der in group.signing_certificates:
                return group
            if link.uploaded is not None and link.uploaded.name in group.ca_names:
                if not link.verified:
                    raise Refusal(CA_NOT_FOUND, f"Group '{group.id}' admits nobody now. {_not_verified(link.uploaded)}")
                return group
        return None


def _false_issuer(link: _Link, lower: Certificate, fault: str) -> Refusal:
    whose = f"uploaded as '{link.uploaded.name}'" if link.uploaded else "sent by the device"
    return Refusal(
        NO_MATCH if link.uploaded else INVALID_CERTIFICATE,
        f"'{lower.name}' names the issuer '{lower.issuer_name}', but the certificate of that name ({whose}) {fault}.",
    )


def _no_enrollment(path: list[_Link], enrollment: Enrollment | None) -> Refusal:
    """Why a path that goes no further admits nobody. enrollment: the one it leads to, for want of a verified CA."""
    if enrollment is None:
        return _no_group(path)
    rule = (
        f"The certificate of group '{enrollment.id}' must roll up to a verified CA."
        if isinstance(enrollment, EnrollmentGroup)
        else "An individual enrollment whose leaf was issued by a CA needs a verified certificate in its chain."
    )
    return Refusal(CA_NOT_FOUND, f"{rule} {_what_is_missing(path)}")


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
