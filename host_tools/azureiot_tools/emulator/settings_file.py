"""The settings that lead devices to an emulator: settings.json in its data directory, written at every start.

`azureiot simulate`, `provision` and `board flash` take them with --settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from azureiot_tools.certificates import writer
from azureiot_tools.console import UserError, reason

NAME = "settings.json"


def write(directory: Path, values: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Write the settings, 0600; what a user has added to the file (Wi-Fi, a certificate) stays.

    values: those that lead to this emulator; `roots` is relative to the directory, and shows that a file is its own.
    Returns the path, and the settings of the last start, {} at the first.

    Raises UserError when the file that is there is not this emulator's, or it cannot be written.
    """
    path = directory / NAME
    before = _own(path, values["roots"]) if path.exists() else {}
    data = json.dumps({**before, **values}, indent=4).encode() + b"\n"
    writer.write([writer.NewFile(path, data, private=True)], force=True)
    return path, before


def _own(path: Path, roots: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {reason(error)}.", "Move it away; the emulator makes a new one."
        ) from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("roots") != roots:
        raise UserError(
            f"{path} is not an emulator's, and was left as it is.",
            "Move it away, or give the emulator a directory of its own with --data.",
        )
    return found
