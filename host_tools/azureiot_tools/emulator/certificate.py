"""An X.509 certificate as DPS's rules see it: read wholly at once, so that no judgement fails half-way."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

LONGEST_NAME = 100
SHORTEST_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

# Critical extensions that are heeded, or say nothing that matters here. RFC 5280 §4.2: any other is a reason to refuse.
_HEEDED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_FOR_CLIENTS = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class UnreadableCertificate(ValueError):
    """These bytes are no X.509 certificate, or one with a part that cannot be read."""


@dataclass(frozen=True)
class Certificate:
    """is_ca: whether it may issue certificates. path_length: how many CAs may stand below it, None for any number.

    unfit: why it can be in no device's chain whoever issued it ("has a key of …"), None if it can.
    """

    x509: x509.Certificate
    der: bytes
    is_ca: bool
    path_length: int | None
    unfit: str | None

    @classmethod
    def read(cls, der: bytes) -> Certificate:
        """Raises UnreadableCertificate."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            # The parser finds some faults only when the part is touched.
            key = certificate.public_key()
            for name in (certificate.subject, certificate.issuer):
                name.rfc4514_string()
                name.public_bytes()
            if certificate.not_valid_before_utc > certificate.not_valid_after_utc:
                raise ValueError("its validity ends before it starts")
            extensions = certificate.extensions
            unfit = _key_fault(key) or _extension_fault(extensions)
            return cls(certificate, der, *_ca_constraints(extensions), unfit)
        except Exception as error:  # anyone's bytes: the parser's errors have no common base
            raise UnreadableCertificate(str(error) or type(error).__name__) from None

    @classmethod
    def read_text(cls, text: str) -> Certificate:
        """From PEM text (the first certificate in it) or base64 of DER. Raises UnreadableCertificate."""
        pem = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
        try:
            der = base64.b64decode("".join((pem[1] if pem else text).split()), validate=True)
        except ValueError:  # binascii.Error is one; text that is not ASCII another
            raise UnreadableCertificate("it is neither PEM text nor base64 of DER") from None
        return cls.read(der)

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

    @cached_property
    def self_signed(self) -> bool:
        return self.x509.issuer == self.x509.subject and self.issued(self)

    def issued(self, other: Certificate) -> bool:
        """Whether this certificate's subject and key are those that signed `other`."""
        return self.fault_as_issuer_of(other) is None

    def fault_as_issuer_of(self, other: Certificate) -> str | None:
        """Why this certificate is not what signed `other` ("has another key …"), None if it is."""
        if self.x509.subject.public_bytes() != other.x509.issuer.public_bytes():
            return "writes it in another encoding (such as UTF8String for PrintableString)"
        try:
            other.x509.verify_directly_issued_by(self.x509)
        except InvalidSignature:
            return "has another key: its signature does not verify"
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return f"cannot have signed it, or not in a way that is accepted ({_signature_name(other.x509)})"
        return None


def _key_fault(key: CertificatePublicKeyTypes) -> str | None:
    """docs/protocol.md §4.4, §9.13."""
    if isinstance(key, rsa.RSAPublicKey):
        return None if key.key_size >= SHORTEST_RSA_BITS else f"has an RSA key of only {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return None if isinstance(key.curve, CURVES) else f"has a key on the curve {key.curve.name}, not P-256/384/521"
    return f"has a key that is neither RSA nor EC ({type(key).__name__.removesuffix('PublicKey')})"


def _extension_fault(extensions: x509.Extensions) -> str | None:
    """docs/protocol.md §9.13."""
    for extension in extensions:
        if extension.critical and extension.oid not in _HEEDED:
            name = type(extension.value).__name__
            return (
                f"has the critical extension {name} ({extension.oid.dotted_string}), which the emulator does not heed"
            )
        usages = extension.value
        if isinstance(usages, x509.ExtendedKeyUsage) and not _FOR_CLIENTS.intersection(usages):
            return "is not for clients: it has an extended key usage without clientAuth"
    return None


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


def _signature_name(certificate: x509.Certificate) -> str:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    return digest.name.upper() if digest else f"algorithm {certificate.signature_algorithm_oid.dotted_string}"
