"""The `azureiot` command: a table of subcommands, each in a module of azureiot_tools.commands.

A command module has `add(commands)`, which adds its parsers to argparse's subparsers, with `set_defaults(run=handler)`.
A handler takes the parsed arguments and returns a `console.Report`, or None when it has printed what there was to say.

Exit codes: 0 done; 1 something the user can mend, said in one line on stderr; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from azureiot_tools.console import Report, UserError

# In the order in which a newcomer needs them; the help lists them so.
COMMANDS = ("demo", "ca", "device", "pfx", "cert", "roots", "emulator", "service", "provision", "simulate", "monitor")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, subcommands included."""
    parser = argparse.ArgumentParser(
        prog="azureiot",
        description="Certificates, provisioning and telemetry for Azure IoT, and a local DPS + IoT Hub to try them on.",
    )
    parser.add_argument("--version", action="version", version=f"azureiot {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"azureiot_tools.commands.{name}").add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. argv is without the program's name, sys.argv's by default."""
    try:
        arguments = build_parser().parse_args(argv)
        report = arguments.run(arguments)
        if isinstance(report, Report):
            report.show(getattr(arguments, "json", False))
        sys.stdout.flush()
        return 0
    except UserError as error:
        print(f"azureiot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("azureiot: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("cryptography", "OpenSSL", "aiohttp"):
            print(
                f"azureiot: the package {error.name} is missing. Install the tools: pip install 'azureiot[tools]'",
                file=sys.stderr,
            )
            return 1
        raise


def _version() -> str:
    try:
        return version("azureiot")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "(not installed)"


if __name__ == "__main__":
    raise SystemExit(main())
