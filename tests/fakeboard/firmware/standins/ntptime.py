"""`ntptime` with servers that answer or keep silent, as the weather says."""

import errno
import time as _time

import hardware
import machine
import network

_1970_TO_2000_MS = 946684800000

host = "pool.ntp.org"
timeout = 1


def time():
    """Seconds since 2000, from the host's clock. Raises OSError as the real one does."""
    if not network._joined():
        raise OSError(-202)
    answers = hardware.weather()["ntp"]
    if answers is not True and not (answers and host in answers):
        _time.sleep(timeout)
        raise OSError(errno.ETIMEDOUT)
    return (hardware.host_ms() - _1970_TO_2000_MS) // 1000


def settime():
    now = _time.gmtime(time())
    machine.RTC().datetime((now[0], now[1], now[2], now[6] + 1, now[3], now[4], now[5], 0))
