"""azureiot roots: the server roots a device must trust."""

from __future__ import annotations

import argparse

from azureiot_tools.certificates import options
from azureiot_tools.console import Report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `roots` to the command line."""
    parser = commands.add_parser(
        "roots",
        help="show the server roots that devices trust",
        description="The root certificates that Azure's servers lead to (docs/protocol.md §4.5), as files for devices.",
    )
    options.add_json(parser)
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> Report:
    """Show the roots, one block each: a thumbprint is as wide as a terminal."""
    from azureiot_tools.certificates import inspect, roots

    found = [(root, inspect.describe(root.certificate)) for root in roots.server_roots()]
    data = [{"file": str(root.path), "clouds": root.clouds, **entry} for root, entry in found]
    text = [
        f"{entry['common_name']}\n"
        + "\n".join(
            "  " + inspect.line(label, value)
            for label, value in (
                ("clouds", root.clouds),
                ("SHA-1", entry["sha1"]),
                ("SHA-256", entry["sha256"]),
                ("expires", f"{entry['not_after'][:10]} ({inspect.remaining(entry)})"),
                ("file", str(root.path)),
            )
        )
        for root, entry in found
    ]
    return Report(data, "\n".join(text))
