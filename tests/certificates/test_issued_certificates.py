"""Pins what issued certificates say and that openssl accepts them: a wrong extension is refused in the field only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import common_name, issued_by, key_to_pem, to_pem
from azureiot_tools.console import UserError

from .support import Family

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def as_text(openssl: Callable[..., str], certificate: x509.Certificate) -> str:
    return openssl("x509", "-noout", "-text", stdin=to_pem([certificate]))


def test_openssl_builds_the_chain_of_a_device(family: Family, openssl: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(to_pem([family.root.certificate]))
    (tmp_path / "device").write_bytes(to_pem(family.device.certificates))
    said = openssl(
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-CAfile",
        tmp_path / "root",
        "-untrusted",
        tmp_path / "device",
        tmp_path / "device",
    )
    assert said.strip().endswith("OK")


def test_device_extensions(family: Family, openssl: Callable[..., str]) -> None:
    text = as_text(openssl, family.device.certificate)
    assert "Subject: CN = mydevice001" in text
    assert "CA:FALSE" in text
    assert "TLS Web Client Authentication" in text
    assert "TLS Web Server Authentication" not in text
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text
    assert "ASN1 OID: prime256v1" in text


def test_authority_extensions(family: Family, openssl: Callable[..., str]) -> None:
    root, intermediate = (as_text(openssl, one.certificate) for one in (family.root, family.intermediate))
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:1" in root
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0" in intermediate
    for text in (root, intermediate):
        assert "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n" in text


def test_key_identifiers_lead_from_leaf_to_root(family: Family) -> None:
    for below, above in ((family.device, family.intermediate), (family.intermediate, family.root)):
        extensions = below.certificate.extensions
        authority_key = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        subject_key = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert authority_key == subject_key


def test_chain_is_what_a_device_sends(family: Family) -> None:
    assert family.device.chain == (family.intermediate.certificate,)
    assert family.intermediate.chain == family.root.chain == ()
    assert authority.issue_device(family.root, "direct").chain == ()


def test_longer_chains_are_nearest_first() -> None:
    root = authority.create_root("Long root", path_length=2)
    upper = authority.create_intermediate(root, "Upper")
    lower = authority.create_intermediate(upper, "Lower")
    device = authority.issue_device(lower, "deep")
    assert [common_name(one) for one in device.chain] == ["Lower", "Upper"]


@pytest.mark.parametrize(
    ("key_type", "openssl_says"),
    [
        ("ec-p256", "prime256v1"),
        ("ec-p384", "secp384r1"),
        ("rsa-2048", "(2048 bit)"),
        ("rsa-3072", "(3072 bit)"),
        ("rsa-4096", "(4096 bit)"),
    ],
)
def test_key_types(family: Family, openssl: Callable[..., str], key_type: str, openssl_says: str) -> None:
    device = authority.issue_device(family.intermediate, "typed", key_type=key_type)
    assert openssl_says in as_text(openssl, device.certificate)
    assert "key is valid" in openssl("pkey", "-check", "-noout", stdin=key_to_pem(device.key)).lower()


def test_every_key_type_is_tested_and_in_the_help(azureiot: Callable[..., object]) -> None:
    assert set(authority.KEY_TYPES) == {"ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"}
    said = azureiot("device", "create", "--help")
    assert all(key_type in said.out for key_type in authority.KEY_TYPES)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("key_type", ["ec-p384", "rsa-2048"])
def test_an_authority_of_another_type_signs(key_type: str) -> None:
    root = authority.create_root("Other root", key_type=key_type)
    device = authority.issue_device(root, "signed")
    assert issued_by(device.certificate, root.certificate)


def test_serials_are_random_and_at_most_20_bytes(family: Family) -> None:
    serials = {authority.issue_device(family.intermediate, "one").certificate.serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(0 < serial < 1 << 159 for serial in serials)  # the top bit clear: 20 bytes with the sign


def test_validity_begins_a_little_earlier_for_slow_clocks() -> None:
    root = authority.create_root("R", now=NOW - timedelta(days=1))
    leaf = authority.issue_device(root, "d", days=10, now=NOW).certificate
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=10)


def test_a_leaf_lives_within_its_issuer() -> None:
    root = authority.create_root("R", days=30, now=NOW)
    leaf = authority.issue_device(root, "d", days=365, now=NOW - timedelta(minutes=3)).certificate
    assert leaf.not_valid_before_utc == root.certificate.not_valid_before_utc
    assert leaf.not_valid_after_utc == root.certificate.not_valid_after_utc


@pytest.mark.parametrize(("shift_days", "words"), [(31, "expired on 2026-07-01"), (-1, "valid only from 2026-06-01")])
def test_an_issuer_out_of_its_time_signs_nothing(shift_days: int, words: str) -> None:
    root = authority.create_root("R", days=30, now=NOW)
    with pytest.raises(UserError, match=words):
        authority.issue_device(root, "d", now=NOW + timedelta(days=shift_days))


def test_a_device_cannot_sign(family: Family) -> None:
    with pytest.raises(UserError, match='"mydevice001" is not an authority'):
        authority.issue_device(family.device, "below")


def test_an_intermediate_signs_no_further_authority(family: Family) -> None:
    with pytest.raises(UserError, match="path length 0"):
        authority.create_intermediate(family.intermediate, "Third level")


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_days_out_of_range(days: int) -> None:
    with pytest.raises(UserError, match=f"valid for {days} days"):
        authority.create_root("R", days=days)


@pytest.mark.parametrize("name", ["", "x" * 65, "ü" * 33, "line\nbreak"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UserError, match="cannot be a common name"):
        authority.create_root(name)


def test_unknown_key_type_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no key type 'ed25519'.*ec-p256"):
        authority.create_root("R", key_type="ed25519")
