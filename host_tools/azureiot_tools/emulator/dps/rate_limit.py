"""How much DPS takes before it answers 429 (docs/protocol.md §1.3, §1.5)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class DpsLimits:
    """None: as many as come, which is an emulator's default. `AZURES` are the documented limits."""

    registrations_per_minute: int | None = None
    operations_per_minute: int | None = None
    polls_per_10_s: int | None = None  # of one device


AZURES = DpsLimits(registrations_per_minute=1000, operations_per_minute=1000, polls_per_10_s=5)


class RateLimit:
    """So many in each stretch of time; one starts with the first that comes after the last has ended."""

    def __init__(self, most: int | None, per: timedelta, now: Callable[[], datetime]) -> None:
        self._most = most
        self._per = per
        self._now = now
        self._begun = now() - per
        self._counts: Counter[str] = Counter()

    def take(self, key: str = "") -> int:
        """Count one more of this key: 0, or the seconds until there is room again when it is one too many."""
        if self._most is None:
            return 0
        now = self._now()
        if not self._begun <= now < self._begun + self._per:
            self._begun = now
            self._counts.clear()
        self._counts[key] += 1
        left_s = (self._begun + self._per - now).total_seconds()
        return 0 if self._counts[key] <= self._most else math.ceil(left_s)
