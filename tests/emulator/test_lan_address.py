"""Pins which address `azureiot emulator --lan` takes: this machine's own, found without a packet, or one sentence."""

import errno
import os
import socket

import pytest

from azureiot_tools import cli
from azureiot_tools.console import UserError
from azureiot_tools.emulator import lan


class Route:
    """Stands in for a datagram socket: what the system would answer about the way to somewhere."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, _family, kind):
        assert kind == socket.SOCK_DGRAM, "a stream's connect would send"
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def connect(self, address):
        self.asked = address
        if isinstance(self.answer, int):
            raise OSError(self.answer, os.strerror(self.answer))

    def getsockname(self):
        return self.answer, 40000

    def send(self, *_):
        raise AssertionError("a packet is sent")

    sendto = sendmsg = sendall = send


@pytest.fixture
def route(monkeypatch):
    def say(answer):
        fake = Route(answer)
        monkeypatch.setattr(lan.socket, "socket", fake)
        return fake

    return say


def test_it_is_the_address_that_the_way_out_starts_at(route):
    fake = route("192.168.1.20")
    assert lan.find() == "192.168.1.20"
    assert fake.asked[0] == "192.0.2.1", "an address for documentation (RFC 5737), so nobody's"


def test_without_a_stand_in_it_is_an_address_of_this_machine():
    try:
        found = lan.find()
    except UserError:
        pytest.skip("this machine has no network")
    assert lan.check(found) == found
    assert not found.startswith("127.")


@pytest.mark.parametrize("answer", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, "127.0.0.1", "0.0.0.0"])
def test_no_network_is_one_sentence_and_how_to_go_on(route, answer):
    route(answer)
    with pytest.raises(UserError, match=r"^No network is found on which boards could reach this machine") as refused:
        lan.find()
    assert "--lan 192.168.1.20" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.77", "is not an address of this machine"),
        ("localhost", "is not an IPv4 address"),
        ("192.168.1", "is not an IPv4 address"),
        ("192.168.1.20:8883", "is not an IPv4 address"),
        ("::1", "is not an IPv4 address"),
        ("fe80::1%eth0", "is not an IPv4 address"),
        ("0.0.0.0", "is not one machine's address"),
        ("224.0.0.1", "is not one machine's address"),
        ("255.255.255.255", "is not one machine's address"),
    ],
)
def test_an_address_that_cannot_be_is_one_sentence_of_the_command(text, said, capsys, tmp_path):
    data = tmp_path / "data"
    assert cli.main(["emulator", "--lan", text, "--data", str(data)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"azureiot: {text} {said}. Give the address that this machine has")
    assert err.count("\n") == 1
    assert not data.exists()


def test_host_and_lan_are_not_given_together(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["emulator", "--host", "0.0.0.0", "--lan"])
    assert stopped.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("desk", ("desk", "desk.local")),
        ("desk.lan.example", ("desk.lan.example", "desk.local")),
        ("Desk.local", ("Desk.local", "Desk.local")),
        ("schreib tisch", ()),
        ("büro", ()),
        ("-desk", ()),
        ("", ()),
        ("a" * 64, ()),
    ],
)
def test_the_names_of_the_machine_are_those_that_a_certificate_can_have(monkeypatch, name, names):
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert lan.machine_names() == names


def test_a_free_port_is_free_on_every_address():
    port = lan.free_port()
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as listener:
            listener.bind((address, port))
