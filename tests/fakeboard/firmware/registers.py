"""The numbers that chip and host share: slots of one file, a signed 64-bit number each. Read on both sides.

They are the chip's registers: they survive a soft reset, as on the chip; the host clears them as hardware would.
"""

FLASH_OPERATIONS = 0  # programmed pieces and erased sectors, ever
POWER_CUT_AT = 1  # this many FLASH_OPERATIONS are done, the next one is not; -1: no cut
POWER_CUT_TORN = 2  # 1: the next one is begun, and half of it is done
WATCHDOG_MS = 3  # 0: not started
WATCHDOG_FEEDS = 4
CLOCK_ZERO_MS = 5  # the host's time, in ms since 1970, at which the chip's clock read 2000-01-01 00:00:00
RESET_CAUSE = 6  # what machine.reset_cause() answers
USER_CODE = 7  # 1: boot.py was reached, Ctrl-C may come
RAW_REPL = 8  # 1: in raw mode; then a soft reset leads to raw mode again, and leaves main.py out
REQUEST = 9  # what the chip asks its surroundings for, one of:
RESET = 1
SOFT_RESET = 2
POWER_LOST = 3
FAILED = 4  # the firmware itself has failed

PINS = 16  # and 63 more: 0 never driven, 1 low, 2 high
COUNT = 80
