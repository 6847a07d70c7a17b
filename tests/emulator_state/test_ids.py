"""Pins docs/protocol.md §1.2: what a registration id is, and that only A to Z have a case in it."""

from __future__ import annotations

import pytest

from azureiot_tools.certificates.authority import check_device_id
from azureiot_tools.emulator.attestation import Refusal, attest
from azureiot_tools.emulator.ids import is_registration_id, same_id
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, Pki, der, enroll_group, upload
from .forged import forge


@pytest.mark.parametrize("id", ["a", "0", "A-b_c.d:e", "x-", "x" * 128, "MyDevice001"])
def test_ids(id: str) -> None:
    assert is_registration_id(id)


@pytest.mark.parametrize("id", ["", "-x", ".x", "_x", "x_", "x.", "x:", "x" * 129, "é", "a b", "x\n", "\u0663", "a/b"])
def test_what_is_none(id: str) -> None:
    assert not is_registration_id(id)


@pytest.mark.parametrize("id", ["a", "A-b_c.d:e", "x-"])
def test_what_the_authority_certifies_is_taken(id: str) -> None:
    check_device_id(id)
    assert is_registration_id(id)


def test_case() -> None:
    assert same_id("MyDevice-01", "mYdEVICE-01")
    assert not same_id("d1", "d2")


@pytest.mark.parametrize(("one", "other"), [("k", "\u212a"), ("i", "\u0130"), ("ss", "\u1e9e"), ("é", "É")])
def test_no_other_letter_has_a_case(one: str, other: str) -> None:
    assert not same_id(one, other)


def test_a_common_name_that_only_looks_alike_is_refused(registry: Registry, pki: Pki) -> None:
    """KELVIN SIGN: its lower case in Unicode is k."""
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    with pytest.raises(Refusal, match="is not the registration id 'k1'"):
        attest(registry, "k1", [der(forge(pki.root, "\u212a1"))], NOW)
    assert attest(registry, "k1", [der(forge(pki.root, "K1"))], NOW).group_id == "group"
