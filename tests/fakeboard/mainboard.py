"""What is around the chip on a board: power, resets, the watchdog, and the line on which a host types and reads.

Single-threaded: the relay calls it, and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fakeboard.chip import Chip, Registers
from fakeboard.console import LineEnds
from fakeboard.firmware import registers

POWER_ON, RESET, WATCHDOG, PANIC, SOFT_RESET = "power on", "reset", "watchdog", "panic", "soft reset"
# What machine.reset_cause() answers afterwards (ports/esp32/modmachine.c).
_CAUSE = {POWER_ON: 1, RESET: 5, WATCHDOG: 3, PANIC: 0, SOFT_RESET: 5}
_ROM = "ets Jul 29 2019 12:21:46\n\nrst:0x{:x} ({}),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
_SHOWN = {
    POWER_ON: _ROM.format(0x1, "POWERON_RESET"),
    RESET: _ROM.format(0xC, "SW_CPU_RESET"),
    WATCHDOG: "\nE (0) task_wdt: Task watchdog got triggered.\n" + _ROM.format(0xC, "SW_CPU_RESET"),
    PANIC: "\nGuru Meditation Error: Core 0 panic'ed.\n" + _ROM.format(0xC, "SW_CPU_RESET"),
    SOFT_RESET: "MPY: soft reboot\n",
}
_CTRL_C = b"\x03"


class Mainboard:
    """A chip that is started anew by power, by itself, or by its watchdog. `show` takes what the port shows."""

    def __init__(self, new_chip: Callable[[], Chip], wired: Registers, show: Callable[[bytes], None]) -> None:
        self._new_chip = new_chip
        self._registers = wired
        self._show = show
        self._line_ends = LineEnds()
        self.chip: Chip | None = None
        self._typed = b""  # by the host, not yet taken by the chip
        self._fed = (0, 0)
        self._fed_s = 0.0
        self.resets: list[str] = []
        wired[registers.POWER_CUT_AT] = -1

    def power_on(self) -> None:
        """Give power; a chip that has some loses it first."""
        self.power_off()
        self._registers[registers.CLOCK_ZERO_MS] = time.time_ns() // 1_000_000
        self._registers[registers.POWER_CUT_AT] = -1
        self._start(POWER_ON)

    def power_off(self) -> None:
        self._end_chip()
        self._typed = b""

    def freeze(self) -> None:
        if self.chip is not None:
            self.chip.freeze()

    def type(self, data: bytes) -> None:
        """What a host program sent. It waits until the chip takes it; without power it is lost."""
        if self.chip is not None:
            self._typed += data

    def is_waiting(self) -> bool:
        """Whether something typed waits for the chip."""
        return bool(self._typed)

    def step(self) -> None:
        """Move everything that can be moved."""
        if self.chip is not None:
            self._take_output(self.chip)
        if self.chip is not None:
            self._deliver(self.chip)
            self._hear_request()
        if self.chip is not None:
            self._watch()

    def _start(self, cause: str) -> None:
        soft = cause == SOFT_RESET
        wired = self._registers
        wired[registers.RESET_CAUSE] = _CAUSE[cause]
        wired[registers.USER_CODE] = wired[registers.REQUEST] = 0
        if not soft:
            self._typed = b""
            wired[registers.WATCHDOG_MS] = wired[registers.RAW_REPL] = 0
            for register in range(registers.PINS, registers.COUNT):
                wired[register] = 0
        self._show(self._line_ends.shown(_SHOWN[cause].encode()))
        self.chip = self._new_chip()

    def _reset(self, cause: str) -> None:
        self._end_chip()
        self.resets.append(cause)
        self._start(cause)

    def _end_chip(self) -> None:
        if self.chip is not None:
            self._show(self._line_ends.shown(self.chip.end()))
            self.chip = None

    def _take_output(self, chip: Chip) -> None:
        printed = chip.read()
        if printed:
            self._show(self._line_ends.shown(printed))
        elif printed is None:
            exit_code = chip.wait()
            self.chip = None
            self._reset(PANIC if exit_code < 0 else SOFT_RESET)

    def _deliver(self, chip: Chip) -> None:
        """Type for the host. Nothing before boot.py runs: a Ctrl-C would hit the firmware."""
        while self._typed and self._registers[registers.USER_CODE]:
            if self._typed.startswith(_CTRL_C) and chip.interrupt():
                taken = 1
            else:
                end = self._typed.find(_CTRL_C, 1)
                taken = chip.write(self._typed[: end if end > 0 else None])
            if not taken:
                return
            self._typed = self._typed[taken:]

    def _hear_request(self) -> None:
        request = self._registers[registers.REQUEST]
        if request:
            self._registers[registers.REQUEST] = 0
        if request == registers.RESET:
            self._reset(RESET)
        elif request == registers.SOFT_RESET:
            self._reset(SOFT_RESET)
        elif request == registers.POWER_LOST:
            self.power_off()
        elif request == registers.FAILED:
            raise RuntimeError("the firmware never came to boot.py; what it printed is in the log")

    def _watch(self) -> None:
        """The watchdog: a reset when it was not fed for its time."""
        fed = (self._registers[registers.WATCHDOG_MS], self._registers[registers.WATCHDOG_FEEDS])
        now = time.monotonic()
        if fed != self._fed:
            self._fed, self._fed_s = fed, now
        elif fed[0] and now > self._fed_s + fed[0] / 1000:
            self._reset(WATCHDOG)
