"""The wires between the chip and its surroundings: registers, and the weather as the host last described it."""

import json
import struct

import utime  # the unix port's own, whatever stands in for `time`
import vfs
from registers import REQUEST

_folder = None
_registers = None
_interrupts = None


def connect(path):
    """Open the host's folder for this board; what its chip.json says. Unmounted: code on the board cannot see it."""
    global _folder, _registers, _interrupts
    _folder = vfs.VfsPosix(path)
    _registers = _folder.open("/registers", "r+b")
    _interrupts = _folder.open("/interrupts", "r+b")
    return _read("/chip.json")


def get(register):
    _registers.seek(8 * register)
    return struct.unpack("<q", _registers.read(8))[0]


def put(register, value):
    _registers.seek(8 * register)
    _registers.write(struct.pack("<q", value))


def weather():
    return _read("/weather.json")


def host_ms():
    """The host's clock, in ms since 1970."""
    return utime.time_ns() // 1000000


def interrupt_again():
    """A Ctrl-C, at the next instruction that looks for one. play.py has made each write here a signal."""
    _interrupts.read(1)  # there is always one byte, and the pipe never fills
    _interrupts.write(b"!")


def halt(request):
    """Ask for a reset or a power cut and wait for it: no code runs after this, whatever it catches."""
    put(REQUEST, request)
    while True:
        try:
            utime.sleep(60)
        except BaseException:
            pass


def _read(name):
    with _folder.open(name, "r") as file:
        return json.load(file)
