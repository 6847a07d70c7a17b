"""PEM and DER files: what a file is, and the certificates, keys and requests in it.

PFX files are recognised here and opened in pfx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from azureiot_tools.certificates.credential import Credential, PrivateKey, fits, is_self_signed, issuers_of, quoted
from azureiot_tools.console import UserError, read_file, shell_word

# Real files are a few kB; a PFX with a dozen RSA-4096 certificates has 30. More is a mistake in the file name.
MAX_FILE_BYTES = 1_000_000

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_PFX_VERSION_3 = b"\x02\x01\x03"  # the first element of a PFX, RFC 7292 §4; no certificate or key begins so


@dataclass(frozen=True)
class Contents:
    """What one file holds. format: "PEM", "DER" or "PFX"; encrypted_keys: how many keys could not be read for that."""

    format: str
    certificates: tuple[x509.Certificate, ...] = ()
    keys: tuple[PrivateKeyTypes, ...] = ()
    requests: tuple[x509.CertificateSigningRequest, ...] = ()
    encrypted_keys: int = 0
    friendly_name: str = ""


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises UserError when it cannot be read, is empty, or is too big to be a certificate."""
    data = read_file(path, MAX_FILE_BYTES, "certificate, key or PFX")
    if not data:
        raise UserError(f"{path} is empty.")
    return data


def is_pfx(data: bytes) -> bool:
    """Whether the bytes begin as a PFX (PKCS#12) does, in DER or in the BER that Java and old Windows write."""
    if data[:1] != b"\x30" or len(data) < 6:
        return False
    length_bytes = data[1] & 0x7F if data[1] > 0x80 else 0
    return data[2 + length_bytes : 5 + length_bytes] == _PFX_VERSION_3


def parse(data: bytes, path: Path) -> Contents:
    """What a PEM or DER file holds; path is for messages only.

    Raises UserError when it is neither, or is damaged.
    """
    if b"-----BEGIN " in data:
        return _parse_pem(data, path)
    if data[:1] != b"\x30":  # everything in DER here is an ASN.1 SEQUENCE
        kind = "text" if data.isascii() else "binary data"
        raise UserError(f"{path} holds {kind}: no PEM, DER or PFX.", "Is this the right file?")
    return _parse_der(data, path)


def summary(contents: Contents) -> str:
    """The contents in words: "2 certificates and a private key"."""
    counts = [
        (len(contents.certificates), "certificate"),
        (len(contents.keys) + contents.encrypted_keys, "private key"),
        (len(contents.requests), "certificate request"),
    ]
    words = [f"a {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts if count]
    return " and ".join(words) or "nothing of use"


def load_pair(certificate_path: Path, key_path: Path) -> Credential:
    """A credential from a certificate file (leaf first, then its chain) and a key file, each PEM or DER.

    Raises UserError when a file cannot be read, lacks what it should hold, or the key belongs to another certificate.
    """
    found = parse_file(certificate_path)
    if not found.certificates:
        raise UserError(f"{certificate_path} holds no certificate but {summary(found)}.")
    keys = parse_file(key_path)
    if keys.encrypted_keys:
        raise UserError(
            f"The private key in {key_path} is encrypted, which boards and this tool do not read.",
            f"Decrypt it: openssl pkey -in {shell_word(key_path)} -out NAME.key; or use a PFX.",
        )
    if not keys.keys:
        raise UserError(f"{key_path} holds no private key but {summary(keys)}.")
    return assemble(keys.keys[0], found.certificates, f"{certificate_path} and {key_path}")


def assemble(key: PrivateKeyTypes, certificates: tuple[x509.Certificate, ...], where: str) -> Credential:
    """The credential of `key`: the certificate that it fits, with the chain found among the others, without the root.

    where: the file or files it comes from, for messages.

    Raises UserError when no certificate fits the key, or Azure does not take such keys (docs/protocol.md §4.4).
    """
    usable = usable_key(key, where)
    leaf = next((certificate for certificate in certificates if fits(usable, certificate)), None)
    if leaf is None:
        names = ", ".join(quoted(certificate) for certificate in certificates)
        raise UserError(
            f"The private key in {where} does not belong to the certificate of {names}.",
            "Use the certificate and key that were made together.",
        )
    chain = tuple(issuer for issuer in issuers_of(leaf, certificates) if not is_self_signed(issuer))
    return Credential(leaf, usable, chain)


def usable_key(key: PrivateKeyTypes, where: str) -> PrivateKey:
    """The key, if it is of a type that Azure and MicroPython take. Raises UserError otherwise."""
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        raise UserError(f"The private key in {where} is of type {kind}; Azure takes RSA and EC keys only.")
    return key


def parse_file(path: Path) -> Contents:
    data = read_bytes(path)
    if is_pfx(data):
        raise UserError(f"{path} is a PFX.", f"Convert it first: azureiot pfx convert {shell_word(path)}")
    return parse(data, path)


def _parse_pem(data: bytes, path: Path) -> Contents:
    certificates, keys, requests, encrypted_keys = [], [], [], 0
    blocks = list(_PEM_BLOCK.finditer(data))
    if len(blocks) != data.count(b"-----BEGIN "):
        raise UserError(f"{path} is damaged: a PEM block in it has no end.", "Copy the file again.")
    for number, block in enumerate(blocks, 1):
        label, text = block[1].decode(), block[0]
        try:
            if label in ("CERTIFICATE", "X509 CERTIFICATE"):
                certificates.append(x509.load_pem_x509_certificate(text))
            elif label.endswith("CERTIFICATE REQUEST"):
                requests.append(x509.load_pem_x509_csr(text))
            elif label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in text:
                encrypted_keys += 1
            elif label.endswith("PRIVATE KEY"):
                keys.append(serialization.load_pem_private_key(text, None))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UserError(
                f"{path} is damaged: block {number} ({label}) cannot be read.", "Copy the file again."
            ) from None
    return Contents("PEM", tuple(certificates), tuple(keys), tuple(requests), encrypted_keys)


def _parse_der(data: bytes, path: Path) -> Contents:
    """One certificate or several one after another, as boards have them; or one key; or one request."""
    try:
        return Contents("DER", tuple(x509.load_der_x509_certificate(part) for part in split_der(data)))
    except ValueError:
        pass
    try:
        return Contents("DER", keys=(serialization.load_der_private_key(data, None),))
    except TypeError:  # it wants a password
        return Contents("DER", encrypted_keys=1)
    except (ValueError, UnsupportedAlgorithm):
        pass
    try:
        return Contents("DER", requests=(x509.load_der_x509_csr(data),))
    except ValueError:
        raise UserError(
            f"{path} begins like DER, but is no certificate, private key, certificate request or PFX.",
            "It may be damaged: copy the file again.",
        ) from None


def split_der(data: bytes) -> list[bytes]:
    """The ASN.1 SEQUENCEs that stand one after another in `data`. Raises ValueError when they do not fill it."""
    parts = []
    start = 0
    while start < len(data):
        head = data[start : start + 2]
        if len(head) < 2 or head[0] != 0x30 or head[1] == 0x80:
            raise ValueError("not a DER sequence")
        length_bytes = head[1] & 0x7F if head[1] > 0x80 else 0
        body = start + 2 + length_bytes
        length = int.from_bytes(data[start + 2 : body], "big") if length_bytes else head[1]
        if body + length > len(data):
            raise ValueError("cut short")
        parts.append(data[start : body + length])
        start = body + length
    return parts
