"""The board's log after an installation, until its first message is acknowledged, or why that did not come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from azureiot_tools.board.transport import PROMPT
from azureiot_tools.console import UserError

_LOG = "azureiot: "
_DELIVERED = f"{_LOG}delivered message 1"
_STARTS = " starts in "
_TRACEBACK = "Traceback (most recent call last):"
_MANY_STARTS = 3


def until_delivered(lines: Iterable[str], show: Callable[[str], None]) -> str:
    """Show the lines that the board prints up to the first acknowledged message, which is returned.

    lines: until it is time to give up; see Board.lines.

    Raises UserError that says in words what happened instead.
    """
    starts, last, error, in_traceback = 0, "", "", False
    for line in lines:
        if line == PROMPT:
            if starts:  # boot.py has run, and nothing runs any more
                raise UserError(*_stopped(error, last))
            continue
        if line.strip():
            show(line)
        if line.startswith(_DELIVERED) and not line[len(_DELIVERED) :][:1].isdigit():
            return line
        if line.startswith(_LOG):
            starts += _STARTS in line
            last = line.removeprefix(_LOG)
        elif line == _TRACEBACK:
            in_traceback = True
        elif in_traceback and not line.startswith(" "):
            error, in_traceback = line, False
    if starts >= _MANY_STARTS:
        raise UserError(
            f"The board started {starts} times without delivering a message: something resets it.",
            "Read its log (azureiot board log); a watchdog, or too weak a power supply, does that.",
        )
    if not last:
        raise UserError(
            "The board said nothing after its restart.", "Read its log: azureiot board log; or press its reset button."
        )
    raise UserError(f"The board has not delivered a message yet; the last it said: {last}")


def _stopped(error: str, last: str) -> tuple[str, str]:
    if error:
        return f"The application on the board stopped: {error}.", "Install again; azureiot board log shows all of it."
    if _STARTS in last:
        return "The application on the board ended without a word.", "Install again."
    return f"The board does not run the application: {last}.", "Install again."
