"""`os` of the board: with uname(), without the ways out to the host."""

import sys
from collections import namedtuple

import uos as _unix

_HOST_ONLY = ("system", "getenv", "putenv", "unsetenv", "VfsPosix", "errno")


def uname():
    system = sys.modules["sys"]
    release = ".".join(str(number) for number in system.implementation.version[:3])
    fields = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))
    return fields(
        system.platform, system.platform, release, "v" + release + " on 2026-08-29", system.implementation._machine
    )


def __getattr__(name):
    if name in _HOST_ONLY:
        raise AttributeError(name)
    return getattr(_unix, name)
