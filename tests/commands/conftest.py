"""The world of world.py, made once and copied for each test; nothing of the developer's leaks in, or out of it."""

from __future__ import annotations

import functools
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azureiot_tools import cli
from azureiot_tools.certificates import pfx
from azureiot_tools.commands import demo

from .world import PASSWORD, WIFI_PASSWORD, World


@pytest.fixture(scope="session")
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def used_port() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, closed_port: int) -> Path:
    """A folder with certificates, keys, PFX, passwords and settings that fit together."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "password.txt").write_text(f"{PASSWORD}\n")
    (folder / "wifi.txt").write_text(f"{WIFI_PASSWORD}\n")
    settings = {
        "id_scope": "0ne00000000",
        "provisioning_host": "127.0.0.1",
        "port": closed_port,
        "wifi": [{"ssid": "home", "password": WIFI_PASSWORD}],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pfx, "KDF_ROUNDS", 1)
        certs = ("--certs", str(folder / "certs"))
        assert cli.main(["ca", "create", *certs]) == 0
        assert cli.main(["device", "create", "d", "--password-file", str(folder / "password.txt"), *certs]) == 0
    return folder


@pytest.fixture
def world(
    template: Path,
    tmp_path: Path,
    used_port: int,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    """The working directory is a copy of the template. No board, no name service, no service of this machine."""
    folder = tmp_path / "world"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    for variable in ("DPS_IDSCOPE", "DPS_HOST", "DPS_REGISTRATION_ID", "AZUREIOT_CERTS", "AZUREIOT_PFX_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("AZUREIOT_WIFI_PASSWORD", raising=False)
    monkeypatch.setenv("AZUREIOT_SERVICE_URL", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(cli, "build_parser", parser_once)
    monkeypatch.setattr(pfx, "KDF_ROUNDS", 1)
    monkeypatch.setattr(demo.Demo, "run", lambda self: None)
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.setattr(socket, "getaddrinfo", loopback_only)
    return World(folder, used_port, closed_port, capsys)


_getaddrinfo = socket.getaddrinfo
parser_once = functools.cache(cli.build_parser)  # most of the time of a run in process is its making


def loopback_only(host: Any, *arguments: Any, **options: Any) -> Any:
    """No question leaves this machine, and none waits for an answer."""
    if host in (None, "localhost", "127.0.0.1", "::1", "0.0.0.0", ""):
        return _getaddrinfo(host, *arguments, **options)
    if isinstance(host, str):
        host.encode("idna")  # raises UnicodeError as the real one does
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
