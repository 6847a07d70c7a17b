"""The server roots that a device must trust to reach Azure, as files: certs/roots of the repository."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509

from azureiot_tools.certificates import formats
from azureiot_tools.console import UserError

# Roots for every cloud lie in the directory itself, those for some clouds only in a directory below it.
_ALL = "all"
_CLOUDS = {"sovereign": "China (21Vianet), US Government"}


@dataclass(frozen=True)
class ServerRoot:
    """One root. path: its PEM file, beside which lies the DER; clouds: the Azure clouds whose servers lead to it."""

    path: Path
    certificate: x509.Certificate
    clouds: str


def directory() -> Path:
    """Where the roots lie: package data of an installed azureiot, certs/roots in the source tree.

    Raises UserError when they are in neither place.
    """
    spec = find_spec("azureiot")
    if spec and spec.origin:
        package = Path(spec.origin).parent
        for place in (package / "roots", package.parents[1] / "certs" / "roots"):
            if place.is_dir():
                return place
    raise UserError(
        "The server roots are missing from this installation.", "Install it again: pip install 'azureiot[tools]'"
    )


def server_roots() -> list[ServerRoot]:
    """All of them, those for every cloud first."""
    top = directory()
    return [
        ServerRoot(path, formats.parse(formats.read_bytes(path), path).certificates[0], clouds)
        for place, clouds in [(top, _ALL), *((top / name, clouds) for name, clouds in _CLOUDS.items())]
        for path in sorted(place.glob("*.pem"))
    ]
