"""Pins `azureiot service …`: the story's commands in order, what they say next, and every mistake in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from azureiot_tools import cli
from azureiot_tools.certificates.authority import issue_verification
from azureiot_tools.certificates.credential import key_to_pem
from azureiot_tools.emulator.records import DeviceIdentity, Registration
from azureiot_tools.service import ServiceClient

from .bench import NOW, Api, Pki, der, pem

Run = Callable[..., str]

pytestmark = pytest.mark.usefixtures("own_commands_only")


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("AZUREIOT_SERVICE_URL", api.url)

    def run(*arguments: str, code: int = 0) -> str:
        """What the command printed; on stderr when it is to fail."""
        assert cli.main(["service", *arguments]) == code
        out, err = capsys.readouterr()
        assert (err == "") == (code == 0)
        assert code == 0 or err.startswith("azureiot: ")
        assert code == 0 or err.count("\n") == 1
        return err if code else out

    return run


@pytest.fixture
def files(tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root.crt").write_text(pem(pki.root))
    (tmp_path / "root.der").write_bytes(der(pki.root))
    (tmp_path / "mydevice001.crt").write_text(pem(pki.device) + pem(pki.intermediate))
    (tmp_path / "mydevice001.key").write_bytes(key_to_pem(pki.device.key))
    return tmp_path


def test_the_story(run: Run, files: Path, pki: Pki) -> None:
    said = run("cert", "upload", "root.crt")
    assert "Uploaded root.crt as 'root': CN=Test Root" in said
    assert said.endswith("not verified.\nnext: azureiot service cert code root\n")

    said = run("cert", "code", "root")
    found = re.fullmatch(r"Verification code of 'root': (\w+)\nnext: azureiot ca prove \1\n", said)
    assert found
    (files / "proof.crt").write_text(pem(issue_verification(pki.root, found[1])))

    said = run("cert", "verify", "root", "proof.crt")
    assert said.endswith("next: azureiot service enroll group my-devices --ca root\n")
    said = run("enroll", "group", "my-devices", "--ca", "root")
    assert said == (
        "Enrollment group 'my-devices' admits every device under root.\nnext: azureiot device create mydevice001\n"
    )


def test_der_and_a_name_of_ones_own(run: Run, files: Path, api: Api) -> None:
    assert "as 'mine'" in run("cert", "upload", "root.der", "--name", "mine", "--verified")
    (certificate,) = api.registry.certificates()
    assert (certificate.name, certificate.verified) == ("mine", True)
    assert run("cert", "list").splitlines()[1].split()[:2] == ["mine", "verified"]
    assert run("cert", "delete", "mine") == "Deleted the CA certificate 'mine'.\n"
    assert run("cert", "list").startswith("No CA certificate is uploaded.\nnext: azureiot service cert upload")


def test_enroll_a_single_device(run: Run, files: Path, api: Api, pki: Pki) -> None:
    said = run("enroll", "device", "mydevice001", "--cert", "mydevice001.crt", "--device-id", "Pump", "--disabled")
    assert "'mydevice001' is refused" in said
    (enrollment,) = api.registry.enrollments()
    assert (enrollment.device_id, enrollment.enabled) == ("Pump", False)
    assert enrollment.certificates == (der(pki.device),)
    assert "device  mydevice001  disabled  SHA-256 " in run("enroll", "list")


def test_delete_an_enrollment_of_either_kind(run: Run, files: Path, api: Api) -> None:
    run("cert", "upload", "root.crt", "--verified")
    run("enroll", "group", "mydevice001", "--ca", "root")
    run("enroll", "device", "mydevice001", "--cert", "mydevice001.crt")
    assert "is both a group and a device. Say which" in run("enroll", "delete", "mydevice001", code=1)
    assert "the enrollment of the device 'mydevice001'" in run("enroll", "delete", "mydevice001", "--device")
    assert "the enrollment of the group 'mydevice001'" in run("enroll", "delete", "mydevice001")
    assert "There is no enrollment 'mydevice001'" in run("enroll", "delete", "mydevice001", code=1)
    assert run("enroll", "list").startswith("Nothing is enrolled.")


def test_registrations_devices_events(run: Run, api: Api) -> None:
    assert run("registrations").startswith("No device has registered.\nnext: azureiot provision")
    assert run("devices").startswith("The hubs know no device.")
    assert run("events") == "Nothing has happened yet.\n"
    api.registry.put_registration(
        Registration(
            "d1", "d1", "localhost", None, "assigned", "initialAssignment", None, None, "AB", "CD", NOW, NOW, "e"
        )
    )
    api.registry.put_device(DeviceIdentity("localhost", "d1", "1", True, ("AB" * 32,), NOW, NOW))
    api.publish("refused", "d1", "no such device")
    assert run("registrations").splitlines()[1].split()[:5] == ["d1", "assigned", "localhost", "d1", "(individual)"]
    assert run("devices", "disable", "d1") == "The device 'd1' is disabled.\n"
    assert run("devices").splitlines()[1].split()[:3] == ["d1", "localhost", "disabled"]
    assert run("devices", "enable", "d1") == "The device 'd1' is enabled.\n"
    assert run("devices", "delete", "d1").startswith("Deleted the device 'd1'.")
    assert "There is no device 'd1'. (error 404001" in run("devices", "delete", "d1", code=1)
    assert run("events", "--device", "d1").endswith("refused       d1  no such device\n")
    assert run("events", "--device", "d2") == "Nothing has happened yet.\n"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(("cert", "upload", "root.crt", "--json"), "properties"), (("enroll", "list", "--json"), "enrollmentGroups")],
)
def test_json_is_the_services_own(run: Run, files: Path, arguments: tuple[str, ...], field: str) -> None:
    assert field in json.loads(run(*arguments))


@pytest.mark.parametrize("arguments", [("cert", "list"), ("registrations",), ("devices",), ("events",)])
def test_json_of_nothing_is_an_empty_list(run: Run, arguments: tuple[str, ...]) -> None:
    assert json.loads(run(*arguments, "--json")) == []


def test_json_of_the_code(run: Run, files: Path) -> None:
    run("cert", "upload", "root.crt")
    answer: dict[str, Any] = json.loads(run("cert", "code", "root", "--json"))
    assert set(answer) == {"name", "verificationCode"}


def test_an_unverified_ca_cannot_carry_a_group(run: Run, files: Path) -> None:
    run("cert", "upload", "root.crt")
    said = run("enroll", "group", "g", "--ca", "root", code=1)
    assert "an unverified CA cannot carry an enrollment group: azureiot service cert code root" in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.crt", b"", "empty.crt is empty."),
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key.pem is damaged"),
        ("cut.crt", b"-----BEGIN CERTIFICATE-----\nMIIB", "cut.crt is damaged"),
        ("bad.crt", b"-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n", "bad.crt is damaged"),
        ("noise.crt", b"\x00\x01\x02", "noise.crt holds"),
        ("large.crt", b"x" * 1_100_000, "large.crt is larger than 1000 kB"),
    ],
)
def test_a_file_that_is_no_certificate(run: Run, files: Path, name: str, content: bytes, says: str) -> None:
    (files / name).write_bytes(content)
    assert says in run("cert", "upload", name, code=1)


def test_a_private_key_never_leaves(run: Run, files: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not from a file that holds key and certificate: only the certificate's bytes are sent."""
    (files / "both.pem").write_text(key_to_pem(pki.root.key).decode() + pem(pki.root))
    sent: list[bytes] = []
    upload = ServiceClient.upload_certificate

    def spy(client: ServiceClient, name: str, data: bytes, *, verified: bool = False) -> Any:
        sent.append(data)
        return upload(client, name, data, verified=verified)

    monkeypatch.setattr(ServiceClient, "upload_certificate", spy)
    run("cert", "upload", "both.pem")
    assert sent == [der(pki.root)]
    assert "holds no certificate but a private key" in run("cert", "upload", "mydevice001.key", code=1)
    key = pki.root.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (files / "key.der").write_bytes(key)
    assert "holds no certificate but a private key" in run("cert", "upload", "key.der", code=1)
    assert len(sent) == 1


def test_no_such_file(run: Run, files: Path) -> None:
    said = run("cert", "upload", "none.crt", code=1)
    assert said == "azureiot: none.crt cannot be read: No such file or directory.\n"


def test_three_cas_are_one_too_many(run: Run) -> None:
    assert "at most two CAs" in run("enroll", "group", "g", "--ca", "a", "--ca", "b", "--ca", "c", code=1)


def test_the_option_wins_over_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setenv("AZUREIOT_SERVICE_URL", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1 (Connection refused). Start it: azureiot emulator" in run("devices", code=1)
    assert run("devices", "--url", api.url).startswith("The hubs know no device.")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("cert",),
        ("enroll",),
        ("enroll", "group", "x"),
        ("devices", "enable"),
        ("enroll", "device", "x"),
        ("events", "--limit", "many"),
    ],
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["service", *arguments])
    assert caught.value.code == 2
    assert "usage: azureiot service" in capsys.readouterr().err
