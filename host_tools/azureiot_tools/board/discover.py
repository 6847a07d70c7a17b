"""Which serial port has the board."""

from __future__ import annotations

import sys

from serial.tools import list_ports

from azureiot_tools.console import UserError, printable

# USB vendors of boards and of the USB-to-serial chips on them.
_VENDORS = {
    0x10C4: "Silicon Labs CP210x",
    0x1A86: "WCH CH34x/CH910x",
    0x0403: "FTDI",
    0x303A: "Espressif",
    0x2E8A: "Raspberry Pi",
    0xF055: "MicroPython",
}


def boards() -> dict[str, str]:
    """The serial ports that may have a board, and what the board or its USB chip calls itself, by port name."""
    return {
        port.device: printable(port.description if port.description not in (None, "n/a") else _VENDORS[port.vid])
        for port in sorted(list_ports.comports())
        if port.vid in _VENDORS
    }


def choose(port: str | None) -> str:
    """The port to use: the one given, else the only board's; with several, the user is asked on a terminal.

    Raises UserError when there is no board, or there are several and nobody to ask.
    """
    if port is not None:
        return port
    found = boards()
    if not found:
        raise UserError(
            "No board was found on USB.",
            "Plug it in with a cable that carries data, or name its port: --port /dev/ttyUSB0 (COM3 on Windows).",
        )
    if len(found) == 1:
        return next(iter(found))
    listed = ", ".join(f"{name} ({description})" for name, description in found.items())
    if not sys.stdin.isatty():
        raise UserError(f"There are several boards: {listed}.", "Say which with --port.")
    names = list(found)
    for number, name in enumerate(names, 1):
        print(f"{number}  {name}  {found[name]}", file=sys.stderr)
    print("Which board? ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    if answer in names:
        return answer
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    raise UserError(f"{printable(answer)!r} is none of the boards.", "Answer with its number, or give --port.")
