"""Every way in which TLS can go wrong, end to end: one code for each, its cause named, and what to do about it said.

The rows are those of docs/micropython.md §1.3 and what networks and other servers add to them. Nothing may go out in
the clear, hang, or be taken for another fault; and every kind of certificate that Azure takes must come through.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

import pytest

from faults import identities
from faults.identities import HUB, ServerTls
from faults.server import CONNECT, PUBLISH, Item, Peer
from faults.trial import BY_HUB, RUNTIMES, SENDS, Case, Trial, call

SERVER_HELLO_TLS_1_1 = b"\x16\x03\x02\0\x2a\x02\0\0\x26\x03\x02" + bytes(33) + b"\xc0\x13\0"
UP_TO_TLS_1_3 = ServerTls(versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
TLS_1_3_ALONE = ServerTls(versions=(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3))
WELCOME = (Peer.handshake, CONNECT, Peer.acknowledge)
GOOD = (Peer.handshake, Peer.serve)


def bad(name: str, items: tuple[Item, ...], code: str, *sentence: Any, **more: Any) -> Case:
    """The server does this, and it is an error to the program. sentence: says, hint, retryable (Case's)."""
    return Case(name, (items,), code, *sentence, **more)


def good(name: str, **more: Any) -> Case:
    """A server that behaves, and a device that connects and sends."""
    return Case(name, (GOOD,), does=SENDS, **more)


def server(name: str, identity: Any, code: str, says: str, hint: str, noted: str, **more: Any) -> Case:
    """A server that shows this certificate; it sees the device's alert."""
    return bad(name, GOOD, code, says, hint, tls=ServerTls(identity), noted=noted, **more)


def alert(number: int) -> bytes:
    """A fatal alert in the clear, as a server refuses a ClientHello (RFC 5246 §7.2)."""
    return bytes((21, 3, 3, 0, 2, 2, number))


def half_a_handshake(peer: Peer) -> None:
    """Take the ClientHello; send the beginning of a ServerHello."""
    peer.pull()
    peer.sock.sendall(b"\x16\x03\x03\x00\x57\x02\x00")


def half_a_record(peer: Peer) -> None:
    record = peer.record(b"\x20\x02\x00\x00" * 100)
    peer.sock.sendall(record[: len(record) // 2])


def a_changed_record(peer: Peer) -> None:
    record = bytearray(peer.record(b"\x40\x02\x00\x01"))
    record[-1] ^= 1
    peer.sock.sendall(record)


def asked_for_the_hub(trial: Trial) -> None:
    assert trial.connections[0].sni == HUB


def took_the_deadline(trial: Trial) -> None:
    assert 2 <= trial.elapsed_s < 5


def came_again(trial: Trial) -> None:
    assert len(trial.connections) == 2
    assert [payload for _, payload in trial.messages(1)] == [b"one"]


SERVERS = [
    server(
        "a stranger's root", identities.server_of_a_stranger, "tls-untrusted", "certificate", "`roots`", "UNKNOWN_CA"
    ),
    server(
        "self-signed", partial(identities.self_signed, HUB), "tls-untrusted", "certificate", "`roots`", "UNKNOWN_CA"
    ),
    server(
        "its intermediate is missing",
        identities.server_without_its_intermediate,
        "tls-untrusted",
        "certificate",
        "`roots`",
        "UNKNOWN_CA",
    ),
    server(
        "another name",
        partial(identities.server_elsewhere, "x.example"),
        "tls-name",
        "match",
        "host name",
        "BAD_CERTIFICATE",
    ),
    server(
        "two labels under a wildcard",
        partial(identities.server_elsewhere, "*.example"),
        "tls-name",
        "match",
        "host name",
        "BAD_CERTIFICATE",
        device={**BY_HUB, "hub": "a.b.example"},
    ),
    server("expired", identities.server_of_last_year, "tls-expired", "expired", "clock", "CERTIFICATE_EXPIRED"),
    server("not yet valid", identities.server_of_tomorrow, "tls-clock", "valid", "NTP", "CERTIFICATE"),
    server(
        "not yet valid, like its root",
        identities.server_of_a_root_of_tomorrow,
        "tls-clock",
        "valid",
        "NTP",
        "CERTIFICATE",
        roots=lambda: identities.der(identities.root_of_tomorrow()),
    ),
    server(
        "a client's certificate",
        identities.server_with_a_clients_certificate,
        "tls-certificate",
        "certificate",
        "serverAuth",
        "UNSUPPORTED_CERTIFICATE",
    ),
    server(
        "a stranger's, expired, for another",
        identities.strange_server_of_last_year,
        "tls-untrusted",
        "certificate",
        "`roots`",
        "ALERT",
    ),
]
DEVICES = [
    bad(
        name,
        GOOD,
        "tls-alert",
        "alert",
        "this device's certificate",
        identity=identity,
        noted="CERTIFICATE_VERIFY_FAILED",
        **more,
    )
    for name, identity, more in (
        ("a device with a stranger's root", identities.device_of_a_stranger, {}),
        ("a self-signed device", partial(identities.self_signed, "dev-1"), {}),
        ("an expired device", identities.device_of_last_year, {}),
        ("a device without its intermediate", identities.device_without_its_intermediate, {}),
        # Here the refusal comes after the handshake, which is over for the client when it has sent its certificate.
        ("a device with a stranger's root, TLS 1.3", identities.device_of_a_stranger, {"tls": UP_TO_TLS_1_3}),
    )
]
NO_WAY = [
    bad("no root at all", GOOD, "tls-roots", "no certificate", "`roots`", roots=lambda: b""),
    bad(
        "no cipher in common",
        GOOD,
        "tls-alert",
        "alert",
        "ciphers",
        tls=ServerTls(ciphers="ECDHE-ECDSA-AES128-CCM8"),
        noted="NO_SHARED_CIPHER",
    ),
    good(
        "TLS 1.3 alone",
        tls=TLS_1_3_ALONE,
        on={
            "micropython": {
                "code": "tls-alert",
                "says": "alert",
                "hint": "TLS version",
                "noted": "UNSUPPORTED_PROTOCOL",
            }
        },
    ),
    bad("TLS 1.1", (Peer.pull, SERVER_HELLO_TLS_1_1), "tls-protocol", "protocol", "TLS 1.2"),
    *(bad(f"alert {number}", (alert(number),), "tls-alert", "", "certificate") for number in (40, 42, 49, 70, 80, 112)),
    bad("HTTP", (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",), "tls-protocol", "hub.example", "8883"),
    bad("SSH", (b"SSH-2.0-OpenSSH_9.2\r\n",), "tls-protocol", "hub.example", "8883"),
    bad("noise", (bytes(range(256)),), "tls-protocol", "hub.example", "8883"),
]
LOST = [
    *(
        bad(f"{how} {when}", (*items, end), code, "closed the connection", hint, True)
        for how, end in (("closed", Peer.close), ("reset", Peer.reset))
        for when, items, code, hint in (
            ("at the ClientHello", (Peer.pull,), "tls-closed", "certificate"),
            ("in the handshake", (half_a_handshake,), "tls-closed", "certificate"),
            ("after CONNECT", (Peer.handshake, CONNECT), "closed", "network"),
            ("in the middle of a record", (Peer.handshake, CONNECT, half_a_record), "closed", "network"),
        )
    ),
    # What a reset in these places swallows is a matter of chance.
    bad("closed at once", (Peer.close,), "tls-closed", "closed the connection", "certificate", True),
    bad("closed after the handshake", (Peer.handshake, Peer.close), "closed", "closed the connection", "network", True),
    *(
        Case(name, ((*WELCOME, PUBLISH, item), GOOD), does=SENDS, also=came_again, noted=noted, on=on)
        for name, item, noted, on in (
            ("a record that was changed on the way", a_changed_record, "MAC", {"micropython": {"noted": ""}}),
            ("an alert in the middle of a session", Peer.alert, "", {}),
        )
    ),
]
SILENT = [
    bad(
        f"silent {when}",
        items,
        "timeout",
        "hub.example",
        hint,
        True,
        does=(call("connect", timeout_s=2),),
        also=took_the_deadline,
    )
    for when, items, hint in (
        ("before the handshake", (Peer.stall,), "firewall"),
        ("in the handshake", (half_a_handshake,), "firewall"),
        ("after the handshake", (Peer.handshake,), "no answer came"),
    )
]
COMES_THROUGH = [
    *(
        good(f"a device with {key_type}, {chain} to show", identity=partial(identities.device, key_type, chain))
        for key_type, chain in (
            ("ec-p256", 1),
            ("ec-p256", 2),
            ("ec-p256", 3),
            ("ec-p384", 1),
            ("ec-p384", 3),
            ("rsa-2048", 1),
            ("rsa-2048", 3),
            ("rsa-3072", 1),
            ("rsa-4096", 1),
        )
    ),
    *(
        good(f"a server with {key_type}", tls=ServerTls(partial(identities.server, key_type)))
        for key_type in ("ec-p384", "rsa-2048", "rsa-4096")
    ),
    good("a server below an intermediate", tls=ServerTls(identities.server_below_an_intermediate)),
    good("a server up to TLS 1.3", tls=UP_TO_TLS_1_3),
    good("the right root is the second", roots=lambda: identities.der(identities.stranger(), identities.root())),
    good("one byte at a time", drip=True),
    good("the host's name is asked for", also=asked_for_the_hub),
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*SERVERS, *DEVICES, *NO_WAY], ids=str)
def test_a_handshake_that_fails(trial: Trial) -> None:
    trial.check()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", [*LOST, *SILENT], ids=str)
def test_a_connection_that_breaks(trial: Trial) -> None:
    trial.check()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", COMES_THROUGH, ids=str)
def test_what_comes_through(trial: Trial) -> None:
    trial.check()
