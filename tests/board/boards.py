"""What the installer's tests share: a working directory with two devices, the command line, small contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools import cli
from azureiot_tools.board import installer
from azureiot_tools.board.transport import Board
from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_der, to_pem
from azureiot_tools.emulator.server import Emulator
from azureiot_tools.service import ServiceClient

WIFI_PASSWORD = "wifi-s3cret"
SETTINGS = {
    "id_scope": "0ne00000000",
    "provisioning_host": "dps.example",
    "wifi": [{"ssid": "home", "password": WIFI_PASSWORD}],
}


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> dict[str, dict[str, Any]]:
        """Of --json, one object a line: the last of each kind of event."""
        return {event["event"]: event for event in map(json.loads, self.out.splitlines())}


@dataclass
class Workbench:
    """A working directory with mydevice001 and mydevice002, and `azureiot board` in it. said: all it ever printed."""

    folder: Path
    issuer: Credential
    capsys: pytest.CaptureFixture[str]
    said: str = ""

    def issue(self, device_id: str) -> None:
        """A new certificate and key for the device, as `azureiot device renew` puts them."""
        device = authority.issue_device(self.issuer, device_id)
        certs = self.folder / "certs"
        certs.mkdir(exist_ok=True)
        (certs / f"{device_id}.crt").write_bytes(to_pem(device.certificates))
        (certs / f"{device_id}.key").write_bytes(key_to_pem(device.key))

    def settings(self, **changes: Any) -> None:
        """Write settings.json; None leaves an entry out."""
        values = {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None}
        (self.folder / "settings.json").write_text(json.dumps(values))

    def reports_to(self, emulator: Emulator, interval_s: float) -> None:
        """Let the emulator take this bench's devices, and settings.json lead there."""
        service = ServiceClient(f"http://127.0.0.1:{emulator.http_port}")
        service.upload_certificate("issuer", self.issuer.certificate.public_bytes(Encoding.DER), verified=True)
        service.create_group("group", ["issuer"])
        self.settings(
            id_scope=emulator.id_scope,
            provisioning_host="localhost",
            port=emulator.mqtt_port,
            roots=str(emulator.ca_path),
            interval_s=interval_s,
        )

    def secrets(self, device_id: str = "mydevice001") -> list[bytes]:
        """What must never be seen: the key's number (which every encoding of it contains), and the Wi-Fi password."""
        from azureiot_tools.certificates.formats import load_pair

        certs = self.folder / "certs"
        key: Any = load_pair(certs / f"{device_id}.crt", certs / f"{device_id}.key").key
        return [key.private_numbers().private_value.to_bytes(32, "big"), WIFI_PASSWORD.encode()]

    def key_der(self, device_id: str = "mydevice001") -> bytes:
        from azureiot_tools.certificates.formats import load_pair

        certs = self.folder / "certs"
        return to_der(load_pair(certs / f"{device_id}.crt", certs / f"{device_id}.key"))[1]

    def board(self, *arguments: str) -> Outcome:
        """Run `azureiot board …`."""
        self.capsys.readouterr()
        try:
            code = cli.main(["board", *arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        outcome = Outcome(code, *self.capsys.readouterr())
        self.said += outcome.out + outcome.err
        return outcome

    def flash(self, port: str, *arguments: str, device: str = "mydevice001", start: bool = False) -> Outcome:
        """Run `azureiot board flash`, without waiting for the first message unless `start`."""
        wait = () if start else ("--no-start",)
        return self.board("flash", "--port", port, "--device", device, *wait, *arguments)

    def installed(self, port: str) -> dict[str, str]:
        """path: sha256 of what the board's running slot holds, as the board says."""
        found = self.board("ls", "--port", port, "--json")
        assert found.code == 0, found.err
        return {file["path"]: file["sha256"] for file in found.json if file["runs"]}


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Workbench:
    for variable in ("AZUREIOT_CERTS", "AZUREIOT_PORT", "DPS_IDSCOPE", "DPS_HOST", "DPS_REGISTRATION_ID"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    bench = Workbench(folder, authority.create_intermediate(authority.create_root("root"), "issuing"), capsys)
    bench.issue("mydevice001")
    bench.issue("mydevice002")
    bench.settings()
    return bench


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def install(
    port: str, files: Mapping[str, bytes], *, patience_s: int = 20, say: Callable[[str], None] = lambda _: None
) -> installer.Installed:
    """Install a few files by the library rather than the command line: quick enough to do it a hundred times."""
    with Board(port, patience_s) as board:
        board.take_over()
        return installer.install(board, lambda *_: installer.everything(files), say)


def running(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Of all files on a board's flash, those of the slot that /current names, by their path within it."""
    flat = {path.lstrip("/"): data for path, data in files.items()}
    slot = flat.get("current", b"").decode().strip()
    prefix = f"slots/{slot}/"
    return {path.removeprefix(prefix): data for path, data in flat.items() if slot and path.startswith(prefix)}
