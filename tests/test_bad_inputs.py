"""What goes wrong for a user who provisions a device: each cause is one clear sentence, exit 1, and changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from azureiot_tools import cli
from azureiot_tools.certificates import authority, pfx
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running
from azureiot_tools.service import ServiceClient
from tls_server import serving

PASSWORD = "correct horse"


@dataclass
class World:
    """A working directory with a device's files, and an emulator that would take it."""

    folder: Path
    emulator: Emulator
    root: Credential
    device: Credential
    capsys: pytest.CaptureFixture[str]

    def provision(self, *arguments: str, runtime: tuple[str, ...] = ()) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of `azureiot provision` with the defaults that work, changed by the arguments."""
        defaults = {
            "--id-scope": self.emulator.id_scope,
            "--provisioning-host": "localhost",
            "--port": str(self.emulator.mqtt_port),
            "--roots": str(self.emulator.ca_path),
            "--timeout": "10",
            "--password-file": "password.txt",
        }
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        if not given.keys() & {"--pfx", "--cert"}:
            defaults["--pfx"] = "mydevice001.pfx"
        options = [part for pair in {**defaults, **given}.items() for part in pair]
        self.capsys.readouterr()
        code = cli.main(["provision", *options, *runtime])
        out, err = self.capsys.readouterr()
        return code, out, err

    def refused(self, *arguments: str, runtime: tuple[str, ...] = ()) -> str:
        """The one sentence (or two) of a refusal; checks that nothing else was printed or written."""
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        code, out, err = self.provision(*arguments, runtime=runtime)
        assert code == 1
        assert out == ""
        assert err.startswith("azureiot: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        assert PASSWORD not in err
        assert before == {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        return err

    def write(self, name: str, credential: Credential) -> tuple[str, str, str, str]:
        """Certificate and key files; the options that name them."""
        (self.folder / f"{name}.crt").write_bytes(to_pem(credential.certificates))
        (self.folder / f"{name}.key").write_bytes(key_to_pem(credential.key))
        return "--cert", f"{name}.crt", "--key", f"{name}.key"

    @property
    def reasons(self) -> str:
        """What the emulator said about refusals, for the developer."""
        return "\n".join(f"{event.text} {event.section}" for event in self.emulator.events.recent(limit=1000))


@pytest.fixture(scope="module")
def root() -> Credential:
    return authority.create_root("root")


@pytest.fixture(scope="module")
def intermediate(root: Credential) -> Credential:
    return authority.create_intermediate(root, "intermediate")


@pytest.fixture(params=[(), ("--micropython",)], ids=["cpython", "micropython"])
def runtime(request: pytest.FixtureRequest) -> tuple[str, ...]:
    if request.param:
        request.getfixturevalue("micropython")
    return request.param


@pytest.fixture
def world(
    root: Credential,
    intermediate: Credential,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[World]:
    for variable in ("DPS_IDSCOPE", "DPS_HOST", "DPS_REGISTRATION_ID", "AZUREIOT_PFX_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    device = authority.issue_device(intermediate, "mydevice001")
    (tmp_path / "mydevice001.pfx").write_bytes(pfx.serialize(device, PASSWORD, "mydevice001"))
    (tmp_path / "password.txt").write_text(PASSWORD + "\n")
    (tmp_path / "root.crt").write_bytes(to_pem([root.certificate]))
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        yield World(tmp_path, emulator, root, device, capsys)


def upload(world: World, *, verified: bool = True) -> ServiceClient:
    client = ServiceClient(f"http://127.0.0.1:{world.emulator.http_port}")
    client.upload_certificate("root", world.root.certificate.public_bytes(Encoding.DER), verified=verified)
    return client


def enroll(world: World) -> None:
    upload(world).create_group("group", ["root"])


def test_the_good_case_and_settings_from_every_source(
    world: World, runtime: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll(world)
    code, out, err = world.provision(runtime=runtime)
    assert (code, err) == (0, "")
    assert "hub        localhost\ndevice id  mydevice001\n" in out
    # Option before environment before file.
    (world.folder / "settings.json").write_text('{"id_scope": "0neFILE", "pfx": "mydevice001.pfx"}')
    assert "0neFILE" in world.refused("--id-scope", "0neFILE", runtime=runtime) + world.reasons
    monkeypatch.setenv("DPS_IDSCOPE", "0neENVIRONMENT")
    code, _, err = world.provision(runtime=runtime)
    assert code == 0, err


def test_wrong_pfx_password(world: World) -> None:
    (world.folder / "wrong.txt").write_text("wrong\n")
    assert "password" in world.refused("--password-file", "wrong.txt")


def test_pfx_without_key(world: World) -> None:
    data = pkcs12.serialize_key_and_certificates(
        b"x", None, world.device.certificate, None, BestAvailableEncryption(PASSWORD.encode())
    )
    (world.folder / "keyless.pfx").write_bytes(data)
    assert "keyless.pfx holds no private key" in world.refused("--pfx", "keyless.pfx")


def test_key_of_another_certificate(world: World, intermediate: Credential) -> None:
    other = authority.issue_device(intermediate, "mydevice001")
    options = world.write("mixed", Credential(world.device.certificate, other.key, world.device.chain))
    said = world.refused(*options)
    assert "mixed.key" in said
    assert "mixed.crt" in said


def test_common_name_is_not_the_registration_id(world: World) -> None:
    said = world.refused("--registration-id", "mydevice002")
    assert "mydevice001" in said
    assert "mydevice002" in said


def test_expired_device_certificate(world: World, root: Credential) -> None:
    then = datetime.now(UTC) - timedelta(days=20)
    old_root = authority.create_root("old", now=then)
    said = world.refused(*world.write("old", authority.issue_device(old_root, "mydevice001", days=10, now=then)))
    assert "expired" in said


def test_unknown_id_scope(world: World, runtime: tuple[str, ...]) -> None:
    enroll(world)
    said = world.refused("--id-scope", "0ne0000DEAD", runtime=runtime)
    assert "DPS refused the registration" in said
    assert "tracking id" in said
    assert "0ne0000DEAD" in world.reasons


def test_no_id_scope(world: World) -> None:
    said = world.refused("--id-scope", "")
    assert "id scope is missing" in said
    assert "DPS_IDSCOPE" in said


def test_no_enrollment(world: World, runtime: tuple[str, ...]) -> None:
    upload(world)
    said = world.refused(runtime=runtime)
    assert "401002" in said
    assert "no enrollment" in world.reasons.lower()


def test_unverified_ca(world: World, runtime: tuple[str, ...]) -> None:
    client = upload(world, verified=False)
    with pytest.raises(Exception, match="verif"):
        client.create_group("group", ["root"])
    assert "401002" in world.refused(runtime=runtime)


def test_missing_intermediate(world: World, runtime: tuple[str, ...]) -> None:
    enroll(world)
    said = world.refused(*world.write("bare", Credential(world.device.certificate, world.device.key)), runtime=runtime)
    assert "401002" in said
    assert "intermediate" in said
    assert said.endswith("The emulator says why: azureiot service events\n")
    assert "intermediate" in world.reasons


def test_server_with_an_unknown_root(world: World, root: Credential, runtime: tuple[str, ...]) -> None:
    said = world.refused("--roots", "root.crt", runtime=runtime)
    assert "[tls-untrusted]" in said
    assert "`roots`" in said


def test_azures_roots_do_not_trust_the_emulator(world: World, runtime: tuple[str, ...]) -> None:
    (world.folder / "settings.json").write_text("{}")
    code, _, err = world.provision("--roots", str(Path(__file__).parent.parent / "certs" / "roots"), runtime=runtime)
    assert code == 1
    assert "[tls-untrusted]" in err


def test_server_for_another_name(world: World, root: Credential, runtime: tuple[str, ...]) -> None:
    with serving(authority.issue_server(root, ["hub.example"])) as server:
        said = world.refused("--roots", "root.crt", "--port", str(server.port), runtime=runtime)
    assert "[tls-name]" in said


def test_expired_server(world: World, runtime: tuple[str, ...]) -> None:
    then = datetime.now(UTC) - timedelta(days=100)
    old_root = authority.create_root("old", now=then)
    (world.folder / "old.crt").write_bytes(to_pem([old_root.certificate]))
    with serving(authority.issue_server(old_root, ["localhost"], days=30, now=then)) as server:
        said = world.refused("--roots", "old.crt", "--port", str(server.port), runtime=runtime)
    assert "[tls-expired]" in said
    assert "clock" in said


def test_closed_port(world: World, runtime: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    said = world.refused("--port", port, runtime=runtime)
    assert f"localhost:{port}" in said
    assert "[refused]" in said


def test_silent_server(world: World, runtime: tuple[str, ...]) -> None:
    with serving(None, silent=True) as server:
        said = world.refused("--port", str(server.port), "--timeout", "0.5", runtime=runtime)
    assert "[timeout]" in said


def test_less_time_than_dps_asks_for(world: World, runtime: tuple[str, ...]) -> None:
    """DPS answered, and asked to be asked again later than the deadline: no firewall is to blame."""
    enroll(world)
    said = world.refused("--timeout", "0.8", runtime=runtime)
    assert "still assigning" in said
    assert "wait longer" in said
    assert "firewall" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pfx", "missing.pfx"), "missing.pfx cannot be read: No such file"),
        (("--pfx", "password.txt"), "password.txt"),
        (("--cert", "mydevice001.pfx", "--key", "password.txt"), "mydevice001.pfx"),
        (("--cert", "root.crt"), "key"),
        (("--settings", "missing.json"), "missing.json cannot be read"),
        (("--settings", "password.txt"), "is not JSON"),
        (("--roots", "nowhere"), "nowhere do not exist"),
        (("--password-file", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("--registration-id", "bad id!"), "bad id!"),
    ],
)
def test_files_and_values_that_are_wrong(world: World, arguments: tuple[str, ...], said: str) -> None:
    assert said in world.refused(*arguments)


@pytest.mark.parametrize(
    "content", ['{"port": "8883"}', '{"id_scope": 5}', "[]", '"text"', "", "\x00", '{"port": true}']
)
def test_settings_of_the_wrong_kind(world: World, content: str) -> None:
    (world.folder / "settings.json").write_text(content)
    assert "settings.json" in world.refused()
