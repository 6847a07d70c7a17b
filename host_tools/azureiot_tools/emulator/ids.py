"""Registration ids, as DPS takes and compares them (docs/protocol.md §1.2)."""

from __future__ import annotations

import re
import string

_REGISTRATION_ID = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9-])?")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def is_registration_id(text: str) -> bool:
    """1 to 128 letters, digits and - . _ : with a letter or digit first, and one or - last."""
    return _REGISTRATION_ID.fullmatch(text) is not None


def same_id(one: str, other: str) -> bool:
    """Whether two registration ids are equal, the case of A to Z aside. Other letters have none: U+212A is no k."""
    return one.translate(_LOWER) == other.translate(_LOWER)
