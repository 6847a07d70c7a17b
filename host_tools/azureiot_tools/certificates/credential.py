"""A certificate with its private key and the certificates above it: what a device proves itself with.

Everything here works on objects in memory; reading and writing files is the business of pfx, pem and store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azureiot_tools.console import UserError, printable, shell_word

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = TypeVar("Extension", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Credential:
    """A certificate, its private key, and its chain as a device sends it.

    chain: the issuing certificates above `certificate`, nearest first, without the self-signed root: the other side of
    a handshake must hold the root already (RFC 5246 §7.4.2), DPS as an uploaded CA (docs/protocol.md §2.1 rule 7).
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The certificate and its chain, in the order of a TLS handshake."""
        return (self.certificate, *self.chain)


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, or "" when it has none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def quoted(certificate: x509.Certificate) -> str:
    """The common name, or the whole subject where there is none, in quotes and fit for a terminal."""
    return f'"{printable(common_name(certificate) or certificate.subject.rfc4514_string())}"'


def thumbprint(certificate: x509.Certificate, algorithm: str = "sha256") -> str:
    """The certificate's fingerprint in upper-case hex, as Azure's portal writes it. algorithm: "sha256" or "sha1"."""
    der = certificate.public_bytes(Encoding.DER)
    return hashlib.new(algorithm, der, usedforsecurity=False).hexdigest().upper()


def extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    """The certificate's extension of this kind, or None. Raises UserError when the extensions cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise UserError(f"The extensions of {quoted(certificate)}'s certificate cannot be read: {error}.") from None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate may sign others (basicConstraints CA:TRUE)."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed `certificate`: the names agree and the signature holds."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether the certificate names itself as its issuer, with the same key, as a root does.

    As in OpenSSL the signature is not looked at: it proves nothing, and that of old roots is SHA-1, no longer checked.
    """
    if certificate.subject != certificate.issuer:
        return False
    above = extension(certificate, x509.AuthorityKeyIdentifier)
    own = extension(certificate, x509.SubjectKeyIdentifier)
    return above is None or own is None or above.key_identifier in (None, own.key_identifier)


def fits(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Whether the private key belongs to the certificate."""
    try:
        return key.public_key() == certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):  # a public key of a kind we do not even know
        return False


def issuers_of(leaf: x509.Certificate, others: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates of `others` that lead from the leaf upwards, nearest issuer first, a self-signed root included.

    others: in any order, strangers and repetitions among them. The walk ends at a root, or where the issuer is missing.
    """
    above: list[x509.Certificate] = []
    pool = [other for other in others if other != leaf]
    current = leaf
    while not is_self_signed(current):
        issuer = next((other for other in pool if issued_by(current, other)), None)
        if issuer is None:
            break
        above.append(issuer)
        pool = [other for other in pool if other != issuer]  # cross-signed CAs may issue each other: never twice
        current = issuer
    return tuple(above)


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """PEM blocks one after another."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_to_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM, which CPython's ssl and openssl read."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def to_der(credential: Credential) -> tuple[bytes, bytes]:
    """(certificates, key) for boards: leaf, then chain, DER one after another, and the key as SEC1 or PKCS#1 DER.

    MicroPython reads this form of key on every port and version, others only on some (docs/micropython.md §1.2).
    """
    certificates = b"".join(certificate.public_bytes(Encoding.DER) for certificate in credential.certificates)
    return certificates, credential.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def check_for_registration(credential: Credential, registration_id: str, now: datetime | None = None) -> None:
    """Find out before DPS answers 401002 whether it would (docs/protocol.md §1.2, §2.1 rule 5, §4.4).

    now: an aware time, the present by default.

    Raises UserError: the key belongs to another certificate, the common name is not the registration id (compared
    without regard to case), the certificate is expired or not yet valid, or it is not meant for clients.
    """
    certificate = credential.certificate
    now = now or datetime.now(UTC)
    if not fits(credential.key, certificate):
        raise UserError(
            f"The private key does not belong to the certificate of {quoted(certificate)}.",
            "Use the certificate and key that were made together.",
        )
    if common_name(certificate).lower() != registration_id.lower():
        raise UserError(
            f"The certificate is for {quoted(certificate)} and the registration id is "
            f'"{registration_id}": DPS wants them equal (401002).',
            "Use that device's certificate, or register under the certificate's common name.",
        )
    if now < certificate.not_valid_before_utc:
        raise UserError(
            f'The certificate of "{registration_id}" is valid only from '
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC and the clock here says "
            f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            "Set the clock.",
        )
    if now > certificate.not_valid_after_utc:
        raise UserError(
            f'The certificate of "{registration_id}" expired on '
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC and the clock here says "
            f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            f"Renew it: azureiot device renew {shell_word(registration_id)}; if the date here is wrong, set the clock.",
        )
    usages = extension(certificate, x509.ExtendedKeyUsage)
    if usages is not None and not {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }.intersection(usages):
        raise UserError(
            f'The certificate of "{registration_id}" is not meant for clients: its extended key usage '
            "lacks clientAuth.",
            f"Make one that is: azureiot device create {shell_word(registration_id)}.",
        )
