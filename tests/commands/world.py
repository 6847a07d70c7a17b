"""A working directory in which every command has what it needs, and what must hold after each run of any of them."""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from azureiot_tools import cli

from .leaves import Leaf, option

PASSWORD = "hunter2-is-secret"
WIFI_PASSWORD = "wifi-passphrase-7"
CODE = "2FA7C3E8" * 6

# What an argument is given that must be given.
VALUES = {
    "METHOD": "reboot",
    "TEXT": "hello",
    "CODE": CODE,
    "ID": "d",
    "REGISTRATION_ID": "d",
    "NAME": "root",
    "FILE": "certs/d.crt",
    "--ca": "root",
    "--cert": "certs/d.crt",
}
# The same for one command, and what it is given besides.
VALUES_OF = {
    "demo": {"--keep": "certs"},  # exists: it ends at once
    "ca export": {"--out": "exported.crt"},
    "ca prove": {"--out": "proof.crt"},
    "device create": {"ID": "new", "--password-file": "password.txt"},
    "device renew": {"--password-file": "password.txt"},
    "pfx convert": {"FILE": "certs/d.pfx", "--out": "converted", "--password-file": "password.txt"},
    "cert show": {"FILE": "certs/d.pfx", "--password-file": "password.txt"},
    "service cert upload": {"FILE": "certs/ca/root.crt"},
    "service enroll group": {"--ca": "root"},
    "service enroll device": {"--cert": "certs/d.crt"},
    "board flash": {
        "--device": "d",
        "--wifi": "home",
        "--wifi-password-file": "wifi.txt",
        "--settings": "settings.json",
        "--timeout": "1",
    },
    "board log": {"--timeout": "1"},
    "monitor": {"--timeout": "0.1", "--count": "1"},
}
VALUES_OF["provision"] = VALUES_OF["simulate"] = {
    "--settings": "settings.json",
    "--pfx": "certs/d.pfx",
    "--password-file": "password.txt",
    "--timeout": "1",
    "--roots": "certs/ca/root.crt",
}
# To give a certificate and its key, a PFX must not be given.
INSTEAD = {"--cert": ("--pfx", "--password-file"), "--key": ("--pfx", "--password-file")}
ALONG = {"--cert": {"--key": "certs/d.key"}, "--key": {"--cert": "certs/d.crt"}}


class Outcome(NamedTuple):
    """What one run gave. changed: whether it changed any file."""

    code: int
    out: str
    err: str
    changed: bool


@dataclass
class World:
    """folder: the working directory. used_port: is taken on every address; closed_port: nothing listens there."""

    folder: Path
    used_port: int
    closed_port: int
    capsys: pytest.CaptureFixture[str]
    secrets: set[str] = field(default_factory=lambda: {PASSWORD, WIFI_PASSWORD})

    def arguments(
        self, leaf: Leaf, given: argparse.Action | None = None, value: str = "", flags: Iterable[str] = ()
    ) -> list[str]:
        """A command line that would do something, with the one argument `given` changed to `value`."""
        name = option(given) if given else ""
        usual = {**self._ports(leaf), **VALUES_OF.get(leaf.name, {})}
        usual = {key: usual[key] for key in usual if key not in INSTEAD.get(name, ())} | ALONG.get(name, {})
        words = [*leaf.words, *flags]
        positionals = []
        for argument in leaf.arguments:
            key = option(argument)
            chosen = value if argument is given else usual.get(key, VALUES.get(key) if argument.required else None)
            if chosen is None:
                continue
            if argument.option_strings:
                words.append(f"{key}={chosen}")  # also what begins with a minus
            else:
                positionals.append(chosen)
        return [*words, "--", *positionals] if positionals else words

    def _ports(self, leaf: Leaf) -> dict[str, str]:
        if leaf.words[0] == "emulator":  # must not start
            return {"--port": str(self.used_port), "--http-port": str(self.used_port)}
        if leaf.words[0] == "board":
            return {"--port": f"socket://127.0.0.1:{self.closed_port}"}
        return {}

    def run(self, *words: str) -> Outcome:
        """Run a command in process. Whatever it is: no traceback, no secret, nothing done by halves."""
        before = self.files()
        self.capsys.readouterr()
        try:
            code = cli.main(words)
        except SystemExit as stop:  # wrong usage, help
            code = int(stop.code or 0)
        out, err = self.capsys.readouterr()
        shown = " ".join(words)[:300]
        changed = self.files() != before
        if changed or len(self.secrets) == 2:
            self.secrets |= secrets_in(self.folder)
        assert_no_secrets(out + err, self.secrets)
        assert code in (0, 1, 2), shown
        assert not changed or code == 0 or words[0] == "emulator", f"{shown} failed, and changed files: {err}"
        assert not [path for path in self.folder.rglob(".*") if path.suffix in (".new", ".replaced")], shown
        assert all(line.isprintable() for line in (out + err).split("\n")), f"{shown} printed control characters"
        if code == 0:
            assert err == "", shown
        elif code == 1:
            assert re.fullmatch(r"azureiot: [^\n]+\n", err), f"{shown}: {err!r}"
        else:
            assert err.startswith("usage: azureiot"), shown
            assert ": error: " in err.splitlines()[-1], shown
        return Outcome(code, out, err, changed)

    def restore(self, template: Path) -> None:
        """Make the folder what it was."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(template, self.folder, symlinks=True, dirs_exist_ok=True)

    def files(self) -> dict[str, tuple[int, ...]]:
        """What tells whether anything in the folder has changed."""
        found = {}
        for directory, names, files in os.walk(self.folder):
            for name in (*names, *files):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                times = () if stat.S_ISDIR(status.st_mode) else (status.st_mtime_ns, status.st_size)
                found[path] = (status.st_ino, status.st_mode, *times)
        return found


def secrets_in(folder: Path) -> set[str]:
    """The private keys in the folder's PEM files, each in the forms in which it could be printed."""
    found = set()
    for path in folder.rglob("*.key"):
        if not path.is_file() or path.is_symlink():
            continue
        pem = path.read_bytes()
        lines = pem.decode().splitlines()[1:-1]
        key = load_pem_private_key(pem, None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            sec1 = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            found |= {base64.b64encode(sec1).decode()[:48], f"{key.private_numbers().private_value:X}"}
            found |= set(lines[:2])  # what follows is public
        else:
            found |= set(lines[-8:-1])  # what stands before is public
    return found


def assert_no_secrets(text: str, secrets: Iterable[str]) -> None:
    """Whether none of the secrets was printed, in any line of it."""
    assert "PRIVATE KEY-----" not in text
    for secret in secrets:
        assert secret.lower() not in text.lower(), "a secret was printed"
