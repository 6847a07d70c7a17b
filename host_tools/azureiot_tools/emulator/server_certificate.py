"""The emulator's own CA and server certificate: made once, kept in its data directory, renewed in time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from azureiot_tools.certificates import authority, formats, store
from azureiot_tools.certificates.credential import Credential, issued_by, key_to_pem, to_pem

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_BEFORE = timedelta(days=30)


def server_credential(directory: Path, names: Iterable[str], now: datetime) -> tuple[Credential, Path]:
    """(server certificate for these DNS names and IP addresses, path of the CA certificate that devices must trust).

    A certificate that is there already is kept unless it is about to expire, is for other names or from another CA. The
    CA, which boards have been given, is replaced only once it has expired.

    Raises UserError when a file cannot be read or written.
    """
    ca_path = directory / "emulator-ca.crt"
    ca = _kept(ca_path)
    if ca is None or ca.certificate.not_valid_after_utc <= now:
        ca = authority.create_root("azureiot emulator CA", days=CA_DAYS, path_length=0, now=now)
        _keep(ca_path, ca)
    path = directory / "server.crt"
    server = _kept(path)
    wanted = sorted(set(names))
    if (
        server is None
        or server.certificate.not_valid_after_utc - RENEW_BEFORE <= now
        or _names(server.certificate) != wanted
        or not issued_by(server.certificate, ca.certificate)
    ):
        addresses = [name for name in wanted if _is_address(name)]
        server = authority.issue_server(
            ca, [name for name in wanted if name not in addresses], addresses, days=SERVER_DAYS, now=now
        )
        _keep(path, server)
    return server, ca_path


def _kept(path: Path) -> Credential | None:
    return formats.load_pair(path, path.with_suffix(".key")) if path.exists() else None


def _keep(path: Path, credential: Credential) -> None:
    store.write(
        [
            store.NewFile(path.with_suffix(".key"), key_to_pem(credential.key), private=True),
            store.NewFile(path, to_pem(credential.certificates)),
        ],
        force=True,
    )


def _names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(
        [
            *names.get_values_for_type(x509.DNSName),
            *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        ]
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
