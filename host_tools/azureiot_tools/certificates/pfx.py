"""PFX (PKCS#12, RFC 7292): one file under a password with certificate, chain and private key."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from azureiot_tools.certificates import formats
from azureiot_tools.certificates.credential import Credential, is_self_signed, issuers_of, quoted
from azureiot_tools.console import UserError, shell_word

# PBKDF2 rounds: what OWASP asks for with HMAC-SHA-256; about a fifth of a second.
KDF_ROUNDS = 600_000


@dataclass(frozen=True)
class Pfx:
    """What was found in a PFX.

    credential: what a device uses.  root: the self-signed certificate above its chain, or None.
    strangers: certificates that have nothing to do with it.
    """

    credential: Credential
    root: x509.Certificate | None
    strangers: tuple[x509.Certificate, ...]


def serialize(credential: Credential, password: str, friendly_name: str) -> bytes:
    """The credential as a PFX: AES-256-CBC, HMAC-SHA-256 for key derivation and integrity.

    Raises UserError for an empty password, which would protect nothing.
    """
    if not password:
        raise UserError("The password of a PFX cannot be empty.", "Choose one; it protects the private key.")
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(KDF_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(
        friendly_name.encode(), credential.key, credential.certificate, credential.chain, encryption
    )


def read(path: Path, password: Callable[[], str]) -> Pfx:
    """Open a PFX, also one with the RC2 and 3DES of older Windows and Java, and put its certificates in order.

    password: asked when the file has proved to be a PFX.

    Raises UserError when it is no PFX, the password is wrong, there is no key or no certificate, or they do not fit.
    """
    data = formats.read_bytes(path)
    if not formats.is_pfx(data):
        found = formats.parse(data, path)
        raise UserError(
            f"{path} is not a PFX: it is {found.format} with {formats.summary(found)}.",
            f"See what is in it: azureiot cert show {shell_word(path)}",
        )
    contents = contents_of(data, path, password())
    if not contents.certificates:
        raise UserError(
            f"{path} holds {formats.summary(contents)} and no certificate.",
            "Export it again together with its certificate.",
        )
    if not contents.keys:
        names = ", ".join(quoted(certificate) for certificate in contents.certificates)
        raise UserError(
            f"{path} holds no private key, only {formats.summary(contents)} ({names}).",
            'Export it again with "include the private key".',
        )
    credential = formats.assemble(contents.keys[0], contents.certificates, str(path))
    above = issuers_of(credential.certificate, contents.certificates)
    root = next((certificate for certificate in above if is_self_signed(certificate)), None)
    known = {credential.certificate, *above}
    return Pfx(credential, root, tuple(other for other in contents.certificates if other not in known))


def load_pfx(path: Path, password: Callable[[], str]) -> Credential:
    """The credential in a PFX. Raises UserError as `read` does."""
    return read(path, password).credential


def contents_of(data: bytes, path: Path, password: str) -> formats.Contents:
    """Everything in a PFX as it stands, the key's certificate first if the file names one; path is for messages only.

    Raises UserError when the password is wrong or the PFX damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # BER in place of DER, as Java writes it, is read all the same
            bundle = pkcs12.load_pkcs12(data, password.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            raise UserError(
                f"The password does not open {path}, or the file is damaged.",
                "Try again with the password it was exported with.",
            ) from None
        raise UserError(
            f"{path} begins like a PFX but cannot be read: it is damaged, or encrypted in an unknown way.",
            "Export or copy it again.",
        ) from None
    first = [bundle.cert] if bundle.cert else []
    every = tuple(entry.certificate for entry in [*first, *bundle.additional_certs])
    keys: tuple[PrivateKeyTypes, ...] = (bundle.key,) if bundle.key else ()
    name = bundle.cert.friendly_name if bundle.cert else None
    return formats.Contents("PFX", every, keys, friendly_name=(name or b"").decode(errors="replace"))
