"""Certificates that azureiot_tools.certificates.authority rightly refuses to make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from azureiot_tools.certificates.credential import Credential

from .bench import NOW


def name(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names])


def forge(
    issuer: Credential | None,
    *common_names: str,
    ca: bool | None = None,
    path_length: int | None = None,
    may_sign: bool | None = None,
    key: Any = None,
    starts: datetime | None = None,
    ends: datetime | None = None,
    issuer_name: x509.Name | None = None,
    critical: Sequence[x509.ExtensionType] = (),
) -> Credential:
    """A certificate signed by the issuer's key, self-signed without one.

    ca, may_sign: None leaves that extension out. critical: further extensions.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = name(*common_names)
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer_name or (issuer.certificate.subject if issuer else subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=starts or NOW - timedelta(hours=1),
        not_valid_after=ends or NOW + timedelta(days=1),
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if may_sign is not None:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, may_sign, False, False, False), critical=True
        )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    return Credential(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
