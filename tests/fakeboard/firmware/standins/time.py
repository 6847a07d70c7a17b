"""`time` of an ESP32: counts from 2000, runs on from power-on until the clock is set (docs/micropython.md §7).

mbedTLS in this process reads the host's clock all the same: a certificate is never “from the future” here.
"""

import hardware
import utime as _unix
from registers import CLOCK_ZERO_MS

_2000_S = 946684800

sleep = _unix.sleep
sleep_ms = _unix.sleep_ms
sleep_us = _unix.sleep_us
ticks_ms = _unix.ticks_ms
ticks_us = _unix.ticks_us
ticks_cpu = _unix.ticks_cpu
ticks_add = _unix.ticks_add
ticks_diff = _unix.ticks_diff


def time():
    return (hardware.host_ms() - hardware.get(CLOCK_ZERO_MS)) // 1000


def time_ns():
    return _unix.time_ns() - hardware.get(CLOCK_ZERO_MS) * 1000000


def gmtime(secs=None):
    return _unix.gmtime((time() if secs is None else int(secs)) + _2000_S)[:8]


localtime = gmtime


def mktime(local_time):
    return int(_unix.mktime(tuple(local_time)[:8])) - _2000_S
