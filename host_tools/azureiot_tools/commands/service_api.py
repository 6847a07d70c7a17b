"""What the commands share that talk to the emulator's service API."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from azureiot_tools.console import Report, UserError, table
from azureiot_tools.service import DEFAULT_URL, ServiceClient


def add_common(parser: argparse.ArgumentParser) -> None:
    """--url and --json, as every command has them that talks to the service API."""
    # Suppressed defaults: a subparser's default would overwrite what the parser above it was given.
    parser.add_argument(
        "--url",
        metavar="URL",
        default=argparse.SUPPRESS,
        help=f"the emulator's service API (environment AZUREIOT_SERVICE_URL; {DEFAULT_URL})",
    )
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def client_of(arguments: argparse.Namespace) -> ServiceClient:
    """The client for --url, the environment or the default, in this order."""
    return ServiceClient(getattr(arguments, "url", None) or os.environ.get("AZUREIOT_SERVICE_URL") or DEFAULT_URL)


def leaf(parent: Any, name: str, help_: str, run: Any) -> argparse.ArgumentParser:
    """A command that does something, with the common options; run: its handler."""
    parser = parent.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
    add_common(parser)
    parser.set_defaults(run=run)
    return parser


def listing(data: Any, headings: list[str], rows: list[list[str]], nothing: str, then: str) -> Report:
    """A table of what was found; or that it was nothing, and what to do then."""
    return Report(data, table(headings, rows)) if rows else Report(data, nothing, then)


def certificate_in(file: str) -> bytes:
    """The first certificate of a PEM or DER file, as DER; nothing else of it leaves this machine.

    Raises UserError when there is none.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from azureiot_tools.certificates import formats

    contents = formats.parse_file(Path(file))
    if not contents.certificates:
        raise UserError(f"{file} holds no certificate but {formats.summary(contents)}.", "Give the .crt file.")
    return contents.certificates[0].public_bytes(Encoding.DER)
