"""Pins docs/protocol.md §9.13: which certificates are in no device's chain, leaf or CA, whoever issued them."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from azureiot_tools.certificates.credential import Credential
from azureiot_tools.emulator.attestation import INVALID_CERTIFICATE, Refusal, attest
from azureiot_tools.emulator.registry import Registry

from .bench import NOW, der, enroll_device, enroll_group, upload
from .forged import forge


@pytest.fixture
def root(registry: Registry) -> Credential:
    root = forge(None, "Root", ca=True)
    upload(registry, "root", root)
    enroll_group(registry, "group", "root")
    return root


def reason(registry: Registry, *chain: Credential) -> str:
    with pytest.raises(Refusal) as caught:
        attest(registry, "d1", [der(one) for one in chain], NOW)
    assert (caught.value.message, caught.value.section) == (INVALID_CERTIFICATE, "docs/protocol.md §9.13")
    return caught.value.reason


UNFIT_EXTENSIONS = [
    (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "UnrecognizedExtension (1.2.3.4)"),
    (
        x509.NameConstraints([x509.DirectoryName(x509.Name([]))], None),
        "NameConstraints (2.5.29.30), which the emulator does not heed",
    ),
    (x509.PolicyConstraints(0, None), "PolicyConstraints (2.5.29.36)"),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), "an extended key usage without clientAuth"),
]


@pytest.mark.parametrize(("extension", "says"), UNFIT_EXTENSIONS)
def test_extensions(registry: Registry, root: Credential, extension: x509.ExtensionType, says: str) -> None:
    leaf = forge(root, "d1", critical=[extension])
    assert says in reason(registry, leaf)
    issuing = forge(root, "Issuing", ca=True, critical=[extension])
    said = reason(registry, forge(issuing, "d1"), issuing)
    assert says in said
    assert said.startswith("'CN=Issuing' ")


@pytest.mark.parametrize(
    "extension",
    [
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
        x509.SubjectAlternativeName([x509.DNSName("d1")]),
    ],
)
def test_extensions_that_do_no_harm(registry: Registry, root: Credential, extension: x509.ExtensionType) -> None:
    assert attest(registry, "d1", [der(forge(root, "d1", critical=[extension]))], NOW).group_id == "group"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (rsa.generate_private_key(65537, 1024), "an RSA key of only 1024 bits"),
        (ec.generate_private_key(ec.SECP256K1()), "on the curve secp256k1"),
        (dsa.generate_private_key(1024), "neither RSA nor EC"),
    ],
    ids=["rsa-1024", "secp256k1", "dsa"],
)
def test_keys(registry: Registry, root: Credential, key: Any, says: str) -> None:
    """docs/protocol.md §4.4. An unfit key is not even used to check a self-signed leaf."""
    assert says in reason(registry, forge(root, "d1", key=key))
    issuing = forge(root, "Issuing", ca=True, key=key)
    if not isinstance(key, dsa.DSAPrivateKey):
        assert says in reason(registry, forge(issuing, "d1"), issuing)
    leaf = forge(None, "d1", key=key)
    enroll_device(registry, "d1", der(leaf))
    assert says in reason(registry, leaf)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_curves_that_are_taken(registry: Registry, root: Credential, curve: type[ec.EllipticCurve]) -> None:
    leaf = forge(root, "d1", key=ec.generate_private_key(curve()))
    assert attest(registry, "d1", [der(leaf)], NOW).group_id == "group"
