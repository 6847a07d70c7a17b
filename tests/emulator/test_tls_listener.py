"""Pins the TLS side: any client certificate gets in, the chain comes whole, and a failed handshake is explained."""

import shutil
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from OpenSSL import SSL

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import to_pem
from azureiot_tools.emulator.mqtt.connection import Limits

from .mqtt_wire import PINGREQ, Wire, connect, dps_username, tls_context


def tls_event(bench, containing):
    event = bench.emulator.events.wait_for(lambda e: e.kind == "tls" and containing in e.text, timeout_s=5)
    assert event.section == "docs/protocol.md §4"
    return event


def plain(bench):
    return socket.create_connection(("127.0.0.1", bench.emulator.mqtt_port), timeout=10)


def only(context, version):
    context.minimum_version = context.maximum_version = version
    return context


# The name of a hub's device endpoint, where alone there is TLS 1.3 (docs/protocol.md §4.6).
DEVICE_ENDPOINT = "contoso.device.azure-devices.net"


@pytest.fixture
def contoso(start):
    with start(hubs=("contoso.azure-devices.net",), server_names=(DEVICE_ENDPOINT,)) as bench:
        yield bench


@pytest.mark.parametrize(
    ("name", "version"), [("localhost", ssl.TLSVersion.TLSv1_2), (DEVICE_ENDPOINT, ssl.TLSVersion.TLSv1_3)]
)
def test_the_whole_chain_arrives_leaf_first(contoso, name, version):
    """Without the intermediate DPS could not find the enrollment group."""
    bench = contoso
    context = only(tls_context(bench.emulator.ca_path, bench.certificates.device), version)
    for _ in range(2):  # the second handshake must not be a resumed one, which has no intermediates
        with Wire(bench.emulator.mqtt_port, context, name) as wire:
            assert wire.socket.version() == version.name.replace("_", ".")
            assert wire.socket.session_reused is False
            assert wire.open("mydevice001", dps_username("mydevice001")) == 0
            wire.send(b"\x82\x1d\0\5" + b"\0\x18$dps/registrations/res/#\1")
            assert wire.receive().type == 9
            assert "/res/202/" in wire.request("$dps/registrations/PUT/iotdps-register/?$rid=1")[0]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("localhost", "TLSv1.2"),
        ("127.0.0.1", "TLSv1.2"),
        ("contoso.azure-devices.net", "TLSv1.2"),
        (DEVICE_ENDPOINT, "TLSv1.3"),
        (DEVICE_ENDPOINT.upper(), "TLSv1.3"),
    ],
)
def test_tls_1_3_is_for_device_endpoints_alone(contoso, name, version):
    """Azure's DPS and classic endpoints have 1.2 only (docs/protocol.md §4.1): what needs 1.3 must fail here too."""
    context = tls_context(contoso.emulator.ca_path)
    with Wire(contoso.emulator.mqtt_port, context, name) as wire:
        assert wire.socket.version() == version


def test_a_device_endpoint_speaks_tls_1_2_too(contoso):
    context = only(tls_context(contoso.emulator.ca_path), ssl.TLSVersion.TLSv1_2)
    with Wire(contoso.emulator.mqtt_port, context, DEVICE_ENDPOINT) as wire:
        assert wire.socket.version() == "TLSv1.2"


def test_a_client_that_wants_tls_1_3_elsewhere(contoso):
    context = only(tls_context(contoso.emulator.ca_path), ssl.TLSVersion.TLSv1_3)
    with pytest.raises(ssl.SSLError):
        Wire(contoso.emulator.mqtt_port, context, "contoso.azure-devices.net")
    tls_event(contoso, "the client speaks neither TLS 1.2 nor")


def test_a_client_hello_may_come_byte_by_byte(contoso):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context(contoso.emulator.ca_path).wrap_bio(incoming, outgoing, server_hostname=DEVICE_ENDPOINT)
    with plain(contoso) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while client.version() != "TLSv1.3":
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            for byte in outgoing.read():
                raw.sendall(bytes((byte,)))
            incoming.write(raw.recv(100_000))
    assert client.version() == "TLSv1.3"


def test_no_session_ticket_is_given_out(bench):
    context = only(tls_context(bench.emulator.ca_path), ssl.TLSVersion.TLSv1_2)
    with Wire(bench.emulator.mqtt_port, context) as wire:
        assert wire.socket.session is None or not wire.socket.session.has_ticket


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to judge by")
def test_openssl_finds_the_server_in_order_and_is_asked_for_a_certificate(bench):
    result = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{bench.emulator.mqtt_port}",
            "-servername",
            "localhost",
            "-verify_hostname",
            "localhost",
            "-CAfile",
            str(bench.emulator.ca_path),
            "-verify_return_error",
        ],
        input=b"",
        capture_output=True,
        timeout=30,
    )
    output = result.stdout.decode()
    assert "Verify return code: 0 (ok)" in output
    assert "Acceptable client certificate CA names" in output or "No client certificate CA names sent" in output


def test_the_server_name_is_told(bench):
    with bench.wire() as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
    bench.reason("connected", "TLSv1.2, server name localhost, keep-alive 60 s")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_server_certificate_is_for_these_names(bench, name):
    with Wire(bench.emulator.mqtt_port, tls_context(bench.emulator.ca_path), name):
        pass


def test_further_names_can_be_given(start):
    names = {"server_names": ("board.example", "192.0.2.7"), "hubs": ("contoso.azure-devices.net",)}
    with start(**names) as bench:
        for name in ("board.example", "192.0.2.7", "contoso.azure-devices.net", "localhost"):
            with Wire(bench.emulator.mqtt_port, tls_context(bench.emulator.ca_path), name):
                pass


def test_a_client_that_does_not_trust_the_server(bench, tmp_path, certificates):
    (tmp_path / "other.crt").write_bytes(to_pem([certificates.root.certificate]))
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(bench.emulator.mqtt_port, tls_context(tmp_path / "other.crt"))
    tls_event(bench, "the client does not trust this server's certificate")


def test_a_client_that_expects_another_name(bench):
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(bench.emulator.mqtt_port, tls_context(bench.emulator.ca_path), "elsewhere.example")
    tls_event(bench, "it is for another name")


def test_an_expired_server_certificate_can_be_shown(start, tmp_path):
    then = datetime.now(UTC) - timedelta(days=100)
    ca = authority.create_root("Server CA", now=then)
    (tmp_path / "ca.crt").write_bytes(to_pem([ca.certificate]))
    with start(server=authority.issue_server(ca, ["localhost"], days=10, now=then)) as bench:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            Wire(bench.emulator.mqtt_port, tls_context(tmp_path / "ca.crt"))
        tls_event(bench, "found this server's certificate expired")


def test_mqtt_without_tls(bench):
    with plain(bench) as raw:
        raw.sendall(connect("mydevice001", dps_username("mydevice001")))
        while raw.recv(100):
            pass
    tls_event(bench, "what came is not TLS")


def test_http_on_the_tls_port(bench):
    with plain(bench) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while raw.recv(100):
            pass
    tls_event(bench, "plain HTTP came to the TLS port")


def test_tls_before_1_2(bench):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    with plain(bench) as raw:
        raw.settimeout(None)
        client = SSL.Connection(context, raw)
        client.set_connect_state()
        with pytest.raises(SSL.Error):
            client.do_handshake()
    tls_event(bench, "the client speaks neither TLS 1.2 nor")


SUITES = [
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA256", "AES256-SHA384")
]


@pytest.mark.parametrize("cipher", SUITES)
def test_azures_cipher_suites_are_offered(bench, cipher):
    context = only(tls_context(bench.emulator.ca_path), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    with Wire(bench.emulator.mqtt_port, context) as wire:
        assert wire.socket.cipher()[0] == cipher


def test_only_a_client_of_ecdsa_alone_is_shown_the_ecc_certificate(bench):
    """docs/protocol.md §4.2: a device must be able to check what Azure would show it."""
    for ciphers, key in (
        (":".join(SUITES), RSAPublicKey),
        (":".join(reversed(SUITES)), RSAPublicKey),
        (":".join(SUITES[:4]), EllipticCurvePublicKey),
    ):
        context = only(tls_context(bench.emulator.ca_path), ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(ciphers)
        with Wire(bench.emulator.mqtt_port, context) as wire:
            certificate = x509.load_der_x509_certificate(wire.socket.getpeercert(binary_form=True))
            assert isinstance(certificate.public_key(), key)


def test_the_tls_layer_knows_no_mqtt():
    """HTTPS and WebSocket will stand on it too."""
    code = "import sys, azureiot_tools.emulator.tls; print([name for name in sys.modules if '.mqtt' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-SHA256"])
def test_no_others_are(bench, cipher):
    context = only(tls_context(bench.emulator.ca_path), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError):
        Wire(bench.emulator.mqtt_port, context)
    tls_event(bench, "no cipher suite in common")


def test_a_client_that_goes_in_the_middle_of_the_handshake(bench):
    with plain(bench) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01")
    tls_event(bench, "in the middle of the handshake")


def test_a_port_scan_is_no_news(bench):
    with plain(bench):
        pass
    with bench.wire() as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
    bench.reason("connected", "to DPS")
    assert not any(event.kind == "tls" for event in bench.emulator.events.recent())


def test_a_handshake_that_does_not_come_is_not_waited_for(start):
    with start(limits=Limits(handshake_s=0.1)) as bench, plain(bench) as raw:
        assert raw.recv(1) == b""
        tls_event(bench, "the TLS handshake was not done within 0.1 s")


def test_connections_beyond_the_limit_are_closed(start):
    with start(limits=Limits(connections=2)) as bench, bench.wire() as first, bench.wire() as second:
        with plain(bench) as third:
            assert third.recv(1) == b""
        tls_event(bench, "there are 2 connections already")
        for wire, name in ((first, "a"), (second, "b")):
            assert wire.open(name, dps_username(name)) == 0
        first.socket.close()
        bench.reason("disconnected", "")
        with bench.wire() as fourth:
            assert fourth.open("c", dps_username("c")) == 0


def test_close_notify_ends_a_connection(bench):
    with bench.wire() as wire:
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        wire.socket.unwrap()
    bench.reason("disconnected", "without DISCONNECT")


def test_answers_follow_however_the_tls_records_are_cut(bench):
    with bench.wire() as wire:
        for byte in connect("mydevice001", dps_username("mydevice001")) + PINGREQ:
            wire.send(bytes((byte,)))
        assert [wire.receive().type for _ in range(2)] == [2, 13]


def test_the_server_key_is_readable_by_its_owner_only(bench):
    directory = bench.emulator.ca_path.parent
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.glob("*.key")} == {
        "emulator-ca.key": 0o600,
        "server.key": 0o600,
        "server-rsa.key": 0o600,
    }
