"""Pins what is checked before registering: DPS says only 401002 "Invalid certificate" for all of these."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, check_for_registration
from azureiot_tools.console import UserError

from .support import Family


def test_a_good_one_passes_in_any_case_of_letters(family: Family) -> None:
    check_for_registration(family.device, "mydevice001")
    check_for_registration(family.device, "MyDevice001")  # docs/protocol.md §1.2: case-insensitive


def test_key_of_another(family: Family) -> None:
    mixed = Credential(family.device.certificate, family.root.key)
    with pytest.raises(UserError, match='key does not belong to the certificate of "mydevice001"'):
        check_for_registration(mixed, "mydevice001")


def test_another_registration_id_names_both(family: Family) -> None:
    with pytest.raises(UserError, match='certificate is for "mydevice001" and the registration id is "other"'):
        check_for_registration(family.device, "other")


def test_expired_and_not_yet_valid_look_at_the_clock(family: Family) -> None:
    certificate = family.device.certificate
    with pytest.raises(UserError, match=r"expired on \d{4}-.*the clock here says \d{4}-.*device renew"):
        check_for_registration(family.device, "mydevice001", certificate.not_valid_after_utc + timedelta(seconds=1))
    with pytest.raises(UserError, match=r"valid only from \d{4}-.*the clock here says 2000-01-01.*Set the clock"):
        check_for_registration(
            family.device, "mydevice001", certificate.not_valid_before_utc.replace(year=2000, month=1, day=1)
        )
    check_for_registration(family.device, "mydevice001", certificate.not_valid_after_utc)
    check_for_registration(family.device, "mydevice001", certificate.not_valid_before_utc)


def test_a_certificate_for_servers_only(family: Family) -> None:
    with pytest.raises(UserError, match="lacks clientAuth"):
        check_for_registration(authority.issue_server(family.root, ["mydevice001"]), "mydevice001")


def test_no_extended_key_usage_means_any(family: Family) -> None:
    check_for_registration(family.root, "Test root")  # a root of ours has none
