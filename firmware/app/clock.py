"""The clock: without the right date no server certificate is valid (docs/micropython.md §1.3)."""

from app import log
from azureiot.errors import AzureIoTError
from azureiot.runtime import const

_EARLIEST_YEAR = const(2025)  # boards wake in 2000, 2015 or 2021
_TIMEOUT_S = const(2)
_ROUNDS = const(2)  # UDP loses packets


def is_set(rtc) -> bool:
    """Whether the date can be right."""
    return rtc.datetime()[0] >= _EARLIEST_YEAR


def ensure(rtc, servers: list, sleep_ms, suspected: bool = False, ntptime=None) -> None:
    """Set the clock, in UTC, from the first server that answers, unless it is set.

    rtc: machine.RTC().  sleep_ms: called between two attempts, which take at most two seconds each (and what resolving
    the name takes).  suspected: ask even if the date can be right.  ntptime: instead of MicroPython's module.
    Raises AzureIoTError ("clock") with a reason for each server.
    """
    if is_set(rtc) and not suspected:
        return
    if ntptime is None:
        import ntptime
    ntptime.timeout = _TIMEOUT_S
    reasons = {}
    for _ in range(_ROUNDS):
        for server in servers:
            sleep_ms(0)
            ntptime.host = server
            try:
                ntptime.settime()
                if is_set(rtc):
                    year, month, day, _, hour, minute, second = rtc.datetime()[:7]
                    date = (year, month, day, hour, minute, second)
                    log("clock set to %d-%02d-%02d %02d:%02d:%02d UTC by %s" % (date + (server,)))
                    return
                reasons[server] = "a wrong date"
            except (OSError, ValueError) as error:
                reasons[server] = "no answer (%s)" % error
    if is_set(rtc):
        return  # suspected, but nobody knows better
    words = "; ".join(["%s: %s" % (server, reasons[server]) for server in servers])
    raise AzureIoTError("the clock is not set, and no time server helps (%s)" % words, "clock", True)
