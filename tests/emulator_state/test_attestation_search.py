"""Pins docs/protocol.md §2.1 rule 7 where several certificates have an issuer's name: a right chain is found in them.

So it happens when a CA is renewed, cross-signed, or made anew under its name.
"""

from __future__ import annotations

import itertools
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from azureiot_tools.certificates.credential import Credential, key_to_pem
from azureiot_tools.emulator.attestation import INVALID_CERTIFICATE, NO_MATCH, Refusal, attest
from azureiot_tools.emulator.attestation import x509 as x509_attestation
from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, der, enroll_device, enroll_group, upload
from .forged import forge


def group_of(registry: Registry, *chain: Credential) -> str | None:
    return attest(registry, "d1", [der(one) for one in chain], NOW).group_id


def refusal(registry: Registry, *chain: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        attest(registry, "d1", chain, NOW)
    return caught.value


@pytest.fixture
def root() -> Credential:
    return forge(None, "Root", ca=True)


@pytest.fixture
def issuing(root: Credential) -> Credential:
    return forge(root, "Issuing", ca=True)


@pytest.fixture
def leaf(issuing: Credential) -> Credential:
    return forge(issuing, "d1")


def test_a_stranger_of_the_roots_name_above_a_verified_ca(
    registry: Registry, issuing: Credential, leaf: Credential
) -> None:
    upload(registry, "issuing", issuing)
    enroll_group(registry, "group", "issuing")
    stranger = forge(None, "Root", ca=True)
    assert group_of(registry, leaf, issuing, stranger) == "group"
    upload(registry, "another", stranger, verified=False)
    assert group_of(registry, leaf, issuing) == "group"


def test_of_two_uploaded_cas_of_one_name_the_one_that_signed(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    upload(registry, "a-new", forge(None, "Root", ca=True))
    upload(registry, "b-old", root)
    enroll_group(registry, "group", "b-old")
    assert group_of(registry, leaf, issuing) == "group"


def test_a_cross_signed_intermediate_in_any_order(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    other = forge(None, "Other", ca=True)
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    twin = forge(other, "Issuing", ca=True, key=issuing.key)
    for chain in itertools.permutations((issuing, twin, other)):
        assert group_of(registry, leaf, *chain) == "group"


@pytest.mark.parametrize("how", ["future", "expired", "no ca", "short path"])
def test_a_useless_twin_of_the_intermediate_does_no_harm(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential, how: str
) -> None:
    twin = {
        "future": lambda: forge(root, "Issuing", ca=True, key=issuing.key, starts=NOW + timedelta(hours=1)),
        "expired": lambda: forge(root, "Issuing", ca=True, key=issuing.key, ends=NOW - timedelta(minutes=1)),
        "no ca": lambda: forge(root, "Issuing", ca=False, key=issuing.key),
        "short path": lambda: forge(
            forge(root, "Between", ca=True, path_length=0), "Issuing", ca=True, key=issuing.key
        ),
    }[how]()
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    assert group_of(registry, leaf, twin, issuing) == "group"
    assert group_of(registry, leaf, issuing, twin) == "group"


def test_an_unverified_ca_with_a_group_does_not_hide_a_verified_one(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    """A renewal in both slots: the new certificate of the same key waits for its proof of possession."""
    upload(registry, "new", forge(None, "Root", ca=True, key=root.key, ends=NOW + timedelta(days=99)), verified=False)
    upload(registry, "old", root)
    enroll_group(registry, "group", "old", "new")
    assert group_of(registry, leaf, issuing) == "group"


def test_an_individual_enrollment_finds_its_verified_ca_too(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    upload(registry, "root", root)
    enroll_device(registry, "d1", der(leaf))
    twin = forge(forge(None, "Other", ca=True), "Issuing", ca=True, key=issuing.key)
    assert attest(registry, "d1", [der(leaf), der(twin), der(issuing)], NOW).enabled


def test_a_disabled_individual_enrollment_blocks_whatever_chain_there_is(
    registry: Registry, issuing: Credential, leaf: Credential
) -> None:
    enroll_device(registry, "d1", der(leaf), enabled=False)
    impostor = forge(None, "Issuing", ca=True)
    assert not attest(registry, "d1", [der(leaf), der(impostor)], NOW).enabled


def test_the_reason_is_that_of_the_path_that_led_furthest(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    upload(registry, "root", root, verified=False)
    enroll_group(registry, "group", "root")
    useless = forge(root, "Issuing", ca=False, key=issuing.key)
    assert "CA 'root' is uploaded but not verified" in refusal(registry, der(leaf), der(useless), der(issuing)).reason


def test_a_verified_ca_without_enrollment_is_named_rather_than_a_namesake_above(
    registry: Registry, issuing: Credential, leaf: Credential
) -> None:
    upload(registry, "issuing", issuing)
    refused = refusal(registry, der(leaf), der(forge(None, "Root", ca=True)))
    assert refused.message == NO_MATCH
    assert "azureiot service enroll group ID --ca issuing" in refused.reason


def test_another_encoding_of_the_issuers_name_is_said(registry: Registry, root: Credential) -> None:
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    printable = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root", _ASN1Type.PrintableString)])
    refused = refusal(registry, der(forge(root, "d1", issuer_name=printable)))
    assert refused.message == NO_MATCH
    assert "(uploaded as 'root') writes it in another encoding" in refused.reason


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_a_signature_with_an_old_hash_is_said(registry: Registry, tmp_path: Path, digest: str) -> None:
    """Made with openssl, as such certificates are."""
    root = forge(None, "Root", ca=True, key=rsa.generate_private_key(65537, 2048))
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    (tmp_path / "root.crt").write_bytes(der(root))
    (tmp_path / "root.key").write_bytes(key_to_pem(root.key))
    for arguments in (
        "req -new -newkey rsa:2048 -nodes -keyout d1.key -subj /CN=d1 -out d1.csr",
        f"x509 -req -{digest} -in d1.csr -CA root.crt -CAkey root.key -CAcreateserial -out d1.der -outform DER",
    ):
        subprocess.run(["openssl", *arguments.split()], cwd=tmp_path, check=True, capture_output=True)
    leaf = (tmp_path / "d1.der").read_bytes()
    with pytest.raises(Refusal, match=rf"not in a way that is accepted \({digest.upper()}\)"):
        attest(registry, "d1", [leaf], NOW + timedelta(hours=1))


def test_many_certificates_of_one_name_cost_little(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine CAs of two names and one key, which sign each other: more paths lead through them than can be walked."""
    one = forge(None, "One", ca=True)
    other = forge(one, "Other", ca=True, key=one.key)
    crowd = [forge(other, "One", ca=True, key=one.key) for _ in range(4)]
    crowd += [forge(one, "Other", ca=True, key=one.key) for _ in range(5)]
    checks = 0
    fault = Certificate.fault_as_issuer_of

    def counted(issuer: Certificate, lower: Certificate) -> str | None:
        nonlocal checks
        checks += 1
        return fault(issuer, lower)

    monkeypatch.setattr(Certificate, "fault_as_issuer_of", counted)
    refused = refusal(registry, der(forge(one, "d1")), *map(der, crowd))
    assert refused.message == INVALID_CERTIFICATE
    assert "too many certificates of the name" in refused.reason
    assert checks <= x509_attestation.MOST_SIGNATURE_CHECKS + 10  # and each at most once whether it is self-signed


def test_25_uploaded_cas_of_one_name_are_not_too_many(
    registry: Registry, root: Credential, issuing: Credential, leaf: Credential
) -> None:
    for number in range(24):
        upload(registry, f"a{number:02}", forge(None, "Root", ca=True))
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    assert group_of(registry, leaf, issuing) == "group"
