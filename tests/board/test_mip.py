"""`mpremote mip install` puts the library on a board, where `import azureiot` then works. A path in package.json that
is not relative to package.json itself would work from no server but one."""

from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mpremote import main as mpremote

from conftest import ROOT
from fakeboard import FakeBoard

from .conftest import MakeBoard

FIRMWARE = ROOT / "firmware"
LIBRARY = [path for path in (FIRMWARE / "azureiot").glob("*.py") if path.name != "runtime_cpython.py"]
# As a program on the board would begin; no part of the library is imported before it is asked for.
USE = "import azureiot; print(azureiot.__file__, azureiot.Device.__name__, azureiot.X509.__name__)"


@pytest.fixture
def board(make_board: MakeBoard) -> FakeBoard:
    board = make_board()
    board.console(from_start=True).wait_for("Type .help")
    return board


@pytest.fixture
def server() -> Iterator[str]:
    """The address of an HTTP server of firmware/."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=FIRMWARE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def installed(board: FakeBoard) -> dict[str, bytes]:
    return {path: data for path, data in board.files().items() if path != "/boot.py"}


def test_from_a_local_server(board: FakeBoard, server: str) -> None:
    command = [sys.executable, "-m", "mpremote", "connect", board.port]
    command += ["mip", "install", f"{server}/package.json", "+", "exec", USE]
    done = subprocess.run(
        command, env={**os.environ, "NO_PROXY": "127.0.0.1"}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("/lib/azureiot/__init__.py Device X509\n")
    assert installed(board) == {f"/lib/azureiot/{path.name}": path.read_bytes() for path in LIBRARY}


def test_from_github(board: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """mip makes addresses of raw.githubusercontent.com of it. The tree stands for that; each module is its own path."""
    raw = "https://raw.githubusercontent.com/someone/azureiot/v0.1.0/"

    def opened(url: str) -> io.BytesIO:
        assert url.startswith(raw)
        path = url.removeprefix(raw)
        assert (ROOT / path).is_file(), url
        return io.BytesIO(path.encode() if path.endswith(".py") else (ROOT / path).read_bytes())

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    package = "github:someone/azureiot/firmware@v0.1.0"
    monkeypatch.setattr(sys, "argv", ["mpremote", "connect", board.port, "mip", "install", package])
    assert not mpremote.main()
    wanted = {f"/lib/azureiot/{path.name}": path.relative_to(ROOT).as_posix().encode() for path in LIBRARY}
    assert installed(board) == wanted
