"""Pins docs/protocol.md §1.6 and §2.1 for symmetric keys: which enrollment applies, and why a token is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import pytest

from azureiot_tools.emulator.attestation import Attested, Refusal, attest
from azureiot_tools.emulator.records import EnrollmentGroup, IndividualEnrollment
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import SasRules

from .bench import NOW, Pki, der, enroll_device, enroll_group, upload

PRIMARY, SECONDARY, GROUP_KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"p", b"s", b"g", b"o"))
NOW_S = int(NOW.timestamp())


def signature(key: str, text: str) -> bytes:
    return hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()


def of_group(key: str, registration_id: str) -> str:
    return base64.b64encode(signature(key, registration_id)).decode()


def token(resource: str, key: str, expires_s: int = NOW_S + 60, tail: str = "") -> bytes:
    sr = quote(resource, safe="")
    sig = quote(base64.b64encode(signature(key, f"{sr}\n{expires_s}")).decode(), safe="")
    return f"SharedAccessSignature sr={sr}&sig={sig}&se={expires_s}{tail}".encode()


def of(registration_id: str, key: str, expires_s: int = NOW_S + 60, tail: str = "") -> bytes:
    return token(f"0ne1/registrations/{registration_id}", key, expires_s, tail)


def keyed(registry: Registry, id: str = "d1", **fields: Any) -> None:
    given: dict[str, Any] = {"device_id": None, "enabled": True, "keys": (PRIMARY, SECONDARY)} | fields
    registry.put_enrollment(
        IndividualEnrollment(registration_id=id, certificates=(), hubs=(), created=NOW, updated=NOW, **given)
    )


def keyed_group(registry: Registry, id: str = "keys", *keys: str, enabled: bool = True) -> None:
    registry.put_group(EnrollmentGroup(id, (), (), enabled, (), NOW, NOW, keys=keys or (GROUP_KEY,)))


def judge(
    registry: Registry, id: str, password: bytes, chain: tuple[bytes, ...] = (), rules: SasRules | None = None
) -> Attested:
    return attest(registry, id, chain, NOW, password=password, id_scope="0ne1", rules=rules)


def refusal(registry: Registry, id: str, password: bytes, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        judge(registry, id, password, **more)
    assert (caught.value.status, caught.value.message) == (401, "Unauthorized")
    assert not any(key in caught.value.reason for key in (PRIMARY, SECONDARY, GROUP_KEY, OTHER))
    assert "sig" not in caught.value.reason.replace("sign", "")
    return caught.value


def reason(registry: Registry, id: str, password: bytes, **more: Any) -> str:
    refused = refusal(registry, id, password, **more)
    assert (refused.error_code, refused.section) == (401000, "docs/protocol.md §1.6")
    return refused.reason


@pytest.mark.parametrize("key", [PRIMARY, SECONDARY])
def test_either_key_of_an_individual_enrollment(registry: Registry, key: str) -> None:
    keyed(registry, device_id="Pump-7")
    attested = judge(registry, "D1", of("D1", key))
    assert (attested.enabled, attested.group_id) == (True, None)
    assert (attested.registration_id, attested.device_id) == ("d1", "Pump-7")
    assert (attested.keys, attested.leaf_sha1, attested.leaf_sha256) == ((PRIMARY, SECONDARY), "", "")


def test_another_key_is_refused(registry: Registry) -> None:
    keyed(registry)
    assert "signed with neither key of the individual enrollment 'd1'" in reason(registry, "d1", of("d1", OTHER))


def test_no_token(registry: Registry) -> None:
    keyed(registry)
    assert "sent no SAS token" in reason(registry, "d1", b"")


def test_a_certificate_does_not_help_a_device_with_keys(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    keyed(registry, "mydevice001")
    chain = (der(pki.device), der(pki.intermediate))
    assert "sent no SAS token" in reason(registry, "mydevice001", b"", chain=chain)
    assert judge(registry, "mydevice001", of("mydevice001", PRIMARY), chain).keys


def test_a_token_does_not_help_a_device_with_a_certificate(registry: Registry, pki: Pki) -> None:
    enroll_device(registry, "mydevice001", der(pki.device))
    keyed_group(registry)
    password = of("mydevice001", of_group(GROUP_KEY, "mydevice001"))
    assert "its individual enrollment is by certificate" in refusal(registry, "mydevice001", password).reason


def test_rule_4_a_disabled_one_blocks_whatever_is_presented(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    keyed(registry, "mydevice001", enabled=False)
    assert not judge(registry, "mydevice001", b"", (der(pki.device), der(pki.intermediate))).enabled
    assert not judge(registry, "mydevice001", of("mydevice001", PRIMARY)).enabled
    assert "neither key" in reason(registry, "mydevice001", of("mydevice001", OTHER)), "a stranger is told nothing"
    assert "no SAS token" in reason(registry, "mydevice001", b"")
    registry.delete_enrollment("mydevice001")
    assert judge(registry, "mydevice001", b"", (der(pki.device), der(pki.intermediate))).group_id == "group"


def test_rule_8_the_group_is_found_by_its_key(registry: Registry) -> None:
    keyed_group(registry, "a", OTHER)
    keyed_group(registry, "b", PRIMARY, GROUP_KEY)
    key = of_group(GROUP_KEY, "d1")
    attested = judge(registry, "d1", of("d1", key))
    assert (attested.group_id, attested.registration_id, attested.device_id) == ("b", "d1", "d1")
    assert attested.keys == (of_group(PRIMARY, "d1"), key)


def test_the_individual_enrollment_comes_before_the_group(registry: Registry) -> None:
    keyed_group(registry)
    keyed(registry)
    assert "neither key" in reason(registry, "d1", of("d1", of_group(GROUP_KEY, "d1")))


def test_a_disabled_group_is_an_answer(registry: Registry) -> None:
    keyed_group(registry, enabled=False)
    attested = judge(registry, "d1", of("d1", of_group(GROUP_KEY, "d1")))
    assert (attested.enabled, attested.group_id) == (False, "keys")


def test_the_groups_own_key_is_never_accepted(registry: Registry) -> None:
    keyed_group(registry)
    says = reason(registry, "d1", of("d1", GROUP_KEY))
    assert "the key of group 'keys' itself" in says
    assert "base64(HMAC-SHA256(group key, registration id))" in says


def test_no_group_has_the_key(registry: Registry) -> None:
    assert "there is no enrollment group with symmetric keys" in reason(registry, "d1", of("d1", OTHER))
    keyed_group(registry)
    assert "the device key of no group (keys)" in reason(registry, "d1", of("d1", of_group(OTHER, "d1")))


def test_an_x509_group_is_not_tried_with_a_token(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    assert "no enrollment group with symmetric keys" in reason(registry, "d1", of("d1", OTHER))


def test_the_id_counts_for_the_derivation_as_it_is_spelled(registry: Registry) -> None:
    """§9.6 leaves open what DPS does; the other reading is one option away."""
    keyed_group(registry)
    as_spelled, lower = (of("Pump-7", of_group(GROUP_KEY, id)) for id in ("Pump-7", "pump-7"))
    assert judge(registry, "Pump-7", as_spelled).enabled
    assert "counts as it is spelled" in reason(registry, "Pump-7", lower)
    other = SasRules(lower_case_ids=True)
    assert judge(registry, "Pump-7", lower, rules=other).keys == (of_group(GROUP_KEY, "pump-7"),)
    assert reason(registry, "Pump-7", as_spelled, rules=other)


@pytest.mark.parametrize("tail", ["", "&skn=registration", "&skn="])
def test_skn_may_be_left_out(registry: Registry, tail: str) -> None:
    keyed(registry)
    assert judge(registry, "d1", of("d1", PRIMARY, tail=tail)).enabled


@pytest.mark.parametrize(
    ("password", "says"),
    [
        (of("d1", PRIMARY, tail="&skn=device"), "key name (skn) is 'device', not 'registration'"),
        (of("d2", PRIMARY), "is for '0ne1/registrations/d2', not for '0ne1/registrations/d1'"),
        (token("0ne2/registrations/d1", PRIMARY), "is for '0ne2/registrations/d1'"),
        (token("0ne1/registrations", PRIMARY), "is for '0ne1/registrations'"),
        (token("hub/devices/d1", PRIMARY), "is for 'hub/devices/d1'"),
        (of("d1", PRIMARY, NOW_S - 301), "expired at"),
        (b"secret", "is no SAS token"),
    ],
)
def test_a_token_that_is_not_for_this_is_refused(registry: Registry, password: bytes, says: str) -> None:
    keyed(registry)
    assert says in reason(registry, "d1", password)


def test_clocks_may_differ_by_five_minutes(registry: Registry) -> None:
    keyed(registry)
    assert judge(registry, "d1", of("d1", PRIMARY, NOW_S - 300)).enabled
    assert "expired" in reason(registry, "d1", of("d1", PRIMARY, NOW_S - 1), rules=SasRules(skew_s=0))


def test_a_password_beside_a_certificate_does_not_matter_unless_it_is_a_token(registry: Registry, pki: Pki) -> None:
    upload(registry, "root", pki.root)
    enroll_group(registry, "group", "root")
    keyed_group(registry)
    chain = (der(pki.device), der(pki.intermediate))
    assert judge(registry, "mydevice001", b"whatever", chain).group_id == "group"
    key = of_group(GROUP_KEY, "mydevice001")
    assert judge(registry, "mydevice001", of("mydevice001", key), chain).group_id == "keys"
