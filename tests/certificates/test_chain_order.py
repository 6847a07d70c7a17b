"""Pins the order of chains: a device that sends them wrong, or a stranger among them, gets 401002 from DPS."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, issuers_of

ROOT = authority.create_root("Chain root", path_length=3)
UPPER = authority.create_intermediate(ROOT, "Upper")
MIDDLE = authority.create_intermediate(UPPER, "Middle")
LOWER = authority.create_intermediate(MIDDLE, "Lower")
LEAF = authority.issue_device(LOWER, "leaf").certificate
PATH = [one.certificate for one in (LOWER, MIDDLE, UPPER, ROOT)]

# The names of the real ones, other keys: an order by name alone would take them.
IMPOSTOR_ROOT = authority.create_root("Chain root", path_length=3)
STRANGERS = [
    IMPOSTOR_ROOT.certificate,
    authority.create_intermediate(IMPOSTOR_ROOT, "Upper").certificate,
    authority.create_root("Lower").certificate,
    authority.issue_device(LOWER, "another").certificate,
]


@given(st.permutations(PATH + STRANGERS + [LEAF, PATH[0]]))
def test_any_order_with_strangers_and_repetitions_gives_the_path(shuffled: list) -> None:
    assert list(issuers_of(LEAF, shuffled)) == PATH


@given(st.lists(st.sampled_from(PATH + STRANGERS)))
def test_with_pieces_missing_it_ends_at_the_gap(some: list) -> None:
    expected = []
    for issuer in PATH:
        if issuer not in some:
            break
        expected.append(issuer)
    assert list(issuers_of(LEAF, some)) == expected


def test_a_self_signed_leaf_has_no_issuers() -> None:
    assert issuers_of(ROOT.certificate, [*PATH, *STRANGERS]) == ()


@pytest.mark.timeout(20)
def test_authorities_that_signed_each_other_end_the_walk() -> None:
    one, other = authority.create_root("One"), authority.create_root("Other")

    def cross(subject: Credential, issuer: Credential) -> x509.Certificate:
        times = (issuer.certificate.not_valid_before_utc, issuer.certificate.not_valid_after_utc)
        return x509.CertificateBuilder(
            issuer.certificate.subject, subject.certificate.subject, subject.key.public_key(), 1, *times
        ).sign(issuer.key, hashes.SHA256())

    one_by_other, other_by_one = cross(one, other), cross(other, one)
    leaf = authority.issue_device(one, "crossed").certificate
    assert issuers_of(leaf, [other_by_one, one_by_other]) == (one_by_other, other_by_one)
