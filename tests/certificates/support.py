"""What the certificate tests pass around."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from azureiot_tools.certificates.credential import Credential


class Family(NamedTuple):
    """A root, an intermediate under it, and a device under that."""

    root: Credential
    intermediate: Credential
    device: Credential


class Outcome(NamedTuple):
    """What one run of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o777


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below the directory with its content, hidden ones too."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
