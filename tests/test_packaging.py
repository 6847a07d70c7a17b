"""The wheel: with the server roots, without tests or secrets, and a library that stands alone when unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import azureiot
from azureiot_tools.board import contents
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, timeout=100)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_what_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {
        "azureiot",
        "azureiot_tools",
        f"azureiot-{azureiot.__version__}.dist-info",
    }
    assert "azureiot/roots/digicert-global-root-g2.der" in names
    assert "azureiot/roots/sovereign/digicert-global-root-ca.der" in names
    assert not [name for name in names if name.endswith((".key", ".pfx", ".mpy"))]
    assert not [name for name in names if b"PRIVATE KEY-----\nM" in wheel.read(name)]


def test_boards_get_the_same_from_an_installed_package(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = "from azureiot_tools.board import contents; print(contents.boot(), contents.application(source=True))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout == f"{contents.boot()} {contents.application(source=True)}\n", done.stderr


def test_the_library_needs_nothing(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    metadata = wheel.read(f"azureiot-{azureiot.__version__}.dist-info/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert required == []
    wheel.extractall(tmp_path)
    program = "from azureiot import Device, X509; from azureiot.tls import roots; print(len(list(roots(None, 'h'))))"
    # -I -S: neither this environment's packages nor this folder.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "2\n", done.stderr
