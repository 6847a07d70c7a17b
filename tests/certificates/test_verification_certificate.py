"""Pins proof of possession (docs/protocol.md §2.6): DPS compares the common name with its code, and the signature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import common_name, to_pem
from azureiot_tools.console import UserError

from .support import Family

CODE = "2FA7C3E8" * 6  # 48 upper-case hex digits, as DPS gives them out


def test_openssl_finds_the_code_and_the_signature(family: Family, openssl: Callable[..., str], tmp_path: Path) -> None:
    certificate = authority.issue_verification(family.root, CODE)
    (tmp_path / "root").write_bytes(to_pem([family.root.certificate]))
    (tmp_path / "proof").write_bytes(to_pem([certificate]))
    assert openssl("x509", "-noout", "-subject", "-in", tmp_path / "proof").strip() == f"subject=CN = {CODE}"
    assert openssl("verify", "-x509_strict", "-CAfile", tmp_path / "root", tmp_path / "proof").strip().endswith("OK")


def test_an_intermediate_proves_itself_too(family: Family) -> None:
    certificate = authority.issue_verification(family.intermediate, CODE)
    certificate.verify_directly_issued_by(family.intermediate.certificate)
    assert common_name(certificate) == CODE


@pytest.mark.parametrize(
    "code", ["", "CODE", "A" * 31, "A" * 65, "x" * 48, "with space", "../../etc/passwd", "line\nbreak", "kód"]
)
def test_what_is_no_code_is_refused(family: Family, code: str) -> None:
    with pytest.raises(UserError, match="is not a verification code"):
        authority.issue_verification(family.root, code)
