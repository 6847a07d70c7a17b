"""`sys` of the board: another platform and version, everything else the interpreter's own."""

import sys as _sys
from collections import namedtuple

platform = "esp32"
implementation = version = None


def describe(config):
    """Take platform and MicroPython version from chip.json."""
    global platform, implementation, version
    own = _sys.implementation
    fields = namedtuple("implementation", ("name", "version", "_machine", "_mpy"))
    implementation = fields(own.name, tuple(config["version"] + [""]), config["machine"], own._mpy)
    version = "3.4.0; MicroPython v" + ".".join(str(number) for number in config["version"])
    platform = config["platform"]


def __getattr__(name):
    return getattr(_sys, name)
