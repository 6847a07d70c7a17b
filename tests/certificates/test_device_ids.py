"""Pins the rules for device ids (docs/protocol.md §1.2): what DPS refuses must not become a certificate."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.certificates import authority
from azureiot_tools.console import UserError

ALPHANUMERIC = string.ascii_letters + string.digits
ids = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(ALPHANUMERIC),
    st.text(ALPHANUMERIC + "-._:", max_size=62),
    st.sampled_from(ALPHANUMERIC + "-"),
)


@given(ids)
def test_every_id_within_the_rules_is_taken(device_id: str) -> None:
    authority.check_device_id(device_id)  # raises otherwise


@given(st.text(max_size=70))
def test_nothing_else_is(device_id: str) -> None:
    allowed = (
        0 < len(device_id) <= 64
        and set(device_id) <= set(ALPHANUMERIC + "-._:")
        and device_id[0] in ALPHANUMERIC
        and device_id[-1] in ALPHANUMERIC + "-"
    )
    if allowed:
        authority.check_device_id(device_id)
    else:
        with pytest.raises(UserError):
            authority.check_device_id(device_id)


@pytest.mark.parametrize(
    ("device_id", "words"),
    [
        ("", "cannot be empty"),
        ("x" * 65, "has 65 characters.*at most 64"),
        ("my device", "holds ' '"),
        ("gerät", "holds 'ä'"),
        ("a/../../b", "holds '/'"),
        ("a\n", r"holds '\\n'"),
        ("-device", "begins with '-'"),
        (".hidden", r"begins with '\.'"),
        ("device.", r"ends with '\.'"),
        ("device_", "ends with '_'"),
    ],
)
def test_each_rule_has_its_sentence(device_id: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        authority.check_device_id(device_id)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("device_id", ["a", "x" * 64, "Device-1", "a.b_c:d", "ends-", "0"])
def test_a_certificate_can_be_made_for_the_odd_ones(device_id: str, family) -> None:
    device = authority.issue_device(family.intermediate, device_id)
    assert device.certificate.subject.rfc4514_string() == f"CN={device_id}"
