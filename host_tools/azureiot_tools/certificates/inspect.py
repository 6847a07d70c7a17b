"""What is in certificate files, in words and as JSON-able values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from azureiot_tools.certificates import formats, pfx
from azureiot_tools.certificates.credential import (
    common_name,
    extension,
    fits,
    is_authority,
    is_self_signed,
    issuers_of,
    thumbprint,
)
from azureiot_tools.console import printable

_USAGES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
}


def read_contents(path: Path, password: Callable[[], str]) -> formats.Contents:
    """What one PEM, DER or PFX file holds; password is asked for a PFX. Raises UserError when it is none of them."""
    data = formats.read_bytes(path)
    return pfx.contents_of(data, path, password()) if formats.is_pfx(data) else formats.parse(data, path)


def describe(certificate: x509.Certificate, now: datetime | None = None) -> dict[str, Any]:
    """One certificate as JSON-able values. now: an aware time to count the days left from, the present by default."""
    now = now or datetime.now(UTC)
    usages = extension(certificate, x509.ExtendedKeyUsage) or ()
    alternatives = extension(certificate, x509.SubjectAlternativeName) or ()
    return {
        "common_name": common_name(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "sha1": thumbprint(certificate, "sha1"),
        "sha256": thumbprint(certificate, "sha256"),
        "serial": _hex(certificate.serial_number),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": round((certificate.not_valid_after_utc - now) / timedelta(days=1)),
        "status": _status(certificate, now),
        "key_type": key_type(certificate),
        "authority": is_authority(certificate),
        "extended_key_usage": [_USAGES.get(usage, usage.dotted_string) for usage in usages],
        "alternative_names": [_general_name(name) for name in alternatives],
    }


def lines(description: dict[str, Any]) -> list[str]:
    """What `describe` returned, as labelled lines for a person."""
    kind = "authority" if description["authority"] else ", ".join(description["extended_key_usage"]) or "any"
    rows = [
        ("subject", description["subject"]),
        ("issuer", description["issuer"]),
        ("SHA-1", description["sha1"]),
        ("SHA-256", description["sha256"]),
        ("serial", description["serial"]),
        ("valid", validity(description)),
        ("key", description["key_type"]),
        ("use", kind),
    ]
    if description["alternative_names"]:
        rows.append(("names", ", ".join(description["alternative_names"])))
    return [line(label, value) for label, value in rows]


def line(label: str, value: str) -> str:
    """One labelled line, in a column with those of `lines`."""
    return f"{label:<12}{printable(value)}"


def validity(description: dict[str, Any]) -> str:
    """The dates in words, and whether they are in order."""
    begin, end = (description[key][:16].replace("T", " ") for key in ("not_before", "not_after"))
    return f"{begin} to {end} UTC ({remaining(description)})"


def remaining(description: dict[str, Any]) -> str:
    """How long a certificate lasts, or why it is of no use now: "1 day left", "expired"."""
    if description["status"] != "valid":
        return description["status"]
    days: int = description["days_left"]
    return f"{days} {'day' if days == 1 else 'days'} left" if days else "less than a day left"


def chain(certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> dict[str, Any]:
    """The issuers found among `others`, nearest first, and the name of the first that is missing, or None.

    The missing one is often the root, which devices do not send.
    """
    above = issuers_of(certificate, others)
    top = above[-1] if above else certificate
    return {
        "chain": [issuer.subject.rfc4514_string() for issuer in above],
        "missing_issuer": None if is_self_signed(top) else top.issuer.rfc4514_string(),
    }


def chain_words(found: dict[str, Any]) -> str:
    """What `chain` returned, for a person."""
    if not found["chain"]:
        return f"none; its issuer {found['missing_issuer']} is not here" if found["missing_issuer"] else "self-signed"
    top = f", issued by {found['missing_issuer']} (not here)" if found["missing_issuer"] else ""
    return " → ".join(found["chain"]) + top


def key_type(holder: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The type of the public key in it, named as authority.KEY_TYPES does: "ec-p256", "rsa-2048"."""
    try:
        key = holder.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}.get(key.curve.name, key.curve.name)
        return f"ec-{curve}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lower()


def survey(files: Iterable[tuple[Path, formats.Contents]], now: datetime | None = None) -> list[dict[str, Any]]:
    """Every file with what is in it, keys and chains matched across all of them."""
    files = list(files)
    certificates = [certificate for _, contents in files for certificate in contents.certificates]
    return [
        {
            "file": str(path),
            "format": contents.format,
            "holds": formats.summary(contents),
            "friendly_name": contents.friendly_name,
            "certificates": [
                {
                    **describe(certificate, now),
                    "private_key": next(
                        (str(other) for other, held in files if any(fits(key, certificate) for key in held.keys)), None
                    ),
                    **chain(certificate, certificates),
                }
                for certificate in contents.certificates
            ],
            "private_keys": [
                {"fits": next((common_name(other) for other in certificates if fits(key, other)), None)}
                for key in contents.keys
            ],
            "encrypted_private_keys": contents.encrypted_keys,
            "requests": [
                {
                    "subject": request.subject.rfc4514_string(),
                    "key_type": key_type(request),
                    "signature_valid": request.is_signature_valid,
                }
                for request in contents.requests
            ],
        }
        for path, contents in files
    ]


def survey_text(found: list[dict[str, Any]]) -> str:
    """What `survey` returned, for a person."""
    return "\n\n".join("\n".join(_file_lines(file)) for file in found)


def _file_lines(file: dict[str, Any]) -> list[str]:
    result = [f"{printable(file['file'])}: {file['format']}, {file['holds']}"]
    if file["friendly_name"]:
        result.append("  " + line("name", file["friendly_name"]))
    for number, certificate in enumerate(file["certificates"], 1):
        key = f"yes, in {certificate['private_key']}" if certificate["private_key"] else "not here"
        result.append(f"  certificate {number}")
        result += [
            f"    {text}"
            for text in (*lines(certificate), line("chain", chain_words(certificate)), line("private key", key))
        ]
    for key in file["private_keys"]:
        words = "fits no certificate here" if key["fits"] is None else f"belongs to the certificate of {key['fits']}"
        result.append("  " + line("private key", words))
    for request in file["requests"]:
        signature = "signature valid" if request["signature_valid"] else "SIGNATURE NOT VALID"
        result.append("  " + line("request", f"{request['subject']}, {request['key_type']}, {signature}"))
    if file["encrypted_private_keys"]:
        result.append("  " + line("private key", "encrypted, so it cannot be compared"))
    return result


def _status(certificate: x509.Certificate, now: datetime) -> str:
    if now > certificate.not_valid_after_utc:
        return "expired"
    return "not yet valid" if now < certificate.not_valid_before_utc else "valid"


def _hex(number: int) -> str:
    digits = f"{number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)  # whole bytes, as openssl and the portal write serials


def _general_name(name: x509.GeneralName) -> str:
    kinds = {x509.DNSName: "DNS", x509.IPAddress: "IP", x509.RFC822Name: "email", x509.UniformResourceIdentifier: "URI"}
    value = name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else name.value
    return f"{kinds.get(type(name), type(name).__name__)}:{value}"
