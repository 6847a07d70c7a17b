"""`machine`, as much as programs of this project use: pins, the watchdog, the clock, resets."""

import time

import hardware
import umachine as _unix
from registers import CLOCK_ZERO_MS, PINS, RESET, RESET_CAUSE, WATCHDOG_FEEDS, WATCHDOG_MS

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

mem8 = _unix.mem8
mem16 = _unix.mem16
mem32 = _unix.mem32
Signal = _unix.Signal
idle = _unix.idle


def reset():
    hardware.halt(RESET)


def soft_reset():
    raise SystemExit


def reset_cause():
    return hardware.get(RESET_CAUSE)


def unique_id():
    return b"\x24\x0a\xc4\x00\x00\x01"


def freq(hz=None):
    return 160000000 if hz is None else None


class Pin:
    """A pin; what it drives can be seen by the host. An input that nobody drives reads 0."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        if not 0 <= id < 64:
            raise ValueError("invalid pin")
        self._register = PINS + id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if value is not None:
            self.value(value)

    def value(self, x=None):
        if x is None:
            return int(hardware.get(self._register) == 2)
        hardware.put(self._register, 2 if x else 1)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class WDT:
    """The watchdog. Nothing on the board stops it: not a Ctrl-C, not a soft reset."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        hardware.put(WATCHDOG_MS, timeout)
        self.feed()

    def feed(self):
        hardware.put(WATCHDOG_FEEDS, hardware.get(WATCHDOG_FEEDS) + 1)


class RTC:
    """The clock. It runs through resets and starts again at 2000-01-01 when the power was away."""

    def datetime(self, datetimetuple=None):
        if datetimetuple is None:
            now = time.gmtime()
            return (now[0], now[1], now[2], now[6], now[3], now[4], now[5], time.time_ns() // 1000 % 1000000)
        year, month, day, _, hour, minute, second, microsecond = datetimetuple
        seconds = time.mktime((year, month, day, hour, minute, second, 0, 0))
        hardware.put(CLOCK_ZERO_MS, hardware.host_ms() - seconds * 1000 - microsecond // 1000)
