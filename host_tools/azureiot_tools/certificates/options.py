"""Command-line options that the certificate commands share. Light: `azureiot --help` imports it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from azureiot_tools.console import read_password, shell_word

PASSWORD_VARIABLE = "AZUREIOT_PFX_PASSWORD"


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_certs(parser: argparse.ArgumentParser) -> None:
    """--certs DIR, or the environment variable AZUREIOT_CERTS."""
    parser.add_argument(
        "--certs",
        metavar="DIR",
        default=_default_certs(),
        help="directory of certificates and keys (default: $AZUREIOT_CERTS or certs)",
    )


def certs_option(directory: Path) -> str:
    """What a further command needs to find `directory` too: " --certs DIR", or "" where that is the default."""
    return "" if directory == Path(_default_certs()) else f" --certs {shell_word(directory)}"


def _default_certs() -> str:
    return os.environ.get("AZUREIOT_CERTS") or "certs"


def add_force(parser: argparse.ArgumentParser) -> None:
    """--force."""
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def add_key(parser: argparse.ArgumentParser, default: str | None = "ec-p256", said: str = "ec-p256") -> None:
    """--key-type; `said` is the default in words."""
    parser.add_argument(
        "--key-type",
        metavar="TYPE",
        default=default,
        help=f"ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096 (default: {said})",
    )


def add_days(parser: argparse.ArgumentParser, default: int) -> None:
    """--days N."""
    parser.add_argument(
        "--days",
        type=int,
        metavar="N",
        default=default,
        help="validity in days, never longer than the issuer's (default: %(default)s)",
    )


def add_password(parser: argparse.ArgumentParser) -> None:
    """--password-file FILE; the password itself is never an argument."""
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help=f"its first line is the PFX password (default: ${PASSWORD_VARIABLE}, then a prompt)",
    )


def pfx_password(arguments: argparse.Namespace, name: str, *, confirm: bool = False) -> str:
    """The PFX password from the file, the environment or a prompt; `name` says what it is for. See read_password."""
    return read_password(arguments.password_file, PASSWORD_VARIABLE, f"Password of {name}", confirm=confirm)
