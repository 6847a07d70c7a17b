"""The fake board as tests hold it."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fakeboard import chip
from fakeboard.console import Console, Transcript
from fakeboard.firmware import registers
from fakeboard.flash import OFFSET, Flash
from fakeboard.mainboard import Mainboard
from fakeboard.ports import PtyPort, TcpPort
from fakeboard.relay import Relay
from fakeboard.weather import Weather

STANDINS_HEAP_KB = 26  # measured: what is in use when boot.py begins, beyond what a bare interpreter uses


class FakeBoard:
    """An ESP32 whose flash is the file `flash_path`; `with` powers it on, and leaves nothing behind but that file.

    flash_path: made blank when it is missing; it can be the flash of another, closed board.
    heap: what the interpreter's heap has for programs, in KB ("72K"); the stand-ins take theirs beside it.
    files: what a factory has put into the flash, by absolute path.
    tcp: a port for `socket://` addresses besides the pseudo-terminal, `tcp_port`.
    native_usb: the ports are the chip's own and go with its power, as on S2, S3, C3 and C6; else they are an adapter's.
    filesystem_bytes: the partition for files, a multiple of 4096.
    version, platform, machine: the firmware that it says it has.
    """

    def __init__(
        self,
        flash_path: Path,
        *,
        heap: str = "256K",
        files: Mapping[str, bytes] | None = None,
        tcp: bool = False,
        native_usb: bool = False,
        filesystem_bytes: int = 0x200000,
        version: Sequence[int] = (1, 29, 0),
        platform: str = "esp32",
        machine: str = "Generic ESP32 module with ESP32",
        weather: Weather | None = None,
    ) -> None:
        self.flash = Flash(Path(flash_path), filesystem_bytes)
        if files:
            self.flash.write(files)
        self._folder = tempfile.TemporaryDirectory(prefix="fakeboard-")
        folder = Path(self._folder.name)
        self._link = folder / "tty"
        self._weather_path = folder / "weather.json"
        self._weather = weather or Weather()
        self._weather.write(self._weather_path)
        described = {
            "flash": str(self.flash.path.resolve()),
            "offset": OFFSET,
            "size_bytes": filesystem_bytes,
            "version": list(version),
            "platform": platform,
            "machine": machine,
        }
        (folder / "chip.json").write_text(json.dumps(described), encoding="utf-8")
        self._registers = chip.Registers(folder / "registers")
        self._transcript = Transcript()
        heap_kb = int(heap.removesuffix("K")) + STANDINS_HEAP_KB
        new_chip = functools.partial(chip.Chip, f"{heap_kb}K", folder)
        self._mainboard = Mainboard(new_chip, self._registers, self._show)
        self._native_usb = native_usb
        self._relay = Relay(self._mainboard, ports_need_power=native_usb)
        self._wants_tcp = tcp
        self._tcp_number = 0

    def __enter__(self) -> Self:
        self._relay.start()
        self._relay.call(self._mainboard.power_on)
        self.restore_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and the ports. Raises RuntimeError when the pretence itself has failed meanwhile."""
        try:
            self._relay.close()
        finally:
            self._folder.cleanup()

    # ---- what a host program meets

    @property
    def port(self) -> str:
        """The serial port's name."""
        return str(self._link)

    @property
    def tcp_port(self) -> str:
        """The same board as an address for pyserial: socket://127.0.0.1:N."""
        if not self._tcp_number:
            raise ValueError("this board was made without tcp=True")
        return f"socket://127.0.0.1:{self._tcp_number}"

    def vanish_port(self) -> None:
        """Both ports go, also for a program that has one open; the chip runs on."""
        self._relay.call(self._relay.drop_ports)

    def restore_port(self) -> None:
        """The ports come back under their names."""
        self.vanish_port()
        self._relay.attach(PtyPort(self._link))
        if self._wants_tcp:
            tcp = TcpPort(self._tcp_number)
            self._tcp_number = tcp.number
            self._relay.attach(tcp)

    # ---- power

    def power_cycle(self) -> None:
        """Take the power if there is any, and give it again."""
        self._relay.call(self._mainboard.power_on)
        if self._native_usb:
            self.restore_port()

    def power_off(self) -> None:
        """Take the power. The port stays, and is silent, unless it is `native_usb`."""
        self._relay.call(self._mainboard.power_off)

    def cut_power_after(self, flash_operations: int, *, torn: bool = False) -> None:
        """Let so many more flash operations happen; at the next one the power goes, until power_cycle().

        torn: that one is begun: half of its bytes are programmed, or half of its sector is erased.
        """
        self._registers[registers.POWER_CUT_TORN] = torn
        self._registers[registers.POWER_CUT_AT] = self.flash_operations + flash_operations

    def hang(self) -> None:
        """The chip stands still: no code runs and nothing is answered, until the watchdog or power_cycle()."""
        self._relay.call(self._mainboard.freeze)

    @property
    def has_power(self) -> bool:
        return bool(self._relay.call(lambda: self._mainboard.chip is not None))

    @property
    def resets(self) -> int:
        """How often it has restarted by itself, soft resets included; power_cycle() does not count."""
        return len(self.reset_causes)

    @property
    def reset_causes(self) -> list[str]:
        """What each of those restarts was: "reset", "watchdog", "panic" or "soft reset"."""
        return list(self._relay.call(lambda: self._mainboard.resets.copy()))

    # ---- what it does

    @property
    def flash_operations(self) -> int:
        """How many pieces were programmed and sectors erased, ever; exact once a command's answer has come."""
        return self._registers[registers.FLASH_OPERATIONS]

    @property
    def log(self) -> str:
        """Everything that was printed on the console, also while a host tool had the port open."""
        return self._transcript.text()

    def console(self, *, from_start: bool = False) -> Console:
        """A reader of what is printed from now on, or from the first power-on."""
        return Console(self._transcript, 0 if from_start else self._transcript.length())

    def files(self) -> dict[str, bytes]:
        """All files in the flash, by absolute path, read from its image."""
        return self.flash.files()

    def pin(self, number: int) -> int | None:
        """The level that the chip drives a pin to; None when it does not."""
        level = self._registers[registers.PINS + number]
        return level - 1 if level else None

    # ---- what surrounds it

    def weather(self, **changes: Any) -> Weather:
        """Change what is said, by the fields of Weather; the weather from now on."""
        self._weather = replace(self._weather, **changes)
        self._weather.write(self._weather_path)
        return self._weather

    def _show(self, data: bytes) -> None:
        self._relay.show(data)  # first: a test that has read it may rely on the port having sent it
        self._transcript.add(data)
