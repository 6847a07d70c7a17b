"""azureiot cert: what is in certificate files."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from azureiot_tools.certificates import options
from azureiot_tools.console import Report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `cert` and its action to the command line."""
    actions = commands.add_parser(
        "cert", help="show what is in certificate, key and PFX files", description="Certificate, key and PFX files."
    ).add_subparsers(title="actions", metavar="ACTION", required=True)
    parser = actions.add_parser(
        "show",
        allow_abbrev=False,  # `--password SECRET` must not be taken for --password-file
        help="subject, issuer, thumbprints, dates, use, chain, private key",
        description="Show what PEM, DER and PFX files hold. Keys and chains are matched across all files given.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a PEM, DER or PFX file")
    options.add_password(parser)
    options.add_json(parser)
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> Report:
    """Show every file; a password is asked for only if one of them is a PFX."""
    from azureiot_tools.certificates import inspect

    found = inspect.survey(
        [
            (path, inspect.read_contents(path, partial(options.pfx_password, arguments, str(path))))
            for path in map(Path, arguments.files)
        ]
    )
    return Report(found, inspect.survey_text(found))
