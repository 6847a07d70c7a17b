"""What is to be done at a time of the emulator's clock: the one place where the emulator waits for hours.

A test that sets the clock forward calls `wake`, and hours have passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime


class Timers:
    """Calls that are due later, made in the event loop in which the timers were made."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._loop = asyncio.get_running_loop()
        self._waiting: set[Timer] = set()

    def at(self, due: datetime, call: Callable[[], None]) -> Timer:
        """Make this call once `due` has come, or soon when it has passed; `Timer.cancel` takes it back."""
        timer = Timer(due, call, self._waiting.discard)
        self._waiting.add(timer)
        self._wait(timer)
        return timer

    def wake(self) -> None:
        """Look at the clock again: it has been set. From any thread; what is due is done before the loop goes on."""
        self._loop.call_soon_threadsafe(self._look)

    def close(self) -> None:
        """Take all calls back."""
        for timer in list(self._waiting):
            timer.cancel()

    def _look(self) -> None:
        for timer in sorted(self._waiting, key=lambda timer: timer.due):
            if timer in self._waiting and timer.due <= self.now():
                self._fire(timer)

    def _fire(self, timer: Timer) -> None:
        if timer.due > self.now():  # the clock was set back, or the loop's is faster
            self._wait(timer)
            return
        timer.cancel()
        timer.call()

    def _wait(self, timer: Timer) -> None:
        timer.handle = self._loop.call_later((timer.due - self.now()).total_seconds(), self._fire, timer)


class Timer:
    """One call that is due later."""

    __slots__ = ("_forget", "call", "due", "handle")

    handle: asyncio.TimerHandle

    def __init__(self, due: datetime, call: Callable[[], None], forget: Callable[[Timer], None]) -> None:
        self.due = due
        self.call = call
        self._forget = forget

    def cancel(self) -> None:
        """Do not make the call. It may have been made already."""
        self.handle.cancel()
        self._forget(self)
