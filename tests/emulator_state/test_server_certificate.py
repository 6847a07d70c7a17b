"""Pins: one start with a wrong clock costs nobody their CA, and leaves no server certificate that is not valid yet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from azureiot_tools.console import UserError
from azureiot_tools.emulator.server_certificate import KEY_TYPES, server_credentials

from .bench import NOW

YEAR = timedelta(days=365)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("wrong", [-20 * YEAR, 12 * YEAR])
def test_a_clock_that_is_wrong_once_changes_nothing(tmp_path: Path, wrong: timedelta) -> None:
    server_credentials(tmp_path, ["localhost"], NOW)
    before = files(tmp_path)
    with pytest.raises(UserError) as caught:
        server_credentials(tmp_path, ["localhost"], NOW + wrong)
    assert f"emulator-ca.crt is valid from {NOW - timedelta(minutes=5):%Y-%m-%d} to " in caught.value.message
    assert f"not on {NOW + wrong:%Y-%m-%d}." in caught.value.message
    assert caught.value.hint.startswith("Set the clock; if it is right, move the file away")
    assert files(tmp_path) == before
    server_credentials(tmp_path, ["localhost"], NOW + timedelta(hours=1))
    assert files(tmp_path) == before


def test_moving_the_ca_away_makes_a_new_one(tmp_path: Path) -> None:
    server_credentials(tmp_path, ["localhost"], NOW)
    (tmp_path / "emulator-ca.crt").rename(tmp_path / "old.crt")
    credentials, ca = server_credentials(tmp_path, ["localhost"], NOW + 12 * YEAR)
    assert ca.read_bytes() != (tmp_path / "old.crt").read_bytes()
    assert len(credentials) == len(KEY_TYPES)


def test_server_certificates_made_by_a_fast_clock_are_made_anew(tmp_path: Path) -> None:
    """Within the CA's years a fast clock does not show; but what it issued starts in the future."""
    server_credentials(tmp_path, ["localhost"], NOW)
    server_credentials(tmp_path, ["localhost"], NOW + 2 * YEAR)
    credentials, _ = server_credentials(tmp_path, ["localhost"], NOW)
    for credential in credentials:
        assert credential.certificate.not_valid_before_utc <= NOW < credential.certificate.not_valid_after_utc
