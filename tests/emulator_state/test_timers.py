"""Pins the timers by which the emulator waits: by its clock, in the order of their times, and not when cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from azureiot_tools.emulator.timers import Timers

from .bench import Clock


def scenario(run: Callable[[Timers, Clock, list[str]], Awaitable[None]]) -> list[str]:
    """What was called, in order."""
    called: list[str] = []

    async def main() -> None:
        clock = Clock()
        await run(Timers(clock), clock, called)

    asyncio.run(main())
    return called


async def pause() -> None:
    """Until the loop has done what `wake` asked it for."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_hours_pass_when_the_clock_is_set_forward() -> None:
    async def run(timers: Timers, clock: Clock, called: list[str]) -> None:
        for name, hours in (("late", 3), ("early", 1), ("never", 100), ("middle", 2)):
            timers.at(clock() + timedelta(hours=hours), lambda name=name: called.append(name))
        timers.wake()
        await pause()
        assert called == []
        clock.advance(hours=5)
        timers.wake()
        await pause()
        timers.close()

    assert scenario(run) == ["early", "middle", "late"]


def test_what_is_due_already_is_done_at_once() -> None:
    async def run(timers: Timers, clock: Clock, called: list[str]) -> None:
        timers.at(clock() - timedelta(hours=1), lambda: called.append("past"))
        assert called == [], "but not before the caller has gone on"
        await asyncio.sleep(0.01)

    assert scenario(run) == ["past"]


def test_a_cancelled_timer_calls_nobody() -> None:
    async def run(timers: Timers, clock: Clock, called: list[str]) -> None:
        others = [timers.at(clock() + timedelta(seconds=2), lambda: called.append("cancelled")) for _ in range(2)]

        def first() -> None:
            called.append("first")
            for other in others:  # it is due as well, and must not be called any more
                other.cancel()

        timer = timers.at(clock() + timedelta(seconds=1), first)
        clock.advance(seconds=5)
        timers.wake()
        await pause()
        timer.cancel()  # made already: no harm
        timers.wake()
        await pause()

    assert scenario(run) == ["first"]


def test_a_clock_that_lags_behind_the_loops_makes_it_wait_on() -> None:
    async def run(timers: Timers, clock: Clock, called: list[str]) -> None:
        timers.at(clock() + timedelta(milliseconds=5), lambda: called.append("called"))
        await asyncio.sleep(0.05)
        assert called == [], "the emulator's clock stands still"
        clock.advance(milliseconds=5)
        await asyncio.sleep(0.05)

    assert scenario(run) == ["called"]


def test_a_call_may_ask_for_the_next_one() -> None:
    async def run(timers: Timers, clock: Clock, called: list[str]) -> None:
        def again() -> None:
            called.append("again")
            if len(called) < 3:
                timers.at(clock() + timedelta(minutes=1), again)

        timers.at(clock(), again)
        for _ in range(3):
            clock.advance(minutes=1)
            timers.wake()
            await pause()

    assert scenario(run) == ["again"] * 3
