"""A board without hardware: the real MicroPython, its REPL on a serial port, over the image of a flash.

    with FakeBoard(tmp_path / "flash.bin") as board:
        subprocess.run(["mpremote", "connect", board.port, "fs", "ls"], check=True)

What is real: the interpreter, its raw REPL, littlefs, mbedTLS and the host's sockets (docs/micropython.md §5). What
stands in: the hardware around them, in firmware/standins and nowhere else, and the weather, which a test can change
while the board runs.
"""

from fakeboard.board import FakeBoard
from fakeboard.console import Console
from fakeboard.weather import Weather

__all__ = ["Console", "FakeBoard", "Weather"]
