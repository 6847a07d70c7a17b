"""The emulator's own CA and server certificates: made once, kept in its data directory, renewed in time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from azureiot_tools.certificates import authority, formats, writer
from azureiot_tools.certificates.credential import Credential, issued_by, key_to_pem, to_pem
from azureiot_tools.console import UserError

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_BEFORE = timedelta(days=30)
# Both, as Azure has them: half of its cipher suites need the one, half the other (docs/protocol.md §4.2).
KEY_TYPES = {"server": "ec-p256", "server-rsa": "rsa-2048"}


def server_credentials(directory: Path, names: Iterable[str], now: datetime) -> tuple[list[Credential], Path]:
    """(server certificates for these DNS names and IP addresses, path of the CA certificate that devices must trust).

    An IPv4 address stands among the DNS names, too: Mbed TLS before 3.5, which boards with an older MicroPython have,
    looks for it there and nowhere else (Mbed-TLS/mbedtls issue 5082).

    A certificate that is there already is kept unless it is about to expire, is not valid yet (made when the clock was
    wrong), is for other names or from another CA. The CA, which boards have been given, is never replaced.

    Raises UserError when a file cannot be read or written, or the CA is not valid now.
    """
    ca_path = directory / "emulator-ca.crt"
    ca = _kept(ca_path)
    if ca is None:
        ca = authority.create_root("azureiot emulator CA", days=CA_DAYS, path_length=0, now=now)
        _keep(ca_path, ca)
    starts, ends = ca.certificate.not_valid_before_utc, ca.certificate.not_valid_after_utc
    if not starts <= now < ends:
        raise UserError(
            f"The emulator's CA {ca_path} is valid from {starts:%Y-%m-%d} to {ends:%Y-%m-%d}, not on {now:%Y-%m-%d}.",
            "Set the clock; if it is right, move the file away, and give the CA that is then made to every device.",
        )
    wanted = sorted(set(names))
    addresses = [name for name in wanted if _is_address(name)]
    dns_names = [name for name in wanted if name not in addresses or ":" not in name]
    return [
        _server(directory / f"{name}.crt", ca, dns_names, addresses, key_type, now)
        for name, key_type in KEY_TYPES.items()
    ], ca_path


def _server(
    path: Path, ca: Credential, dns_names: list[str], addresses: list[str], key_type: str, now: datetime
) -> Credential:
    kept = _kept(path)
    if (
        kept is not None
        and kept.certificate.not_valid_before_utc <= now < kept.certificate.not_valid_after_utc - RENEW_BEFORE
        and _names(kept.certificate) == (dns_names, addresses)
        and issued_by(kept.certificate, ca.certificate)
    ):
        return kept
    issued = authority.issue_server(ca, dns_names, addresses, key_type=key_type, days=SERVER_DAYS, now=now)
    _keep(path, issued)
    return issued


def _kept(path: Path) -> Credential | None:
    if not path.exists():
        return None
    try:
        return formats.load_pair(path, path.with_suffix(".key"))
    except UserError as error:
        raise UserError(
            f"The emulator's certificate is damaged: {error.message}",
            f"Move {path} and {path.with_suffix('.key').name} away: they are made anew. Give a new CA to every device.",
        ) from None


def _keep(path: Path, credential: Credential) -> None:
    writer.write(
        [
            writer.NewFile(path.with_suffix(".key"), key_to_pem(credential.key), private=True),
            writer.NewFile(path, to_pem(credential.certificates)),
        ],
        force=True,
    )


def _names(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """(DNS names, IP addresses)."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return names.get_values_for_type(x509.DNSName), addresses


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
