"""What differs between CPython and MicroPython, behind the same names. No other module asks where it runs.

READ and WRITE are the directions one can wait for; NAME means that a host name must be resolved first (`resolve`).
The module itself serves as the default clock: `ticks_ms` and `ticks_diff` are what a clock has.
"""

import sys

READ = 1
WRITE = 4
NAME = 8

if sys.implementation.name == "micropython":
    from azureiot.runtime_micropython import *
else:
    from azureiot.runtime_cpython import *
