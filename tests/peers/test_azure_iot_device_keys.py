"""Pins that Microsoft's own SDK finds with symmetric keys what it finds in Azure (docs/protocol.md §1.6)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from conftest import ROOT, missing
from connect_relay import relaying

PYTHON = ROOT / ".venv-azure-sdk" / "bin" / "python"
KEY, SECONDARY, GROUP_KEY, WRONG = (base64.b64encode(letter * 64).decode() for letter in (b"k", b"s", b"g", b"w"))

Device = Callable[..., dict[str, Any]]


def of_group(registration_id: str) -> str:
    """The device's key, as Microsoft's documentation has it derived."""
    digest = hmac.new(base64.b64decode(GROUP_KEY), registration_id.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def say(request: dict[str, Any]) -> dict[str, Any]:
    """The custom allocation: it tells the device what the device said."""
    return {"iotHubHostName": request["linkedHubs"][0], "payload": {"said": request["deviceRuntimeContext"]["payload"]}}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """With an individual enrollment of "single" and a group, both by key."""
    if not PYTHON.exists():
        missing("azure-iot-device is not here (make setup brings it)")
    now = datetime.now(UTC)
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1, allocate=say)) as emulator:
        emulator.registry.put_enrollment(
            IndividualEnrollment("single", None, (), True, (), now, now, allocation="custom", keys=(KEY, SECONDARY))
        )
        emulator.registry.put_group(EnrollmentGroup("group", (), (), True, (), now, now, keys=(GROUP_KEY, WRONG)))
        yield emulator


@pytest.fixture
def device(emulator: Emulator) -> Iterator[Device]:
    with relaying(emulator.mqtt_port) as proxy_port:

        def run(registration_id: str, key: str, **more: Any) -> dict[str, Any]:
            config = {
                "proxy_port": proxy_port,
                "ca": emulator.ca_path.read_text(),
                "id_scope": emulator.id_scope,
                "registration_id": registration_id,
                "key": key,
                **more,
            }
            done = subprocess.run(
                [PYTHON, Path(__file__).with_name("azure_sdk_key_device.py")],
                input=json.dumps(config),
                capture_output=True,
                text=True,
                timeout=90,
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        yield run


@pytest.mark.parametrize("key", [KEY, SECONDARY], ids=["primary", "secondary"])
def test_an_individual_enrollment_and_both_payloads(emulator: Emulator, device: Device, key: str) -> None:
    answer = device("single", key, payload={"modelId": "dtmi:com:example:Thermostat;1"})
    assert answer["sent"] == 1, answer
    assert (answer["status"], answer["hub"], answer["device_id"]) == ("assigned", "localhost", "single")
    assert json.loads(answer["payload"]) == {"said": {"modelId": "dtmi:com:example:Thermostat;1"}}
    (message,) = [event for event in emulator.events.recent(limit=1000) if event.kind == "telemetry"]
    assert json.loads(message.detail["system"]["iothub-connection-auth-method"])["type"] == "sas"


def test_a_derived_key_of_a_group(emulator: Emulator, device: Device) -> None:
    answer = device("sn-007-888-abc", of_group("sn-007-888-abc"))
    assert (answer.get("sent"), answer.get("device_id")) == (1, "sn-007-888-abc"), answer
    identity = emulator.registry.device("localhost", "sn-007-888-abc")
    assert identity is not None
    assert (identity.authentication, identity.thumbprints) == ("sas", ())
    assert identity.keys[0] == of_group("sn-007-888-abc")


@pytest.mark.parametrize(
    ("registration_id", "key", "says"),
    [
        ("single", WRONG, "signed with neither key of the individual enrollment 'single'"),
        ("another", of_group("somebody-else"), "signed with the device key of no group (group)"),
        ("another", GROUP_KEY, "signed with the key of group 'group' itself"),
    ],
    ids=["wrong", "another's", "the group's own"],
)
def test_a_wrong_key_is_refused_at_register(
    emulator: Emulator, device: Device, registration_id: str, key: str, says: str
) -> None:
    answer = device(registration_id, key)
    assert answer.get("step") == "register", answer
    assert "401" in answer["cause"]
    event = emulator.events.wait_for(lambda event: event.kind == "refused")
    assert says in event.text
    assert event.section == "docs/protocol.md §1.6"


def test_a_wrong_key_is_refused_at_the_hub(emulator: Emulator, device: Device) -> None:
    """CONNACK 5, which the SDK calls a credential error."""
    emulator.identities.enter("localhost", "single", keys=(KEY, SECONDARY))
    answer = device("single", KEY, hub="localhost", hub_key=WRONG)
    assert (answer.get("error"), answer.get("step")) == ("CredentialError", "connect"), answer
    event = emulator.events.wait_for(lambda event: event.kind == "refused")
    assert event.text.startswith("CONNACK 5: the SAS token of 'single' is signed with neither of its keys")
    assert device("single", KEY, hub="localhost")["sent"] == 1


def test_a_renewed_token_keeps_the_device_connected(emulator: Emulator, device: Device) -> None:
    """The SDK renews 120 s before the end, by connecting again (docs/protocol.md §5.1)."""
    emulator.identities.enter("localhost", "single", keys=(KEY, SECONDARY))
    assert device("single", KEY, hub="localhost", ttl_s=121).get("sent") == 1
    events = [event for event in emulator.events.recent(limit=1000) if event.kind in ("connected", "telemetry")]
    assert [event.kind for event in events] == ["connected", "connected", "telemetry"]
    assert "session present" in events[1].text
