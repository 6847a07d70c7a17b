"""What every command shares: how it reports, how it fails, how it reads a file and asks for a password.

A command's handler returns a `Report`; `azureiot_tools.cli.main` prints it, as text or (`--json`) as JSON. A command
that runs for long prints each event as it comes with `emit`.
"""

from __future__ import annotations

import getpass
import json
import os
import select
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A password file may say more below its first line; one that is larger is some other file.
MAX_PASSWORD_FILE_BYTES = 64_000

# For how long a pipe may say nothing: what writes into it may be asking for a passphrase.
PIPE_PATIENCE_S = 60.0


class UserError(Exception):
    """Something the user can mend. The command line prints it as one line on stderr and exits 1.

    message: one sentence, what happened, with the file or value it happened to.
    hint: what to do next, a sentence of its own, or "".
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


@dataclass(frozen=True)
class Report:
    """What a command found or did.

    data: the same as JSON-able values, for `--json`.  text: for a person.  next: the step that usually follows, or "".
    """

    data: Any
    text: str
    next: str = ""

    def show(self, as_json: bool) -> None:
        """Print the report on stdout; of the text, control characters are escaped."""
        if as_json:
            print(json.dumps(self.data, indent=2))
            return
        for line in self.text.split("\n"):
            print(printable(line))
        if self.next:
            print(f"next: {printable(self.next)}")


def emit(as_json: bool, event: dict[str, Any], text: str) -> None:
    """Print one event of a running command: a line of text, or one JSON object a line."""
    print(json.dumps(event) if as_json else text, flush=True)


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Left-aligned columns, two spaces apart, under their headings; control characters in the cells are escaped."""
    shown = [[printable(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in shown]
    return "\n".join(line.rstrip() for line in lines)


def read_password(file: str | None, variable: str, prompt: str, *, confirm: bool = False) -> str:
    """A password from `file` (its first line), from the environment variable, or asked for without echo.

    Passwords are never taken from the command line, where any user of the machine could read them.

    Raises UserError when the file cannot be read, the two answers differ, or there is nobody to ask.
    """
    if file is not None:
        data = read_file(Path(file), MAX_PASSWORD_FILE_BYTES, "password file")
        try:
            return data.decode("utf-8-sig").split("\n", 1)[0].rstrip("\r")
        except UnicodeDecodeError:
            raise UserError(f"The password file {file} is not UTF-8 text.") from None
    if (password := os.environ.get(variable)) is not None:
        if not _is_unicode(password):
            raise UserError(f"The password in the environment variable {variable} is not UTF-8 text.")
        return password
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(
            "A password is needed and there is no terminal to ask on.",
            f"Give it with --password-file FILE or in the environment variable {variable}.",
        )
    try:
        password = getpass.getpass(f"{prompt}: ")
        if confirm and getpass.getpass(f"{prompt} (again): ") != password:
            raise UserError("The two passwords differ.", "Run the command again.")
    except EOFError:
        raise UserError("No password was entered.", "Run the command again.") from None
    except UnicodeDecodeError:
        raise UserError("What was typed is no text in the encoding of this terminal.", "Set LANG to one.") from None
    return password


def read_file(path: Path, max_bytes: int, kind: str) -> bytes:
    """All of a file that the user named: a regular file, or a pipe, as the shell's `<(command)` is one.

    kind: what it ought to be, for messages. A device, which may have no end, is not even opened.

    Raises UserError when it cannot be read, is neither of the two, is larger than max_bytes, or is a pipe into which
    nobody writes for PIPE_PATIENCE_S.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode)):  # of a directory, open says it
            raise UserError(f"{path} is not a file.")
        # Without waiting: the opening of a named pipe would, until somebody writes.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb", buffering=0) as file:
            data = b""
            while len(data) <= max_bytes:
                if stat.S_ISFIFO(mode) and not select.select([file], [], [], PIPE_PATIENCE_S)[0]:
                    raise UserError(f"{path} is a pipe, and nobody has written to it.")
                part = file.read(max_bytes + 1 - len(data))
                if not part:
                    return data
                data += part
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}.") from None
    raise UserError(f"{path} is larger than {max_bytes // 1000} kB: that is no {kind}.")


def reason(error: BaseException) -> str:
    """The error in words without Python's decoration: 'No such file or directory' rather than '[Errno 2] …'."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def printable(text: str) -> str:
    """`text` with control characters escaped: what a stranger wrote must not steer the terminal it is shown on."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shell_word(value: str | Path) -> str:
    """A path or a name as one word of a shell's command line, for commands that are shown to be copied."""
    text = str(value)
    if isinstance(value, Path) and text.startswith("-"):
        text = f"./{text}"  # else it would be taken for an option
    return shlex.quote(text)


def _is_unicode(text: str) -> bool:
    """Whether the text is not what Python makes of bytes that are no UTF-8 (surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
