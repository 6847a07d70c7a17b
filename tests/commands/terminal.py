"""A command on a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Mapping
from pathlib import Path

CTRL_C, CTRL_D = b"\x03", b"\x04"
# Python misses a signal in the instant between its last look and its waiting for input; people press the key again.
AGAIN_S = 2.0


def at_a_terminal(
    cwd: Path, *arguments: str, typed: list[bytes], environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command, and at each prompt type the next of `typed`; its exit code and what the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(cwd)
        for variable in ("AZUREIOT_PFX_PASSWORD", "AZUREIOT_WIFI_PASSWORD"):
            os.environ.pop(variable, None)
        os.environ.update(environment or {})
        os.execv(sys.executable, [sys.executable, "-m", "azureiot_tools", *arguments])
    shown, answer = b"", b""
    answers = iter(typed)
    prompts = 0
    while True:
        if answer == CTRL_C and not select.select([terminal], [], [], AGAIN_S)[0]:
            os.write(terminal, CTRL_C)
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        if not data:
            break
        shown += data
        if shown.endswith(b": "):
            prompts += 1
            answer = next(answers, CTRL_D)
            os.write(terminal, answer if answer in (CTRL_C, CTRL_D) else answer + b"\n")
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert prompts >= len(typed), f"it asked only {prompts} times: {shown!r}"
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")
