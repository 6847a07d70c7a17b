"""What goes on a board: the whole library without its CPython half, compiled; certificates and key in the one form
that every MicroPython reads; and nothing of the host."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

import azureiot
from azureiot_tools.board import contents
from azureiot_tools.certificates import authority, formats
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from azureiot_tools.console import UserError

LIBRARY = Path(azureiot.__file__).parent


@pytest.fixture(scope="module")
def device() -> Credential:
    root = authority.create_root("root")
    return authority.issue_device(authority.create_intermediate(root, "issuing"), "mydevice001")


@pytest.fixture(scope="module")
def compiled() -> dict[str, bytes]:
    return contents.application()


def test_every_module_of_library_and_application_is_there_but_the_cpython_half(compiled: dict[str, bytes]) -> None:
    modules = {f"azureiot/{path.stem}.mpy" for path in LIBRARY.glob("*.py")}
    modules |= {f"app/{path.stem}.mpy" for path in (LIBRARY.parent / "app").glob("*.py")}
    assert compiled.keys() == (modules - {"azureiot/runtime_cpython.mpy"}) | {"main.py"}


def test_modules_are_bytecode_for_every_board(compiled: dict[str, bytes]) -> None:
    for name, data in compiled.items():
        if name.endswith(".mpy"):
            assert data[:1] == b"M", name
            assert data[1] == 6, "the .mpy version of MicroPython 1.22 to 1.29"
            assert data[2] >> 2 == 0, "no native code: it would load on one CPU only"


def test_the_compiled_library_loads_on_micropython(
    compiled: dict[str, bytes], micropython: Path, tmp_path: Path
) -> None:
    for name, data in compiled.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    code = "import azureiot.blocking, azureiot.credentials; print(azureiot.blocking.Device, azureiot.__file__)"
    done = subprocess.run([micropython, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "azureiot/__init__.mpy" in done.stdout


def test_source_is_the_tree_byte_for_byte() -> None:
    files = contents.application(source=True)
    assert files["azureiot/link.py"] == (LIBRARY / "link.py").read_bytes()
    assert not [name for name in files if name.endswith(".mpy")]


SENSOR = """
import machine

def read(device_id, number):
    return {"volts": machine.ADC(34).read_uv() / 1000000}, {}
"""


def test_ones_own_sensor_stands_in_the_place_of_the_sample(compiled: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "volts.py").write_text(SENSOR)
    assert contents.application(source=True, sensor=tmp_path / "volts.py")["app/sensor.py"] == SENSOR.encode()
    files = contents.application(sensor=tmp_path / "volts.py")
    assert files.keys() == compiled.keys()
    assert [name for name in files if files[name] != compiled[name]] == ["app/sensor.mpy"]
    assert b"volts.py" not in files["app/sensor.mpy"], "a traceback names the module as it is on the board"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("def read(:", "is not Python: invalid syntax"),
        ("x = 1", "has no function read(device_id, number)"),
        ("def read(device_id, number):\n    match number:\n        case _: pass", "does not compile for MicroPython"),
        ("#" * 200_000, "is larger than 100 kB"),
        ("\0", "is not Python"),
    ],
)
def test_a_sensor_that_is_none_is_said_before_the_board_is_touched(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "sensor.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=re.escape(words)):
        contents.application(sensor=path)


def test_nothing_of_the_host_is_in_what_is_compiled(compiled: dict[str, bytes]) -> None:
    """A path of the build machine in a traceback is a leak, and two machines would build different files."""
    assert not [name for name, data in compiled.items() if str(LIBRARY.parent).encode() in data or b"/tmp" in data]
    assert compiled == contents.application(), "the same again, so that nothing is sent twice"


def test_certificate_is_leaf_then_chain_and_the_key_is_its_key_in_sec1(device: Credential) -> None:
    files = contents.certificates(device, {"root": b"root"})
    leaf, issuer = (x509.load_der_x509_certificate(der) for der in formats.split_der(files[contents.CERTIFICATE]))
    assert leaf == device.certificate
    leaf.verify_directly_issued_by(issuer)
    key = files[contents.KEY]
    assert load_der_private_key(key, None).public_key() == leaf.public_key()
    judged = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER"], input=key, capture_output=True, check=True, timeout=20
    )
    assert b"INTEGER           :01" in judged.stdout, "ECPrivateKey (RFC 5915) has version 1, PKCS#8 has 0"
    assert files["certs/roots/root.der"] == b"root"


def test_settings_name_the_files_that_are_there(device: Credential) -> None:
    placed = json.loads(contents.settings({"id_scope": "0ne1"})["settings.json"])
    files = contents.certificates(device, {"x": b""})
    assert placed["cert"] in files
    assert placed["key"] in files
    assert any(path.startswith(placed["roots"] + "/") for path in files)
    assert placed["id_scope"] == "0ne1"


def test_equal_settings_are_equal_bytes() -> None:
    assert contents.settings({"a": 1, "b": 2}) == contents.settings({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("host", "count"),
    [
        ("global.azure-devices-provisioning.net", 2),
        ("global.azure-devices-provisioning.cn", 3),
        ("global.azure-devices-provisioning.us", 3),
    ],
)
def test_each_cloud_gets_its_roots_and_no_more(host: str, count: int) -> None:
    roots = contents.azure_roots(host)
    assert len(roots) == count
    for der in roots.values():
        x509.load_der_x509_certificate(der)


def test_roots_from_a_pem_bundle_and_from_a_directory(device: Credential, tmp_path: Path) -> None:
    first, second = (authority.create_root(name).certificate for name in ("one", "two"))
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(to_pem([first, second]))
    assert list(contents.roots_from(bundle)) == ["roots", "roots-2"]
    (tmp_path / "roots.der").write_bytes(first.public_bytes(Encoding.DER))
    (tmp_path / "notes.txt").write_text("not a certificate")
    found = contents.roots_from(tmp_path)
    assert found == {"roots": first.public_bytes(Encoding.DER), "roots-2": second.public_bytes(Encoding.DER)}


def test_roots_that_are_missing_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do not exist"):
        contents.roots_from(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no certificate in"):
        contents.roots_from(tmp_path)


def write_pair(folder: Path, certificate: Credential, key: Credential, name: str = "mydevice001") -> None:
    (folder / f"{name}.crt").write_bytes(to_pem(certificate.certificates))
    (folder / f"{name}.key").write_bytes(key_to_pem(key.key))


def test_a_device_that_dps_would_refuse_never_reaches_the_board(device: Credential, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mydevice001\.crt is missing"):
        contents.load_credential(tmp_path, "mydevice001")
    other = authority.issue_device(authority.create_root("root"), "mydevice001")
    write_pair(tmp_path, device, other)
    with pytest.raises(UserError, match="does not belong"):
        contents.load_credential(tmp_path, "mydevice001")
    write_pair(tmp_path, device, device, "mydevice002")
    with pytest.raises(UserError, match="DPS wants them equal"):
        contents.load_credential(tmp_path, "mydevice002")


def test_an_expired_certificate_never_reaches_the_board(tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(days=3)
    expired = authority.issue_device(authority.create_root("root", now=before), "mydevice001", days=1, now=before)
    write_pair(tmp_path, expired, expired)
    with pytest.raises(UserError, match="expired"):
        contents.load_credential(tmp_path, "mydevice001")
