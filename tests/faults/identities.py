"""Who is who in these tests: roots, servers good and bad, devices. Each is made once, when it is first needed."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, wraps
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem

DPS = "dps.example"
HUB = "hub.example"
OLD_HUB = "old.example"
HOSTS = (DPS, HUB, OLD_HUB)

_NOW = datetime.now(UTC)
_lock = threading.RLock()


def once(make: Callable[..., Credential]) -> Callable[..., Credential]:
    """functools.cache for threads: nothing is made twice."""
    cached = cache(make)

    @wraps(make)
    def locked(*arguments: Any, **options: Any) -> Credential:
        with _lock:
            return cached(*arguments, **options)

    return locked


@once
def root() -> Credential:
    """What devices trust, and servers."""
    return authority.create_root("root", path_length=2, now=_NOW - timedelta(days=400))


@once
def stranger() -> Credential:
    return authority.create_root("stranger", now=_NOW - timedelta(days=400))


@once
def issuing() -> Credential:
    """One CA below the root."""
    return authority.create_intermediate(root(), "issuing")


# Servers.


@once
def server(key_type: str = "ec-p256") -> Credential:
    return authority.issue_server(root(), HOSTS, key_type=key_type)


@once
def server_of_a_stranger() -> Credential:
    return authority.issue_server(stranger(), HOSTS)


@once
def self_signed(name: str) -> Credential:
    """A certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(_NOW).not_valid_after(_NOW + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Credential(builder.sign(key, hashes.SHA256()), key)


@once
def server_below_an_intermediate() -> Credential:
    return authority.issue_server(issuing(), HOSTS)


@once
def server_without_its_intermediate() -> Credential:
    return replace(server_below_an_intermediate(), chain=())


@once
def server_elsewhere(name: str) -> Credential:
    return authority.issue_server(root(), [name])


@once
def server_of_last_year() -> Credential:
    return authority.issue_server(root(), HOSTS, days=30, now=_NOW - timedelta(days=365))


@once
def server_of_tomorrow() -> Credential:
    return authority.issue_server(root(), HOSTS, now=_NOW + timedelta(days=1))


@once
def root_of_tomorrow() -> Credential:
    return authority.create_root("root of tomorrow", now=_NOW + timedelta(days=1))


@once
def server_of_a_root_of_tomorrow() -> Credential:
    return authority.issue_server(root_of_tomorrow(), HOSTS, now=_NOW + timedelta(days=1))


@once
def strange_server_of_last_year() -> Credential:
    return authority.issue_server(stranger(), ["elsewhere.example"], days=30, now=_NOW - timedelta(days=365))


@once
def server_with_a_clients_certificate() -> Credential:
    return authority.issue_device(root(), HUB)


# Devices.


@once
def device(key_type: str = "ec-p256", chain: int = 1) -> Credential:
    """dev-1, with so many certificates to show."""
    issuer = root()
    if chain > 1:
        issuer = issuing()
    if chain > 2:
        issuer = authority.create_intermediate(issuer, "issuing below")
    return authority.issue_device(issuer, "dev-1", key_type=key_type)


@once
def device_without_its_intermediate() -> Credential:
    return replace(device(chain=2), chain=())


@once
def device_of_a_stranger() -> Credential:
    return authority.issue_device(stranger(), "dev-1")


@once
def device_of_last_year() -> Credential:
    return authority.issue_device(root(), "dev-1", days=30, now=_NOW - timedelta(days=365))


def der(*credentials: Credential) -> bytes:
    """Their certificates, one after another."""
    return b"".join(credential.certificate.public_bytes(Encoding.DER) for credential in credentials)


@dataclass(frozen=True)
class ServerTls:
    """How a server does TLS: as Azure does, TLS 1.2 and with the client's certificate, unless told otherwise."""

    identity: Callable[[], Credential] = server
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    ciphers: str = ""

    def context(self) -> ssl.SSLContext:
        """The context; it takes devices under `root` alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self.versions
        context.load_verify_locations(cadata=der(root()))
        context.verify_mode = ssl.CERT_REQUIRED
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        identity = self.identity()
        with tempfile.NamedTemporaryFile() as file:
            file.write(key_to_pem(identity.key) + to_pem(identity.certificates))
            file.flush()
            context.load_cert_chain(file.name)
        return context


AS_AZURE = ServerTls()
