"""`azureiot board log` ends by Ctrl-C as every command does, and the board goes on as if nobody had listened."""

from __future__ import annotations

import signal
import subprocess
import sys

from .boards import install

COUNTING = b"import time\nn = 0\nwhile True:\n    print('azureiot: line', n)\n    n += 1\n    time.sleep_ms(50)\n"


def test_ctrl_c(board_port: str) -> None:
    install(board_port, {"main.py": COUNTING})
    assert interrupted(board_port) < interrupted(board_port), "it counts on: neither stopped nor started again"


def interrupted(port: str) -> int:
    """Read the log for three lines, then Ctrl-C. The number of the last line."""
    command = [sys.executable, "-m", "azureiot_tools.cli", "board", "log", "--port", port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as log:
        assert log.stdout is not None
        try:
            numbers = []
            for line in log.stdout:
                if line.startswith("azureiot: line "):
                    numbers.append(int(line.split()[-1]))
                if len(numbers) == 3:
                    break
            log.send_signal(signal.SIGINT)
            _, said = log.communicate(timeout=20)
        finally:
            log.kill()
    assert log.returncode == 130
    assert said == "azureiot: interrupted\n"
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    return numbers[-1]
