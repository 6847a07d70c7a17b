"""How long to wait before the next attempt: exponential, with full jitter (docs/protocol.md §3.12)."""

import os


def random_fraction() -> float:
    """A number from 0 to 1. Devices that lost the same hub at the same moment must not come back together."""
    return int.from_bytes(os.urandom(3), "big") / 0xFFFFFF


class Backoff:
    """first_ms, cap_ms: the first and the longest upper bound of a delay."""

    def __init__(self, first_ms: int = 1000, cap_ms: int = 100000, random=random_fraction):
        self.failures = 0
        self._first_ms = first_ms
        self._cap_ms = cap_ms
        self._random = random

    def failed(self) -> int:
        """Count a failure; the milliseconds to wait before the next attempt."""
        bound_ms = min(self._cap_ms, self._first_ms << min(self.failures, 16))
        self.failures += 1
        return int(bound_ms * self._random())

    def reset(self) -> None:
        """The connection has been good for a while: start again from the shortest delay."""
        self.failures = 0
