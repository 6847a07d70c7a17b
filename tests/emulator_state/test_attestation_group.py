"""Pins docs/protocol.md §2.1 for enrollment groups: the walk up from the leaf's issuer, and every way it fails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azureiot_tools.certificates.authority import create_intermediate, create_root, issue_device
from azureiot_tools.emulator.attestation import CA_NOT_FOUND, INVALID_CERTIFICATE, NO_MATCH, Refusal, attest
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, Pki, der, enroll_group, upload
from .forged import forge


def refusal(
    registry: Registry, *chain: bytes, registration_id: str = "mydevice001", at: timedelta = timedelta()
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        attest(registry, registration_id, chain, NOW + at)
    assert (caught.value.status, caught.value.error_code) == (401, 401002)
    return caught.value


def test_leaf_and_intermediate_under_a_verified_root(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    attested = attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert (attested.enabled, attested.group_id) == (True, "group")
    assert attested.registration_id == attested.device_id == "mydevice001"


def test_the_root_may_be_sent_too(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    chain = [der(pki.device), der(pki.intermediate), der(pki.root)]
    assert attest(registry, "mydevice001", chain, NOW).group_id == "group"


def test_a_ca_uploaded_a_second_time_under_another_name_changes_nothing(registry: Registry, pki: Pki) -> None:
    upload(registry, "m", pki.root)
    enroll_group(registry, "group", "m")
    for name in ("a", "z"):
        upload(registry, name, pki.root, verified=False)
    assert attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW).group_id == "group"


def test_rule_1_the_group_nearest_to_the_leaf_decides(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    upload(registry, "issuing", pki.intermediate)
    enroll_group(registry, "a-broad", "root")
    enroll_group(registry, "z-narrow", "issuing")
    assert attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW).group_id == "z-narrow"


def test_rule_2_a_disabled_group_blocks_though_a_broader_one_is_enabled(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    upload(registry, "issuing", pki.intermediate)
    enroll_group(registry, "broad", "root")
    enroll_group(registry, "narrow", "issuing", enabled=False)
    attested = attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert (attested.enabled, attested.group_id) == (False, "narrow")


def test_rule_3_deleting_a_group_lets_one_higher_up_match(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    upload(registry, "issuing", pki.intermediate)
    enroll_group(registry, "broad", "root")
    enroll_group(registry, "narrow", "issuing", enabled=False)
    registry.delete_group("narrow")
    attested = attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW)
    assert (attested.enabled, attested.group_id) == (True, "broad")


def test_rule_7_an_intermediate_that_was_not_sent(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    refused = refusal(registry, der(pki.device))
    assert refused.message == CA_NOT_FOUND
    assert "'CN=mydevice001' was issued by 'CN=Test Issuing CA', which the device did not send" in refused.reason


def test_rule_7_an_unverified_ca(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root, verified=False)
    advice = "The CA 'root' is uploaded but not verified: azureiot service cert code root"
    refused = refusal(registry, der(pki.device), der(pki.intermediate))
    assert (refused.message, refused.reason) == (CA_NOT_FOUND, f"No enrollment applies. {advice}")
    enroll_group(registry, "group", "root")
    refused = refusal(registry, der(pki.device), der(pki.intermediate))
    assert (refused.message, refused.reason) == (CA_NOT_FOUND, f"Group 'group' admits nobody now. {advice}")


def test_rule_7_no_enrollment_for_a_verified_ca(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    refused = refusal(registry, der(pki.device), der(pki.intermediate))
    assert refused.message == NO_MATCH
    assert "azureiot service enroll group ID --ca root" in refused.reason


def test_rule_7_a_root_that_was_never_uploaded(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    refused = refusal(registry, der(pki.other_device), der(pki.other_root))
    assert refused.message == CA_NOT_FOUND
    assert "ends at 'CN=Other Root', which is not uploaded" in refused.reason


def test_rule_7_an_inline_signing_certificate_rolls_up_to_a_verified_root(registry: Registry, pki: Pki) -> None:
    enroll_group(registry, "inline", signing=(der(pki.intermediate),))
    chain = (der(pki.device), der(pki.intermediate))
    refused = refusal(registry, *chain)
    assert refused.message == CA_NOT_FOUND
    assert "group 'inline' must roll up to a verified CA" in refused.reason
    upload(registry, "root", pki.root, verified=False)
    assert "not verified" in refusal(registry, *chain).reason
    upload(registry, "root", pki.root)
    assert attest(registry, "mydevice001", chain, NOW).group_id == "inline"


def test_a_group_has_a_primary_and_a_secondary_ca(registry: Registry, pki: Pki) -> None:
    upload(registry, "old", pki.root)
    upload(registry, "new", pki.other_root)
    enroll_group(registry, "group", "old", "new")
    assert attest(registry, "mydevice001", [der(pki.device), der(pki.intermediate)], NOW).group_id == "group"
    assert attest(registry, "mydevice001", [der(pki.other_device)], NOW).group_id == "group"


def test_a_self_signed_leaf_matches_no_group(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    refused = refusal(registry, der(forge(None, "mydevice001")), der(pki.root))
    assert refused.message == "Unauthorized"
    assert "is self-signed" in refused.reason


def test_the_verified_ca_itself_is_no_device(registry: Registry) -> None:
    root = create_root("mydevice001", now=NOW)
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    assert "is self-signed" in refusal(registry, der(root)).reason


def test_a_ca_of_the_same_name_with_another_key_is_found_out(registry: Registry, pki: Pki) -> None:
    impostor = create_root("Test Root", now=NOW)
    intermediate = create_intermediate(impostor, "Evil Issuing CA", now=NOW)
    device = issue_device(intermediate, "mydevice001", now=NOW)
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    refused = refusal(registry, der(device), der(intermediate))
    assert refused.message == NO_MATCH
    assert "uploaded as 'root'" in refused.reason
    assert "another key" in refused.reason


def test_a_leaf_that_only_claims_its_issuer_is_found_out(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    liar = forge(pki.other_root, "mydevice001", issuer_name=pki.intermediate.certificate.subject)
    refused = refusal(registry, der(liar), der(pki.intermediate))
    assert refused.message == INVALID_CERTIFICATE
    assert "its signature does not verify" in refused.reason


@pytest.mark.parametrize(("ca", "may_sign"), [(None, None), (False, None), (True, False)])
def test_a_device_cannot_issue_devices(registry: Registry, pki: Pki, ca: bool | None, may_sign: bool | None) -> None:
    """Basic constraints and key usage, RFC 5280 §4.2.1.9 and §4.2.1.3: else any leaf could speak for all devices."""
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    end_entity = forge(pki.root, "mydevice777", ca=ca, may_sign=may_sign)
    forged = forge(end_entity, "mydevice001")
    refused = refusal(registry, der(forged), der(end_entity))
    assert refused.message == INVALID_CERTIFICATE
    assert "'CN=mydevice777' issued a certificate of the chain, and is not a CA" in refused.reason


def test_the_path_length_holds(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)  # path length 1
    enroll_group(registry, "group", "root")
    second = forge(pki.intermediate, "Second", ca=True, may_sign=True)  # the intermediate's is 0
    leaf = forge(second, "mydevice001")
    refused = refusal(registry, der(leaf), der(second), der(pki.intermediate))
    assert "'CN=Test Issuing CA' allows 0 CAs below it (path length), and the chain has 1" in refused.reason


def test_an_expired_intermediate(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    old = forge(pki.root, "Old", ca=True, may_sign=True, starts=NOW - timedelta(days=9), ends=NOW - timedelta(days=1))
    refused = refusal(registry, der(forge(old, "mydevice001")), der(old))
    assert refused.message == INVALID_CERTIFICATE
    assert "'CN=Old' expired at" in refused.reason


def test_an_expired_root_does_not_matter_above_the_verified_ca(registry: Registry) -> None:
    root = forge(None, "Old Root", ca=True, ends=NOW - timedelta(minutes=1))
    intermediate = forge(root, "Issuing", ca=True)
    upload(registry, "issuing", intermediate)
    enroll_group(registry, "group", "issuing")
    chain = [der(forge(intermediate, "mydevice001")), der(intermediate), der(root)]
    assert attest(registry, "mydevice001", chain, NOW).group_id == "group"


def test_a_root_renewed_under_its_key_replaces_the_expired_one(registry: Registry) -> None:
    old = forge(None, "Root", ca=True, ends=NOW - timedelta(days=1), starts=NOW - timedelta(days=9))
    new = forge(None, "Root", ca=True, key=old.key)
    leaf = forge(old, "mydevice001")
    upload(registry, "a-old", old)
    upload(registry, "b-new", new)
    enroll_group(registry, "group", "a-old", "b-new")
    assert attest(registry, "mydevice001", [der(leaf)], NOW).group_id == "group"


def test_cas_that_sign_each_other_end_the_walk(registry: Registry) -> None:
    first = forge(None, "First", ca=True)
    second = forge(None, "Second", ca=True)
    first_by_second = forge(second, "First", ca=True, key=first.key)
    second_by_first = forge(first, "Second", ca=True, key=second.key)
    leaf = forge(first_by_second, "mydevice001")
    refused = refusal(registry, der(leaf), der(first_by_second), der(second_by_first))
    assert refused.message == CA_NOT_FOUND


def test_an_issuer_with_the_leafs_own_name_is_followed(registry: Registry) -> None:
    """Equal names do not make a leaf self-signed; its signature would have to."""
    root = create_root("mydevice001", now=NOW)
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    assert attest(registry, "mydevice001", [der(issue_device(root, "mydevice001", now=NOW))], NOW).group_id == "group"


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_every_key_type_of_the_authority(registry: Registry, key_type: str) -> None:
    root = create_root("Root", key_type=key_type, now=NOW)
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    device = issue_device(root, "d1", key_type=key_type, now=NOW)
    assert attest(registry, "d1", [der(device)], NOW).group_id == "group"
