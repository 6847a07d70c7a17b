"""Plays the chip's interpreter: python play.py HEAP POWER_ON.py FOLDER, by the Python that has MicroPython's unix port.

That port comes as a module of CPython, which lets two things be put right before it runs:

* Its own handler of Ctrl-C leaves C code in the middle, littlefs and the allocator too. A board only notes the Ctrl-C
  and raises it between two instructions of Python. So does SIGUSR1 here, which is what the fake board sends.
  The firmware sends it to itself by writing to the pipe `interrupts`: `hardware.interrupt_again`.
* It starts in friendly mode. A board that was in raw mode is in it again after a soft reset.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import struct
import sys
from pathlib import Path

import micropython_module  # type: ignore[import-not-found]
from firmware.registers import RAW_REPL  # type: ignore[import-not-found]

_PR_SET_PDEATHSIG = 1


def main(heap: str, program: str, folder: str) -> int:
    port = ctypes.CDLL(micropython_module.__file__)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # no endless program outlives the tests
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGUSR1, ctypes.cast(port.mp_sched_keyboard_interrupt, ctypes.c_void_p))
    libc.siginterrupt(signal.SIGUSR1, 1)  # so that a blocking read ends as well
    _make_interrupts(os.path.join(folder, "interrupts"))
    raw_mode = ctypes.c_int.in_dll(port, "pyexec_mode_kind")
    with Path(folder, "registers").open("r+b") as file, mmap.mmap(file.fileno(), 0) as registers:
        (raw_mode.value,) = struct.unpack_from("<q", registers, 8 * RAW_REPL)
        exit_code = micropython_module.run_main(["micropython", "-X", f"heapsize={heap}", "-i", program, folder])
        struct.pack_into("<q", registers, 8 * RAW_REPL, raw_mode.value)
    return exit_code


def _make_interrupts(path: str) -> None:
    if not os.path.exists(path):
        os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)  # stays open; its first byte is not to be a signal
    os.write(pipe, b"!")
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGUSR1)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
