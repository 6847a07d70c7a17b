"""What a board is: its firmware, its clock, what is installed on it. Only reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from azureiot_tools.board.transport import Board, BoardRefused
from azureiot_tools.console import UserError, printable

OLDEST = (1, 22)

_FACTS = """
import sys, os, json
i = sys.implementation
import machine, binascii
t = machine.RTC().datetime()
print(json.dumps({
 "name": i.name, "version": list(i.version[:3]), "machine": getattr(i, "_machine", ""),
 "unique_id": str(binascii.hexlify(machine.unique_id()), "utf8"),
 "clock": [t[0], t[1], t[2], t[4], t[5], t[6]],
}))
"""
_SETTING = """
import json
with open("/slots/{slot}/settings.json") as f: print(json.dumps(json.load(f).get({name!r})))
"""


@dataclass(frozen=True)
class Identity:
    """The board itself. machine: in the firmware's words; clock: what it takes for the time, None when that is none."""

    version: tuple[int, ...]
    machine: str
    unique_id: str
    clock: datetime | None

    @property
    def firmware(self) -> str:
        """As in "MicroPython 1.29.0"."""
        return f"MicroPython {'.'.join(map(str, self.version))}"


def read(board: Board) -> Identity:
    """Ask the board. Raises UserError when it does not run MicroPython."""
    try:
        facts = json.loads(board.run(_FACTS))
    except ValueError:
        raise UserError(f"What is on {board.port} does not answer as MicroPython does.") from None
    if facts["name"] != "micropython":
        raise UserError(
            f"The board on {board.port} runs {printable(facts['name'])}, not MicroPython.",
            "Install MicroPython on it (docs/esp32.md).",
        )
    try:
        clock = datetime(*facts["clock"], tzinfo=UTC)
    except ValueError:
        clock = None
    return Identity(tuple(facts["version"]), printable(facts["machine"]), facts["unique_id"], clock)


def check_version(identity: Identity) -> None:
    """Raise UserError when the firmware is older than what the device library needs (docs/micropython.md §1.5)."""
    if identity.version < OLDEST:
        raise UserError(
            f"The board runs {identity.firmware}, which does not check the dates of certificates; 1.22 or newer is "
            "needed.",
            "Install a newer MicroPython on it (docs/esp32.md).",
        )


def setting(board: Board, slot: str, name: str) -> object:
    """One entry of the settings.json in a slot, None when it is not there or the file is unreadable."""
    try:
        return json.loads(board.run(_SETTING.format(slot=slot, name=name)))
    except (BoardRefused, ValueError):
        return None


def set_clock(board: Board, now: datetime) -> None:
    """Set the board's clock in UTC; TLS refuses certificates "from the future" before that (docs/micropython.md §1.3).

    now: an aware time.
    """
    utc = now.astimezone(UTC)
    fields = (utc.year, utc.month, utc.day, utc.weekday(), utc.hour, utc.minute, utc.second, 0)
    board.run(f"import machine\nmachine.RTC().datetime({fields!r})")
