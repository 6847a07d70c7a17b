"""Pins certs/roots: with a wrong root no device connects, with a forged one it talks to anybody."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.certificates import roots
from azureiot_tools.certificates.credential import common_name, is_authority, is_self_signed, thumbprint
from azureiot_tools.console import UserError

from .support import Outcome

CERTS = Path(__file__).parents[2] / "certs"

# docs/protocol.md §4.5, where they were computed from the certificates in Microsoft's C SDK.
KNOWN = {
    "DigiCert Global Root G2": (
        "DF3C24F9BFD666761B268073FE06D1CC8D4F82A4",
        "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f",
    ),
    "Microsoft RSA Root Certificate Authority 2017": (
        "73A5E64A3BFF8316FF0EDCCC618A906E4EAE4D74",
        "c741f70f4b2a8d88bf2e71c14122ef53ef10eba0cfa5e64cfa20f418853073e0",
    ),
    "DigiCert Global Root CA": (
        "A8985D3A65E5E5C4B2D7D66D40C6DD2FB19C5436",
        "4348a0e9444c78cb265e058d5e8944b4d84f9662bd26db257f8934a443c70161",
    ),
}


@pytest.fixture(params=[root.path.stem for root in roots.server_roots()])
def root(request: pytest.FixtureRequest) -> roots.ServerRoot:
    return next(one for one in roots.server_roots() if one.path.stem == request.param)


def test_which_there_are_and_for_which_clouds() -> None:
    assert {common_name(one.certificate): one.clouds for one in roots.server_roots()} == {
        "DigiCert Global Root G2": "all",
        "Microsoft RSA Root Certificate Authority 2017": "all",
        "DigiCert Global Root CA": "China (21Vianet), US Government",
    }


def test_thumbprints(root: roots.ServerRoot) -> None:
    sha1, sha256 = KNOWN[common_name(root.certificate)]
    assert thumbprint(root.certificate, "sha1") == sha1
    assert thumbprint(root.certificate) == sha256.upper()


def test_openssl_computes_the_same(root: roots.ServerRoot, openssl: Callable[..., str]) -> None:
    said = openssl("x509", "-in", root.path, "-noout", "-fingerprint", "-sha256")
    assert said.partition("=")[2].strip().replace(":", "") == thumbprint(root.certificate)


def test_certifi_trusts_the_same(root: roots.ServerRoot) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography dislikes the serial number of some root that is none of ours
        trusted = x509.load_pem_x509_certificates(Path(certifi.where()).read_bytes())
    if root.certificate not in trusted and root.clouds != "all":
        pytest.skip(f"certifi no longer has {common_name(root.certificate)}: the industry is removing trust in it")
    assert root.certificate in trusted


def test_they_are_roots_and_der_is_the_same_as_pem(root: roots.ServerRoot) -> None:
    assert is_self_signed(root.certificate)
    assert is_authority(root.certificate)
    assert root.path.with_suffix(".der").read_bytes() == root.certificate.public_bytes(Encoding.DER)
    assert root.path.read_bytes() == root.certificate.public_bytes(Encoding.PEM)


def test_the_table_of_the_readme_is_right() -> None:
    rows = re.findall(
        r"^\| (.+?) \| `(\w+)` \| `(\w+)` \| ([\d-]+) \| (.+?) \| `(.+?)` \|$",
        (CERTS / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [
        (
            common_name(one.certificate),
            thumbprint(one.certificate, "sha1"),
            thumbprint(one.certificate),
            f"{one.certificate.not_valid_after_utc:%Y-%m-%d}",
            one.clouds,
            str(one.path.with_suffix("").relative_to(CERTS)),
        )
        for one in roots.server_roots()
    ]


def test_nothing_else_lies_there() -> None:
    listed = {path for one in roots.server_roots() for path in (one.path, one.path.with_suffix(".der"))}
    assert {path for path in (CERTS / "roots").rglob("*") if path.is_file()} == listed


@pytest.mark.parametrize("layout", ["source tree", "wheel"])
def test_they_are_found_in_both_layouts(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "firmware" / "azureiot"
    place = tmp_path / "certs" / "roots" if layout == "source tree" else package / "roots"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(roots, "find_spec", lambda _: type("Spec", (), {"origin": str(package / "__init__.py")}))
    with pytest.raises(UserError, match="missing from this installation"):
        roots.directory()
    shutil.copytree(CERTS / "roots", place)
    assert roots.directory() == place
    assert len(roots.server_roots()) == 3


def test_the_command(azureiot: Callable[..., Outcome]) -> None:
    text = azureiot("roots").out
    data = azureiot("roots", "--json").json
    for entry in data:
        assert {entry["sha1"], entry["sha256"], entry["common_name"], entry["clouds"]} <= {
            line.split("  ")[-1].strip() for line in text.splitlines()
        }
    assert len(data) == 3
    assert all(Path(entry["file"]).exists() for entry in data)
