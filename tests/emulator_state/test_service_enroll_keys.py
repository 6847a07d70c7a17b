"""Pins `azureiot service enroll … --symmetric` and `enroll key`: keys are told on request only, in a file 0600."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.emulator.records import DeviceIdentity, Registration
from azureiot_tools.service import ServiceClient

from .bench import NOW, Api, Pki, der

Run = Callable[..., str]

KEY = base64.b64encode(b"k" * 32).decode()

pytestmark = pytest.mark.usefixtures("own_commands_only")


@pytest.fixture
def run(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("AZUREIOT_SERVICE_URL", api.url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        """What the command printed; on stderr when it is to fail."""
        assert cli.main(["service", *arguments]) == code
        out, err = capsys.readouterr()
        assert (err == "") == (code == 0)
        return err if code else out

    return run


def test_a_device(run: Run, api: Api) -> None:
    said = run("enroll", "device", "d1", "--symmetric", "--device-id", "pump")
    assert said == "'d1' is admitted with its symmetric key.\nnext: azureiot service enroll key d1\n"
    (record,) = api.registry.enrollments()
    assert (record.device_id, len(record.keys)) == ("pump", 2)
    assert run("enroll", "key", "d1") == f"{record.keys[0]}\n"
    assert run("enroll", "list").splitlines()[1].split() == ["device", "d1", "enabled", "symmetric", "key"]


def test_a_device_of_a_group(run: Run, api: Api) -> None:
    assert "next: azureiot service enroll key g --for mydevice001" in run("enroll", "group", "g", "--symmetric")
    (record,) = api.registry.groups()
    digest = hmac.new(base64.b64decode(record.keys[0]), b"Pump-7", hashlib.sha256).digest()
    assert run("enroll", "key", "g", "--for", "Pump-7") == base64.b64encode(digest).decode() + "\n"
    assert run("enroll", "list").splitlines()[1].split() == ["group", "g", "enabled", "symmetric", "key"]


def test_no_other_output_has_a_key(run: Run, api: Api) -> None:
    said = run("enroll", "device", "d1", "--symmetric", "--json") + run("enroll", "group", "g", "--symmetric", "--json")
    said += run("enroll", "list", "--json") + run("enroll", "device", "d1", "--symmetric", "--disabled")
    keys = [key for record in [*api.registry.enrollments(), *api.registry.groups()] for key in record.keys]
    assert len(keys) == 4
    assert not any(key in said for key in keys)
    assert not api.registry.enrollments()[0].enabled


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_key_in_a_file_is_for_its_owner_and_is_not_printed(run: Run, api: Api, tmp_path: Path) -> None:
    run("enroll", "device", "d1", "--symmetric")
    key = api.registry.enrollments()[0].keys[0]
    said = run("enroll", "key", "d1", "--out", "d1.key")
    assert said == "The key of 'd1' is in d1.key.\n"
    assert (tmp_path / "d1.key").read_text() == f"{key}\n"
    assert stat.S_IMODE((tmp_path / "d1.key").stat().st_mode) == 0o600
    assert json.loads(run("enroll", "key", "d1", "--out", "d1.key", "--json")) == {
        "registrationId": "d1",
        "file": "d1.key",
    }
    (tmp_path / "other").write_text("precious")
    assert "other exists already and nothing was written" in run("enroll", "key", "d1", "--out", "other", code=1)
    assert (tmp_path / "other").read_text() == "precious"


def test_an_enrollment_keeps_its_keys(run: Run, api: Api) -> None:
    for _ in range(2):
        run("enroll", "device", "d1", "--symmetric")
    client = ServiceClient(api.url)
    keys = client.enrollment_keys("D1")
    assert keys == list(api.registry.enrollments()[0].keys)
    run("enroll", "device", "d1", "--symmetric")
    assert client.enrollment_keys("d1") == keys


def test_what_has_no_key(run: Run, api: Api, pki: Pki) -> None:
    ServiceClient(api.url).create_enrollment("mydevice001", der(pki.device))
    assert "has no symmetric key. See azureiot service enroll list" in run("enroll", "key", "mydevice001", code=1)
    assert "There is no individual enrollment 'nobody'" in run("enroll", "key", "nobody", code=1)
    assert "There is no enrollment group 'nobody'" in run("enroll", "key", "nobody", "--for", "d1", code=1)


def test_a_basis_is_needed_and_one_only(run: Run) -> None:
    for arguments in (["device", "d1"], ["device", "d1", "--symmetric", "--cert", "x"], ["group", "g"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(["service", "enroll", *arguments])
        assert caught.value.code == 2


def test_registrations_and_devices_with_keys_are_listed(run: Run, api: Api) -> None:
    registration = Registration(
        "d1", "d1", "localhost", None, "assigned", "initialAssignment", None, None, "", "", NOW, NOW, "e"
    )
    api.registry.put_registration(registration)
    api.registry.put_registration(replace(registration, registration_id="d2", enrollment_group_id="g"))
    api.registry.put_device(
        DeviceIdentity("localhost", "d1", "1", True, (), NOW, NOW, authentication="sas", keys=(KEY, KEY))
    )
    rows = [line.split() for line in run("registrations").splitlines()[1:]]
    assert [(row[0], row[4]) for row in rows] == [("d1", "(individual)"), ("d2", "g")]
    listed = run("devices")
    assert listed.splitlines()[1].split() == ["d1", "localhost", "enabled", "(symmetric", "key)"]
    assert "is disabled" in run("devices", "disable", "d1")
    (device,) = api.registry.devices()
    assert (device.enabled, device.keys) == (False, (KEY, KEY))
    assert KEY not in run("devices", "--json") + run("devices", "enable", "d1", "--json")
