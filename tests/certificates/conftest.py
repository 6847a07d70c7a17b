"""What the certificate tests share: an authority made once, openssl as judge, the command line in process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from azureiot_tools import cli
from azureiot_tools.certificates import authority

from .support import Family, Outcome


@pytest.fixture(scope="session")
def family() -> Family:
    root = authority.create_root("Test root")
    intermediate = authority.create_intermediate(root, "Test intermediate")
    return Family(root, intermediate, authority.issue_device(intermediate, "mydevice001"))


@pytest.fixture(scope="session")
def openssl() -> Callable[..., str]:
    """Run the openssl binary and return what it printed, failing the test when it fails."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is missing, and CI=true allows no skips")
        pytest.skip("openssl is not installed")

    def run(*arguments: str | Path, stdin: bytes = b"") -> str:
        done = subprocess.run([program, *map(str, arguments)], input=stdin, capture_output=True, timeout=60)
        output = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, output
        return output

    return run


@pytest.fixture
def azureiot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run a certificate command in an empty working directory; no environment of the developer's leaks in."""
    monkeypatch.setattr(cli, "COMMANDS", ("ca", "device", "pfx", "cert", "roots"))
    monkeypatch.delenv("AZUREIOT_CERTS", raising=False)
    monkeypatch.setenv("AZUREIOT_PFX_PASSWORD", "s3cret")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            code = cli.main([*map(str, arguments)])
        except SystemExit as stop:  # argparse: wrong usage, --help
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def with_authority(azureiot: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """The same, after `azureiot ca create`."""
    assert azureiot("ca", "create").code == 0
    return azureiot
