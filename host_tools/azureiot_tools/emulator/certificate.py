"""An X.509 certificate as DPS's rules see it: read wholly at once, so that no judgement fails half-way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

LONGEST_NAME = 100


class UnreadableCertificate(ValueError):
    """These bytes are no X.509 certificate, or one with a part that cannot be read."""


@dataclass(frozen=True)
class Certificate:
    """is_ca: whether it may issue certificates. path_length: how many CAs may stand below it, None for any number."""

    x509: x509.Certificate
    der: bytes
    is_ca: bool
    path_length: int | None

    @classmethod
    def read(cls, der: bytes) -> Certificate:
        """Raises UnreadableCertificate."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            # The parser finds some faults only when the part is touched.
            certificate.public_key()
            for name in (certificate.subject, certificate.issuer):
                name.rfc4514_string()
            if certificate.not_valid_before_utc > certificate.not_valid_after_utc:
                raise ValueError("its validity ends before it starts")
            return cls(certificate, der, *_ca_constraints(certificate.extensions))
        except Exception as error:  # anyone's bytes: the parser's errors have no common base
            raise UnreadableCertificate(str(error) or type(error).__name__) from None

    @property
    def name(self) -> str:
        """The subject, for a message."""
        return _text(self.x509.subject)

    @property
    def issuer_name(self) -> str:
        """The issuer, for a message."""
        return _text(self.x509.issuer)

    @property
    def common_names(self) -> list[str]:
        return [str(attribute.value) for attribute in self.x509.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]

    @property
    def starts(self) -> datetime:
        return self.x509.not_valid_before_utc

    @property
    def ends(self) -> datetime:
        return self.x509.not_valid_after_utc

    @property
    def sha1(self) -> str:
        """Upper-case hex, as Azure shows thumbprints."""
        return self.x509.fingerprint(hashes.SHA1()).hex().upper()

    @property
    def sha256(self) -> str:
        """Upper-case hex, as Azure shows thumbprints."""
        return self.x509.fingerprint(hashes.SHA256()).hex().upper()

    @property
    def self_signed(self) -> bool:
        return self.x509.issuer == self.x509.subject and self.issued(self)

    def issued(self, other: Certificate) -> bool:
        """Whether this certificate's subject and key are those that signed `other`."""
        try:
            other.x509.verify_directly_issued_by(self.x509)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def _ca_constraints(extensions: x509.Extensions) -> tuple[bool, int | None]:
    """Whether these are a CA's basic constraints and key usage (RFC 5280 §4.2.1.9, §4.2.1.3), and its path length."""
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False, None
    try:
        may_sign = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        may_sign = True
    return basic.ca and may_sign, basic.path_length


def _text(name: x509.Name) -> str:
    text = name.rfc4514_string() or "(no name)"
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"
