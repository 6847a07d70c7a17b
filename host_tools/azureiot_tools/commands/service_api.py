"""What the commands share that talk to the emulator's service API."""

from __future__ import annotations

import argparse
import os
from typing import Any

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
