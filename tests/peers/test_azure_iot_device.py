"""Microsoft's own device SDK, unmodified, against the emulator: it must find there what it finds in Azure."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from conftest import ROOT, missing
from connect_relay import relaying

PYTHON = ROOT / ".venv-azure-sdk" / "bin" / "python"


@dataclass
class World:
    emulator: Emulator
    proxy_port: int
    intermediate: Credential


@pytest.fixture
def world() -> Iterator[World]:
    """An emulator with an enrollment group, behind a relay."""
    if not PYTHON.exists():
        missing("azure-iot-device is not here (make setup brings it)")
    root = authority.create_root("root")
    with (
        running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator,
        relaying(emulator.mqtt_port) as proxy_port,
    ):
        now = datetime.now(UTC)
        der = root.certificate.public_bytes(Encoding.DER)
        emulator.registry.put_certificate(CaCertificate("root", der, True, None, now, now))
        emulator.registry.put_group(
            EnrollmentGroup(
                id="group", ca_names=("root",), signing_certificates=(), enabled=True, hubs=(), created=now, updated=now
            )
        )
        yield World(emulator, proxy_port, authority.create_intermediate(root, "intermediate"))


def run(world: World, folder: Path, credential: Credential, **changes: Any) -> dict[str, Any]:
    (folder / "device.crt").write_bytes(to_pem(credential.certificates))
    (folder / "device.key").write_bytes(key_to_pem(credential.key))
    config = {
        "proxy_port": world.proxy_port,
        "ca": world.emulator.ca_path.read_text(),
        "certificate": str(folder / "device.crt"),
        "key": str(folder / "device.key"),
        "id_scope": world.emulator.id_scope,
        "registration_id": "sdk-device",
        "messages": 3,
    }
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("azure_sdk_device.py"), folder / "config.json"],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_register_connect_and_telemetry(world: World, tmp_path: Path) -> None:
    answer = run(world, tmp_path, authority.issue_device(world.intermediate, "sdk-device"))
    assert answer == {
        "status": "assigned",
        "substatus": "initialAssignment",
        "hub": "localhost",
        "device_id": "sdk-device",
        "sent": 3,
    }
    messages = world.emulator.events.recent(limit=1000)
    telemetry = [event for event in messages if event.kind == "telemetry"]
    assert len(telemetry) == 3
    properties, system = telemetry[0].detail["properties"], telemetry[0].detail["system"]
    assert properties["temperatureAlert"] == "true"
    assert properties["space and &"] == "ü=1"
    assert system["$.mid"] == "m-0"
    assert system["$.ct"] == "application/json"
    assert json.loads(telemetry[2].detail["payload"]) == {"number": 2}


def test_a_certificate_without_its_intermediate_is_refused_at_register(world: World, tmp_path: Path) -> None:
    full = authority.issue_device(world.intermediate, "sdk-device")
    answer = run(world, tmp_path, Credential(full.certificate, full.key))
    assert "401" in answer["cause"]


def test_another_registration_id_is_refused_at_register(world: World, tmp_path: Path) -> None:
    answer = run(world, tmp_path, authority.issue_device(world.intermediate, "somebody-else"))
    assert "401" in answer["cause"]
