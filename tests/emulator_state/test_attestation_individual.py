"""Pins docs/protocol.md §2.1 for individual enrollments, and what is asked of every leaf."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from azureiot_tools.emulator.attestation import Refusal, attest
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, Pki, der, enroll_device, enroll_group, upload
from .forged import forge


def refusal(registry: Registry, registration_id: str, *chain: bytes, at: timedelta = timedelta()) -> Refusal:
    with pytest.raises(Refusal) as caught:
        attest(registry, registration_id, chain, NOW + at)
    assert (caught.value.status, caught.value.error_code) == (401, 401002)
    assert caught.value.section == "docs/protocol.md §2.1"
    return caught.value


def test_rule_1_the_individual_enrollment_comes_before_a_group(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root", enabled=False)
    enroll_device(registry, "mydevice001", der(pki.device), device_id="Pump")
    attested = attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert (attested.enabled, attested.group_id, attested.device_id) == (True, None, "Pump")


def test_rule_2_and_4_a_disabled_individual_enrollment_blocks_a_group_device(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    enroll_device(registry, "mydevice001", enabled=False)  # holds no certificate, as a symmetric-key one does not
    attested = attest(registry, "MyDevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert not attested.enabled
    assert attested.group_id is None


def test_rule_3_deleting_it_lets_the_group_match_again(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    enroll_device(registry, "mydevice001", enabled=False)
    registry.delete_enrollment("mydevice001")
    attested = attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert attested.enabled
    assert attested.group_id == "group"


def test_rule_5_the_common_name_is_the_registration_id_whatever_its_case(registry: Registry) -> None:
    leaf = forge(None, "MyDevice001")
    enroll_device(registry, "mydevice001", der(leaf))
    assert attest(registry, "MYDEVICE001", [der(leaf)], NOW).registration_id == "mydevice001"


def test_rule_5_another_common_name_is_refused_and_both_are_named(registry: Registry, pki: Pki) -> None:
    enroll_device(registry, "mydevice002", der(pki.device))
    refused = refusal(registry, "mydevice002", der(pki.device))
    assert refused.message == "Unauthorized"
    assert refused.reason == "The leaf's common name 'mydevice001' is not the registration id 'mydevice002'."


@pytest.mark.parametrize("common_names", [(), ("mydevice001", "mydevice001")])
def test_rule_5_there_must_be_one_common_name(registry: Registry, common_names: tuple[str, ...]) -> None:
    leaf = forge(None, *common_names)
    enroll_device(registry, "mydevice001", der(leaf))
    assert f"has {len(common_names)} common names" in refusal(registry, "mydevice001", der(leaf)).reason


def test_rule_6_primary_or_secondary_leaf(registry: Registry) -> None:
    primary, secondary, third = (forge(None, "d1") for _ in range(3))
    enroll_device(registry, "d1", der(primary), der(secondary))
    for leaf in (primary, secondary):
        attested = attest(registry, "d1", [der(leaf)], NOW)
        assert attested.leaf_sha1 == hashlib.sha1(der(leaf)).hexdigest().upper()
        assert attested.leaf_sha256 == hashlib.sha256(der(leaf)).hexdigest().upper()
    refused = refusal(registry, "d1", der(third))
    assert hashlib.sha256(der(third)).hexdigest().upper() in refused.reason
    assert refused.message == "Unauthorized"


def test_rule_6_a_leaf_from_a_ca_needs_a_verified_ca(registry: Registry, pki: Pki) -> None:
    enroll_device(registry, "mydevice001", der(pki.device))
    refused = refusal(registry, "mydevice001", der(pki.device))
    assert refused.message == "CA certificate not found."
    assert "needs a verified certificate in its chain" in refused.reason
    upload(registry, "issuing", pki.intermediate, verified=False)
    assert "'issuing' is uploaded but not verified" in refusal(registry, "mydevice001", der(pki.device)).reason
    upload(registry, "issuing", pki.intermediate)
    assert attest(registry, "mydevice001", [der(pki.device)], NOW).enabled


def test_rule_9_the_device_id_is_the_registration_id_unless_the_enrollment_names_one(registry: Registry) -> None:
    leaf = forge(None, "d1")
    enroll_device(registry, "d1", der(leaf))
    assert attest(registry, "D1", [der(leaf)], NOW).device_id == "d1"
    enroll_device(registry, "d1", der(leaf), device_id="Pump-7")
    assert attest(registry, "d1", [der(leaf)], NOW).device_id == "Pump-7"


def test_no_certificate(registry: Registry) -> None:
    refused = refusal(registry, "d1")
    assert refused.message == "Unauthorized"
    assert "no client certificate" in refused.reason


def test_a_leaf_before_and_after_its_validity(registry: Registry) -> None:
    leaf = forge(None, "d1", starts=NOW - timedelta(days=1), ends=NOW + timedelta(days=1))
    enroll_device(registry, "d1", der(leaf))
    early = refusal(registry, "d1", der(leaf), at=timedelta(days=-2))
    assert early.message == "Invalid certificate"
    assert "is not valid before" in early.reason
    assert "clock" in early.reason
    assert "expired at" in refusal(registry, "d1", der(leaf), at=timedelta(days=2)).reason


def test_bytes_that_are_no_certificate(registry: Registry, pki: Pki) -> None:
    refused = refusal(registry, "mydevice001", der(pki.device), b"\x30\x03abc")
    assert refused.message == "Invalid certificate"
    assert refused.reason.startswith("Certificate 2 of the chain cannot be read:")


def test_a_chain_longer_than_any_real_one(registry: Registry, pki: Pki) -> None:
    assert "has 11 certificates" in refusal(registry, "mydevice001", *[der(pki.device)] * 11).reason
