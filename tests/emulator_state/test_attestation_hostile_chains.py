"""Pins: whatever chain a client sends, the answer is Attested or Refusal, and only the owner gets in."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azureiot_tools.emulator.attestation import Attested, Refusal, attest
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, Pki, der, enroll_group, upload

NUMBER_OF_CERTIFICATES = 5
# The fixtures are only read.
shared_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def certificates(pki: Pki) -> list[bytes]:
    return [der(one) for one in (pki.device, pki.intermediate, pki.root, pki.other_root, pki.other_device)]


def enroll(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")


def outcome(registry: Registry, chain: list[bytes], registration_id: str = "mydevice001") -> Attested | Refusal:
    try:
        return attest(registry, registration_id, chain, NOW)
    except Refusal as refused:
        return refused


@shared_fixtures
@given(picked=st.lists(st.integers(0, NUMBER_OF_CERTIFICATES - 1), max_size=12))
def test_only_the_leaf_first_with_its_intermediate_gets_in(registry: Registry, pki: Pki, picked: list[int]) -> None:
    enroll(registry, pki)
    answer = outcome(registry, [certificates(pki)[index] for index in picked])
    admitted = picked[:1] == [0] and 1 in picked and len(picked) <= 10
    assert isinstance(answer, Attested) == admitted


@shared_fixtures
@given(chain=st.lists(st.binary(max_size=300), max_size=4), registration_id=st.text(max_size=20))
def test_garbage_is_refused(registry: Registry, chain: list[bytes], registration_id: str) -> None:
    answer = outcome(registry, chain, registration_id)
    assert isinstance(answer, Refusal)
    assert answer.reason


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(shared_fixtures, max_examples=400)
@given(which=st.integers(0, 1), position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused(registry: Registry, pki: Pki, which: int, position: float, byte: int) -> None:
    """Every byte of a certificate is signed or is its signature; the parser must survive all of them too."""
    enroll(registry, pki)
    chain = [bytearray(der(pki.device)), bytearray(der(pki.intermediate))]
    index = int(position * len(chain[which]))
    if chain[which][index] == byte:
        return
    chain[which][index] = byte
    assert isinstance(outcome(registry, [bytes(one) for one in chain]), Refusal)
