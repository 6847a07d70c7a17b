"""Pins: what the registry has acknowledged is still there after the process was killed with SIGKILL."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from azureiot_tools.emulator.registry import Registry

from .bench import NOW

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from azureiot_tools.emulator.records import DeviceIdentity, Telemetry
from azureiot_tools.emulator.registry import Registry

now = datetime.now(UTC)
registry = Registry(Path(sys.argv[1]), lambda: now)
number = 0
while True:
    number += 1
    registry.put_device(DeviceIdentity("hub", f"d{number}", "1", True, ("AB",), now, now))
    registry.add_telemetry([Telemetry(0, "hub", f"d{number}", b"x", {}, {}, now)] * 3)
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("acknowledged", [1, 17, 60])
def test_nothing_acknowledged_is_lost(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "state.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        while int(writer.stdout.readline()) < acknowledged:
            pass
    finally:
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
        writer.stdout.close()
        writer.wait(10)
    last = int(rest.split()[-1]) if rest.endswith("\n") else acknowledged

    registry = Registry(path, lambda: NOW)
    assert {f"d{number}" for number in range(1, last + 1)} <= {device.device_id for device in registry.devices()}
    messages = registry.telemetry(limit=10_000)
    assert len(messages) >= 3 * last
    assert len(messages) % 3 == 0, "a batch is stored whole or not at all"
    registry.close()
