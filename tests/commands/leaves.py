"""Every command of the command line with its arguments, found by asking the parser: a new one is tried unasked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from azureiot_tools.cli import build_parser

FILES = ("FILE", "DIR", "PATH")


@dataclass(frozen=True)
class Leaf:
    """A command that does something. words: what is typed, "device create". parser: of its own arguments."""

    words: tuple[str, ...]
    parser: argparse.ArgumentParser

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def arguments(self) -> list[argparse.Action]:
        """Those that take a value."""
        left_out = (argparse._HelpAction, argparse._SubParsersAction)
        return [one for one in self.parser._actions if not isinstance(one, left_out) and one.nargs != 0]

    @property
    def files(self) -> list[argparse.Action]:
        """Those whose value is the name of a file or directory."""
        return [one for one in self.arguments if one.metavar in FILES]

    @property
    def flags(self) -> list[str]:
        """The options without a value, but for --help."""
        return [one.option_strings[-1] for one in self.parser._actions if one.nargs == 0 and one.dest != "help"]


def option(argument: argparse.Action) -> str:
    """How the argument is named in messages and in tables: "--days", or "CODE" where it has no option."""
    return argument.option_strings[-1] if argument.option_strings else str(argument.metavar or argument.dest)


def leaves() -> list[Leaf]:
    """All commands, in the order of the help."""
    return list(_below(build_parser(), ()))


def groups() -> list[tuple[str, ...]]:
    """What does nothing without a further word: "ca", "service cert", and `azureiot` alone."""
    return list(_groups(build_parser(), ()))


def _below(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[Leaf]:
    further = _subparsers(parser)
    if further is None or not further.required:
        yield Leaf(words, parser)
    for word, one in further.choices.items() if further else ():
        yield from _below(one, (*words, word))


def _groups(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    further = _subparsers(parser)
    if further is not None:
        if further.required:
            yield words
        for word, one in further.choices.items():
            yield from _groups(one, (*words, word))


def _subparsers(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser] | None:
    return next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)
