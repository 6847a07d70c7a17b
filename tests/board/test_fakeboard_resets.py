"""Power, resets, the watchdog and the clock of the fake board: what an application that must recover can rely on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT

from .conftest import Connect, MakeBoard

CAUSE = b"import machine, time\nprint('cause', machine.reset_cause(), 'time', time.time())\n"


def test_an_endless_loop_is_ended_by_the_watchdog(make_board: MakeBoard) -> None:
    endless = b"machine.WDT(timeout=300)\nprint('endless')\nwhile True:\n    pass\n"
    board = make_board(files={"/main.py": CAUSE + endless})
    console = board.console(from_start=True)
    console.wait_for("cause 1")
    console.wait_for("endless")
    started = time.monotonic()
    console.wait_for("watchdog")
    assert 0.25 < time.monotonic() - started < 3
    console.wait_for("cause 3")
    assert board.reset_causes[0] == "watchdog"


def test_a_fed_watchdog_does_nothing(make_board: MakeBoard) -> None:
    fed = b"""
dog = machine.WDT(timeout=500)
for _ in range(15):
    time.sleep_ms(100)
    dog.feed()
print('fed for 1.5 s')
"""
    board = make_board(files={"/main.py": CAUSE + fed})
    board.console(from_start=True).wait_for("fed for 1.5 s")
    assert board.resets == 0


@pytest.mark.parametrize("way", ["Ctrl-C", "soft reset", "catching everything"])
def test_nothing_stops_the_watchdog(make_board: MakeBoard, connect: Connect, way: str) -> None:
    """A host that takes the board over must reckon with it: Ctrl-C only ends the feeding."""
    feeding = b"""
dog = machine.WDT(timeout=1000)
print('feeding')
while True:
    try:
        while True:
            dog.feed()
            time.sleep_ms(10)
    except KeyboardInterrupt:
        break
try:
    1 / 0
except BaseException:
    print('caught')
"""
    ending = b"while True:\n    try:\n        pass\n    except BaseException:\n        pass\n"
    board = make_board(files={"/main.py": CAUSE + feeding + (ending if way.startswith("catch") else b"")})
    console = board.console(from_start=True)
    console.wait_for("feeding")
    keyboard = connect(board.port).serial
    keyboard.write(b"\x03")
    console.wait_for("caught")
    if way == "soft reset":
        keyboard.write(b"\x01")
        console.wait_for("raw REPL")
        keyboard.write(b"\x04")  # in raw mode: main.py does not start the feeding again
        console.wait_for("soft reboot")
    console.wait_for("cause 3")
    assert board.reset_causes[-1] == "watchdog"


def test_a_hanging_chip_is_silent_until_the_watchdog_or_a_power_cycle(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board(files={"/boot.py": CAUSE})
    console = board.console(from_start=True)
    console.wait_for("Type .help")
    board.hang()
    keyboard = connect(board.port).serial
    keyboard.write(b"\r\x03\r\x01")
    keyboard.timeout = 0.3
    assert keyboard.read(1) == b""
    board.power_cycle()
    console.wait_for("cause 1")
    console.wait_for("Type .help")
    keyboard.write(b"import machine; w = machine.WDT(timeout=500); print('armed')\r")
    console.wait_for("^armed")
    board.hang()
    console.wait_for("cause 3")


@pytest.mark.parametrize(
    ("line", "cause", "number"), [("machine.reset()", "reset", 5), ("machine.soft_reset()", "soft reset", 5)]
)
def test_the_program_can_reset_the_board(make_board: MakeBoard, line: str, cause: str, number: int) -> None:
    once = f"\nif machine.reset_cause() == 1:\n    try:\n        {line}\n    except ValueError:\n        pass\n"
    board = make_board(files={"/main.py": CAUSE + once.encode()})
    board.console(from_start=True).wait_for(f"cause {number}")
    assert board.reset_causes == [cause]


def test_a_crash_of_the_interpreter_is_a_panic(make_board: MakeBoard) -> None:
    crash = b"\nimport uctypes\nif machine.reset_cause() == 1: uctypes.bytearray_at(8, 1)[0] = 1\n"
    board = make_board(files={"/main.py": CAUSE + crash})
    board.console(from_start=True).wait_for("Guru Meditation")
    board.console(from_start=True).wait_for("cause 0")
    assert board.reset_causes == ["panic"]


def test_the_clock_starts_in_2000_and_runs_through_resets_but_not_through_a_power_cut(
    make_board: MakeBoard, connect: Connect
) -> None:
    board = make_board(files={"/boot.py": CAUSE})
    console = board.console(from_start=True)
    assert int(re.findall(r"time (\d+)", console.wait_for("cause"))[0]) < 5
    transport = connect(board.port)
    transport.enter_raw_repl()
    transport.exec("import machine, time")
    transport.exec("machine.RTC().datetime((2026, 11, 23, 0, 18, 30, 0, 0))")
    year, month, day, _, hour, minute = transport.eval("machine.RTC().datetime()")[:6]
    assert (year, month, day, hour, minute) == (2026, 11, 23, 18, 30)
    assert transport.eval("time.gmtime()")[:5] == (2026, 11, 23, 18, 30)
    assert transport.eval("(time.mktime((2000, 1, 1, 0, 0, 0, 0, 0)), time.gmtime(0)[0])") == (0, 2000)
    console = board.console()
    transport.exec_raw_no_follow("machine.reset()")
    assert int(re.findall(r"time (\d+)", console.wait_for("cause"))[0]) > 800_000_000
    board.power_cycle()
    assert int(re.findall(r"time (\d+)", console.wait_for("cause 1"))[0]) < 5


def test_pins_can_be_seen(make_board: MakeBoard) -> None:
    board = make_board(
        files={"/main.py": b"from machine import Pin\nPin(2, Pin.OUT).on()\nPin(5, Pin.OUT, value=0)\nprint('set')\n"}
    )
    board.console(from_start=True).wait_for("^set")
    assert (board.pin(2), board.pin(5), board.pin(7)) == (1, 0, None)
    board.power_cycle()
    assert board.pin(7) is None


def test_without_power_there_is_silence_and_the_port_stays(make_board: MakeBoard, connect: Connect) -> None:
    board = make_board()
    board.power_off()
    keyboard = connect(board.port).serial
    keyboard.timeout = 0.2
    keyboard.write(b"\r\x01")
    assert keyboard.read(1) == b""
    assert not board.has_power
    console = board.console()
    board.power_cycle()
    console.wait_for("Type .help")
    assert "raw REPL" not in board.log, "what was typed without power is lost"


def test_nothing_outlives_killed_tests(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from fakeboard import FakeBoard
with FakeBoard(Path(sys.argv[1]), files={"/main.py": b"print('endless')\\nwhile True: pass\\n"}) as board:
    board.console(from_start=True).wait_for("endless")
    print(board._mainboard.chip._process.pid, flush=True)
    time.sleep(60)
"""
    search = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "host_tools", "firmware"))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "flash.bin")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search, "TMPDIR": str(tmp_path)},
    ) as tests:
        assert tests.stdout is not None
        chip = Path("/proc", tests.stdout.readline().strip(), "cmdline")
        assert b"play.py" in chip.read_bytes()
        tests.kill()
    deadline = time.monotonic() + 5
    while chip.exists() and chip.read_bytes():
        assert time.monotonic() < deadline, "it runs on"
        time.sleep(0.01)


def test_nothing_is_left_behind(make_board: MakeBoard) -> None:
    """A board that a test has forgotten must not run on: its process ends with close(), also while it hangs."""
    board = make_board()
    board.console(from_start=True).wait_for("Type .help")
    chip = board._mainboard.chip
    assert chip is not None
    process = chip._process
    board.hang()
    board.close()
    assert process.returncode is not None
    assert not os.path.lexists(board.port)
