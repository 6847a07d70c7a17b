"""`azureiot demo`: the whole story on this machine, from a certificate authority to telemetry that is seen arriving.

It runs the very commands that a user would type, in the order of a first afternoon with Azure IoT.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azureiot_tools.console import UserError, printable

DEVICE = "mydevice001"
CA = "demo-ca"
GROUP = "demo-group"
MESSAGES = 5
_PATIENCE_S = 30


def add(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "demo",
        help="the whole story in one go, on this machine",
        description="CA, proof of possession, enrollment group, device certificate, PFX, DPS, telemetry: every step, "
        "against an emulator that runs for as long as the demo does, on CPython and on MicroPython.",
    )
    parser.add_argument("--keep", metavar="DIR", help="keep certificates and settings in DIR (it must not exist yet)")
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    with _folder(arguments.keep) as folder, contextlib.chdir(folder), contextlib.ExitStack() as stack:
        Demo(stack).run()
    took_s = time.monotonic() - started
    print(f"\nDone in {took_s:.1f} s: a certificate became a device that DPS assigned and IoT Hub hears.")
    if arguments.keep:
        print(f"Everything it made is in {printable(arguments.keep)}.")
    print("next: the same settings with your own DPS: README.md, With real Azure")


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="azureiot-demo-") as name:
            yield Path(name)
        return
    folder = Path(keep)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise UserError(f"{folder} exists already.", "Name a directory that does not exist yet.") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}.") from None
    yield folder


class Demo:
    """The story; what it starts ends with `stack`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._number = 0

    def run(self) -> None:
        """Every step in turn. Raises UserError when one fails."""
        with self._step("A certificate authority: a root, and the intermediate that issues device certificates"):
            _azureiot("ca", "create")
        with self._step(
            "The emulator is DPS and IoT Hub on this machine; it does not trust the CA yet: prove that it is yours"
        ):
            self._start_emulator()
            _azureiot("service", "cert", "upload", "certs/ca/root.crt", "--name", CA)
            code = _code_in(_azureiot("service", "cert", "code", CA))
            _azureiot("ca", "prove", code, "--out", "proof.crt")
            _azureiot("service", "cert", "verify", CA, "proof.crt")
        with self._step("An enrollment group: whoever has a certificate of this CA may register"):
            _azureiot("service", "enroll", "group", GROUP, "--ca", CA)
        with self._step("A device certificate, with its key in a password-protected PFX"):
            print("password.txt, so that no prompt asks: one line, the password of the PFX")
            _write_private("password.txt", secrets.token_urlsafe(12) + "\n")
            _azureiot("device", "create", DEVICE, "--password-file", "password.txt")
        with self._step("PFX to PEM, and to DER for boards"):
            _azureiot("pfx", "convert", f"certs/{DEVICE}.pfx", "--password-file", "password.txt", "--out", "converted")
        pfx = ("--pfx", f"certs/{DEVICE}.pfx", "--password-file", "password.txt")
        self._device("CPython", *pfx)
        from azureiot_tools.simulator import unix_port

        if unix_port.find() is None:
            print(f"\nThe MicroPython half is left out: {unix_port.missing()}.")
        else:
            self._device(
                "MicroPython",
                "--micropython",
                "--cert",
                f"converted/{DEVICE}.crt.der",
                "--key",
                f"converted/{DEVICE}.key.der",
            )

    def _device(self, runtime: str, *options: str) -> None:
        """Steps 6 to 8 of the story, on one runtime."""
        with self._step(f"{runtime}: the device shows its certificate to DPS, and is told its hub"):
            _azureiot("provision", *options)
            _azureiot("service", "registrations")
            _azureiot("service", "devices")
        with self._step(f"{runtime}: telemetry, each message acknowledged by the hub"):
            monitor = self._start(
                "monitor", "--device", DEVICE, "--count", str(MESSAGES), "--timeout", str(_PATIENCE_S)
            )
            _prompt("monitor", "--device", DEVICE, "--count", str(MESSAGES), note="  # in another terminal")
            first = _line_of(monitor)  # it listens
            _azureiot("simulate", "--count", str(MESSAGES), *options)
        with self._step(f"{runtime}: seen arriving, in another terminal"):
            rest, _ = monitor.communicate(timeout=_PATIENCE_S)
            print(first + rest.rstrip())
            if monitor.returncode:
                raise UserError("The monitor did not see all messages.")

    @contextlib.contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self._number += 1
        print(f"\n{self._number}. {title}\n", flush=True)
        started = time.monotonic()
        yield
        print(f"   ({time.monotonic() - started:.2f} s)", flush=True)

    def _start_emulator(self) -> None:
        options = ("emulator", "--port", "0", "--http-port", "0", "--retry-after", "1", "--data", ".emulator")
        _prompt(*options, note="  # in another terminal")
        emulator = self._start(*options, "--json")
        line = _line_of(emulator)
        try:
            ready = json.loads(line)
        except ValueError:
            said = line.strip().removeprefix("azureiot: ") or "it said nothing"
            raise UserError(f"The emulator did not start: {said}") from None
        threading.Thread(target=_write_log, args=(emulator, Path("emulator.log").absolute())).start()
        print(f"DPS and hub on port {ready['port']}, service API on {ready['http_port']}, id scope {ready['id_scope']}")
        settings = {
            "id_scope": ready["id_scope"],
            "provisioning_host": "localhost",
            "port": ready["port"],
            "roots": ready["ca"],
        }
        print(f"settings.json, for the device: {json.dumps(settings)}")
        _write_private("settings.json", json.dumps(settings, indent=2))
        previous = os.environ.get("AZUREIOT_SERVICE_URL")
        os.environ["AZUREIOT_SERVICE_URL"] = f"http://127.0.0.1:{ready['http_port']}"
        self._stack.callback(_restore, "AZUREIOT_SERVICE_URL", previous)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "azureiot_tools", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._stack.callback(_end, process)
        return process


def _azureiot(*arguments: str) -> str:
    """Run a command as its user would, show it and what it prints; what it printed."""
    from azureiot_tools import cli

    _prompt(*arguments)
    with contextlib.redirect_stdout(_Tee()) as printed:
        code = cli.main(arguments)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise UserError("The demo stops here: the command above failed.")
    return printed.text


class _Tee:
    """Writes to the terminal and keeps what it wrote."""

    def __init__(self) -> None:
        self.text = ""
        self._terminal = sys.stdout

    def write(self, text: str) -> int:
        self.text += text
        return self._terminal.write(text)

    def flush(self) -> None:
        self._terminal.flush()


def _code_in(printed: str) -> str:
    """The verification code in what `azureiot service cert code` printed, as one would copy it."""
    (code,) = re.findall(r"\b[0-9A-F]{48}\b", printed.splitlines()[0])
    return code


def _prompt(*arguments: str, note: str = "") -> None:
    print(f"$ azureiot {shlex.join(arguments)}{note}", flush=True)


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _write_log(process: subprocess.Popen[str], path: Path) -> None:
    """Take what the process prints until it ends: a full pipe would stop it."""
    assert process.stdout is not None
    with path.open("w", encoding="utf-8") as log:
        log.writelines(process.stdout)


def _write_private(name: str, text: str) -> None:
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _restore(variable: str, value: str | None) -> None:
    if value is None:
        del os.environ[variable]
    else:
        os.environ[variable] = value


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
