"""Certificate authorities: roots and intermediates, and what they issue (RFC 5280).

Every `now` is an aware time, the present when it is None; every `days` is the validity, counted from now.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azureiot_tools.certificates.credential import (
    Credential,
    PrivateKey,
    extension,
    is_authority,
    is_self_signed,
    quoted,
)
from azureiot_tools.console import UserError

# What Azure takes (docs/protocol.md §4.4) and mutual TLS on MicroPython was tried with (docs/micropython.md §1.4).
_GENERATE: dict[str, Callable[[], PrivateKey]] = {
    "ec-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
}
KEY_TYPES = tuple(_GENERATE)

# A board's clock may be a little behind ours when it first shows its new certificate.
CLOCK_SKEW = timedelta(minutes=5)
MAX_DAYS = 36_500
MAX_COMMON_NAME = 64  # ub-common-name, RFC 5280 appendix A
_DNS_NAME = r"(\*\.)?(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*"


def create_root(
    name: str, *, key_type: str = "ec-p256", days: int = 3650, path_length: int = 1, now: datetime | None = None
) -> Credential:
    """A self-signed root.

    path_length: how many CA certificates may stand between the root and a leaf.

    Raises UserError for a name, key type or number of days that cannot be.
    """
    key = _generate(key_type)
    not_before, not_after = _validity(days, _present(now))
    subject = _name(name)
    certificate = (
        _builder(subject, subject, key, not_before, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, _digest(key))
    )
    return Credential(certificate, key)


def create_intermediate(
    issuer: Credential, name: str, *, key_type: str = "ec-p256", days: int = 1825, now: datetime | None = None
) -> Credential:
    """A CA certificate under `issuer`, allowed one CA level less.

    Raises UserError for a name, key type or number of days that cannot be, and when the issuer may sign no CA.
    """
    constraints = extension(issuer.certificate, x509.BasicConstraints)
    path_length = constraints.path_length if constraints else None
    if path_length == 0:
        raise UserError(
            f"The authority {quoted(issuer.certificate)} may sign devices but no further authority (path length 0).",
            "Sign with the one above it.",
        )
    below = None if path_length is None else path_length - 1
    return _issue(
        issuer,
        name,
        key_type,
        days,
        now,
        (x509.BasicConstraints(ca=True, path_length=below), True),
        (_SIGNS_CERTIFICATES, True),
    )


def issue_device(
    issuer: Credential, device_id: str, *, key_type: str = "ec-p256", days: int = 365, now: datetime | None = None
) -> Credential:
    """A device's certificate: its common name is the device id, DPS's registration id (docs/protocol.md §2.1 rule 5).

    Raises UserError for a device id, key type or number of days that cannot be.
    """
    check_device_id(device_id)
    return _issue(
        issuer,
        device_id,
        key_type,
        days,
        now,
        (_NO_AUTHORITY, True),
        (_SIGNS_HANDSHAKES, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    )


def issue_verification(
    issuer: Credential, code: str, *, days: int = 30, now: datetime | None = None
) -> x509.Certificate:
    """The proof that one holds a CA's key: its common name is DPS's verification code (docs/protocol.md §2.6).

    Nobody needs its private key, so that is forgotten at once.

    Raises UserError for a code that no DPS gives out.
    """
    code = verification_code(code)
    return _issue(issuer, code, "ec-p256", days, now, (_NO_AUTHORITY, True), (_SIGNS_HANDSHAKES, True)).certificate


def issue_server(
    issuer: Credential,
    dns_names: Sequence[str],
    ip_addresses: Sequence[str] = (),
    *,
    key_type: str = "ec-p256",
    days: int = 90,
    now: datetime | None = None,
) -> Credential:
    """A TLS server's certificate for these names and addresses; the first of them is also the common name.

    Raises UserError when there is no name at all, or one is not a DNS name or IP address.
    """
    names = [*dns_names, *ip_addresses]
    if not names:
        raise UserError("A server certificate needs at least one DNS name or IP address.")
    for name in dns_names:
        if not re.fullmatch(_DNS_NAME, name) or len(name) > 253:
            raise UserError(f"{name[:80]!r} is not a DNS name.", "Give a host name such as device.local.")
    try:
        addresses = [ipaddress.ip_address(address) for address in ip_addresses]
    except ValueError as error:
        raise UserError(f"A server certificate cannot be made: {error}.") from None
    alternatives = [*(x509.DNSName(name) for name in dns_names), *(x509.IPAddress(address) for address in addresses)]
    name = names[0] if len(names[0]) <= MAX_COMMON_NAME else "server"  # clients look at the alternative names
    return _issue(
        issuer,
        name,
        key_type,
        days,
        now,
        (_NO_AUTHORITY, True),
        (_SIGNS_HANDSHAKES, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(alternatives), False),
    )


def check_device_id(device_id: str) -> None:
    """Check a device id that is to be a registration id and a common name (docs/protocol.md §1.2).

    Raises UserError with the one rule that is broken.
    """
    if not device_id:
        raise UserError("A device id cannot be empty.")
    if len(device_id) > MAX_COMMON_NAME:
        raise UserError(
            f"The device id {device_id[:16]}… has {len(device_id)} characters; a certificate's common name "
            f"holds at most {MAX_COMMON_NAME}.",
            "Choose a shorter one.",
        )
    if wrong := re.search(r"[^A-Za-z0-9._:-]", device_id):
        raise UserError(
            f"The device id {device_id!r} holds {wrong.group()!r}.",
            "Use the letters A to Z and a to z, digits, and - . _ : only.",
        )
    if not device_id[0].isalnum():
        raise UserError(f"The device id {device_id!r} begins with {device_id[0]!r}.", "Begin with a letter or digit.")
    if not (device_id[-1].isalnum() or device_id[-1] == "-"):
        raise UserError(f"The device id {device_id!r} ends with {device_id[-1]!r}.", "End with a letter, a digit or -.")


def verification_code(text: str) -> str:
    """DPS's verification code as DPS writes it, from what the user typed or pasted (docs/protocol.md §2.6).

    48 upper-case hex digits have been seen; other lengths are let through, shorter ones than 32 are placeholders.

    Raises UserError when it cannot be one.
    """
    code = text.strip().upper()
    if not re.fullmatch(r"[0-9A-F]{32,64}", code):
        shown = text if len(text) <= MAX_COMMON_NAME else f"{text[:16]}… ({len(text)} characters)"
        raise UserError(
            f"{shown!r} is not a verification code: one has 48 hex digits.",
            "Copy the code that DPS shows for the uploaded certificate; the emulator: azureiot service cert code NAME",
        )
    return code


_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)


def _key_usage(**used: bool) -> x509.KeyUsage:
    bits = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(bits | used))


_SIGNS_CERTIFICATES = _key_usage(key_cert_sign=True, crl_sign=True)
# In TLS 1.2 with ECDHE, all that Azure speaks (docs/protocol.md §4.2), a key only signs.
_SIGNS_HANDSHAKES = _key_usage(digital_signature=True)


def _issue(
    issuer: Credential,
    name: str,
    key_type: str,
    days: int,
    now: datetime | None,
    *extensions: tuple[x509.ExtensionType, bool],
) -> Credential:
    """A certificate under `issuer` with a new key; its life lies within the issuer's."""
    above = issuer.certificate
    if not is_authority(above):
        raise UserError(f"The certificate of {quoted(above)} is not an authority and can sign no other.")
    present = _present(now)
    if present >= above.not_valid_after_utc:
        raise UserError(
            f"The authority {quoted(above)} expired on {above.not_valid_after_utc:%Y-%m-%d}.",
            "Make a new one: azureiot ca create --force.",
        )
    if present < above.not_valid_before_utc:
        raise UserError(
            f"The authority {quoted(above)} is valid only from {above.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
            "Set the clock.",
        )
    not_before, not_after = _validity(days, present)
    not_before = max(not_before, above.not_valid_before_utc)
    not_after = min(not_after, above.not_valid_after_utc)
    key = _generate(key_type)
    builder = _builder(_name(name), above.subject, key, not_before, not_after)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    identifier = extension(above, x509.SubjectKeyIdentifier) or x509.SubjectKeyIdentifier.from_public_key(
        issuer.key.public_key()
    )
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    certificate = builder.sign(issuer.key, _digest(issuer.key))
    return Credential(certificate, key, () if is_self_signed(above) else issuer.certificates)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),  # 20 bytes at most, RFC 5280 §4.1.2.2
        not_valid_before=not_before,
        not_valid_after=not_after,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _generate(key_type: str) -> PrivateKey:
    if key_type not in _GENERATE:
        raise UserError(f"There is no key type {key_type!r}.", f"Choose one of {', '.join(KEY_TYPES)}.")
    return _GENERATE[key_type]()


def _digest(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    wide = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256
    return hashes.SHA384() if wide else hashes.SHA256()


def _name(name: str) -> x509.Name:
    if not name.isprintable() or not 1 <= len(name.encode()) <= MAX_COMMON_NAME:
        raise UserError(
            f"The name {name[:80]!r} cannot be a common name.",
            f"Choose 1 to {MAX_COMMON_NAME} bytes of printable text.",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _present(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)  # X.509 counts whole seconds


def _validity(days: int, present: datetime) -> tuple[datetime, datetime]:
    if not 1 <= days <= MAX_DAYS:
        raise UserError(f"A certificate cannot be valid for {days} days.", f"Choose between 1 and {MAX_DAYS}.")
    return present - CLOCK_SKEW, present + timedelta(days=days)
