"""Pins server certificates by handshakes: a client that checks must accept ours, and only under their names."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, key_to_pem, to_pem
from azureiot_tools.console import UserError

from .support import Family


def handshake(server: Credential, root: Credential, name: str, directory: Path) -> None:
    """A TLS handshake in memory, judged by CPython's client."""
    pair = directory / "server.pem"
    pair.write_bytes(key_to_pem(server.key) + to_pem(server.certificates))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pair)
    client_context = ssl.create_default_context(cadata=to_pem([root.certificate]).decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client, server_context.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return
    pytest.fail("the handshake did not end")


@pytest.mark.parametrize("name", ["localhost", "device.local", "a.example.net", "127.0.0.1", "::1"])
@pytest.mark.parametrize("issuer", ["root", "intermediate"])
def test_clients_accept_every_name_in_it(family: Family, issuer: str, name: str, tmp_path: Path) -> None:
    server = authority.issue_server(
        getattr(family, issuer), ["localhost", "device.local", "*.example.net"], ["127.0.0.1", "::1"]
    )
    handshake(server, family.root, name, tmp_path)


def test_clients_refuse_other_names_and_other_roots(family: Family, tmp_path: Path) -> None:
    server = authority.issue_server(family.root, ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, family.root, "elsewhere", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
        handshake(server, authority.create_root("Another root"), "localhost", tmp_path)


def test_a_device_certificate_is_no_server(family: Family, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        handshake(family.device, family.root, "mydevice001", tmp_path)


@pytest.mark.parametrize(
    ("names", "addresses", "words"),
    [
        ([], [], "at least one DNS name"),
        (["two words"], [], "'two words' is not a DNS name"),
        ([""], [], "'' is not a DNS name"),
        (["münchen.example"], [], "is not a DNS name"),
        (["localhost"], ["127.0.0.256"], "'127.0.0.256' does not appear to be an IPv4"),
    ],
)
def test_impossible_names(family: Family, names: Sequence[str], addresses: Sequence[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        authority.issue_server(family.root, names, addresses)


def test_a_name_too_long_for_a_common_name_is_still_served(family: Family, tmp_path: Path) -> None:
    name = f"{'a' * 40}.{'b' * 40}.example"
    handshake(authority.issue_server(family.root, [name]), family.root, name, tmp_path)
