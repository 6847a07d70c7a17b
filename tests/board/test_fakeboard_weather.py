"""Networks and time servers around the fake board, and how they change while it runs."""

from __future__ import annotations

import pytest
from mpremote.transport_serial import SerialTransport

from fakeboard import FakeBoard, Weather

from .conftest import Connect, MakeBoard

JOIN = """
import network, time
wlan = network.WLAN(network.STA_IF)
def join(ssid, key, patience_ms=1500):
    if not wlan.active(): wlan.active(True)
    wlan.disconnect()
    wlan.connect(ssid, key)
    start = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), start) < patience_ms:
        if wlan.status() != network.STAT_CONNECTING: break
        time.sleep_ms(10)
    return wlan.status()
"""
GOT_IP, CONNECTING, NO_AP, WRONG_PASSWORD, BEACON_TIMEOUT, IDLE = 1010, 1001, 201, 202, 200, 1000


@pytest.fixture
def board(make_board: MakeBoard) -> FakeBoard:
    return make_board(weather=Weather(access_points={"house": "swordfish", "cafe": ""}))


@pytest.fixture
def repl(board: FakeBoard, connect: Connect) -> SerialTransport:
    transport = connect(board.port)
    transport.enter_raw_repl()
    transport.exec(JOIN)
    return transport


@pytest.mark.parametrize(
    ("ssid", "key", "status"),
    [
        ("house", "swordfish", GOT_IP),
        ("cafe", "", GOT_IP),
        ("house", "herring", WRONG_PASSWORD),
        ("nowhere", "x", NO_AP),
    ],
)
def test_joining(repl: SerialTransport, ssid: str, key: str, status: int) -> None:
    assert repl.eval(f"join({ssid!r}, {key!r})") == status
    assert repl.eval("wlan.isconnected()") is (status == GOT_IP)
    assert repl.eval("wlan.ifconfig()[0] != '0.0.0.0'") is (status == GOT_IP)


def test_a_network_that_gives_no_address(board: FakeBoard, repl: SerialTransport) -> None:
    board.weather(dhcp=False)
    assert repl.eval("join('cafe', '', 300)") == CONNECTING
    board.weather(dhcp=True)
    assert repl.eval("wlan.status()") == GOT_IP, "the chip goes on by itself"


def test_a_network_that_goes_and_comes_back(board: FakeBoard, repl: SerialTransport) -> None:
    assert repl.eval("join('cafe', '')") == GOT_IP
    board.weather(access_points={})
    assert repl.eval("(wlan.isconnected(), wlan.status())") == (False, BEACON_TIMEOUT)
    board.weather(access_points={"cafe": ""})
    assert repl.eval("wlan.isconnected()") is True


def test_an_access_point_that_answers_a_wrong_password_otherwise(board: FakeBoard, repl: SerialTransport) -> None:
    board.weather(wrong_password_status=204)
    assert repl.eval("join('house', 'herring')") == 204


def test_wlan_is_as_unkind_as_the_real_one(repl: SerialTransport) -> None:
    assert repl.exec("try: wlan.connect('house', 'x')\nexcept OSError as e: print(e)") == b"Wifi Not Started\r\n"
    assert repl.eval("join('house', 'herring')") == WRONG_PASSWORD
    again = b"try: wlan.connect('house', 'swordfish')\nexcept OSError as e: print(e)"
    assert repl.exec(again.decode()) == b"Wifi Internal State Error\r\n"
    repl.exec("wlan.disconnect()")
    assert repl.eval("wlan.status()") == IDLE
    assert repl.eval("join('house', 'swordfish')") == GOT_IP
    assert repl.eval("sorted(found[0] for found in wlan.scan())") == [b"cafe", b"house"]
    assert repl.eval("wlan.status('rssi')") == -55


def test_names_resolve_only_on_a_network_and_only_those_of_the_weather(board: FakeBoard, repl: SerialTransport) -> None:
    """So no test reaches beyond this machine, and a program that forgot the Wi-Fi is found out."""
    repl.exec("""
import socket
def resolve(host):
    try:
        return len(socket.getaddrinfo(host, 8883, 0, socket.SOCK_STREAM)) > 0
    except OSError as error:
        return error.errno
""")
    assert repl.eval("resolve('127.0.0.1')") == -202
    repl.eval("join('cafe', '')")
    assert repl.eval("resolve('127.0.0.1')") is True
    assert repl.eval("resolve('localhost')") is True
    assert repl.eval("resolve('example.com')") == -202
    board.weather(hosts={"example.com": "127.0.0.1"})
    assert repl.eval("resolve('example.com')") is True


def test_time_servers_answer_or_keep_silent(board: FakeBoard, repl: SerialTransport) -> None:
    repl.exec("""
import ntptime
def ask(host):
    ntptime.host = host
    start = time.ticks_ms()
    try:
        ntptime.settime()
        return time.gmtime()[0]
    except OSError as error:
        return -error.errno, time.ticks_diff(time.ticks_ms(), start) >= 1000 * ntptime.timeout
""")
    assert repl.eval("ask('pool.ntp.org')") == (202, False), "not without a network"
    repl.eval("join('cafe', '')")
    board.weather(ntp=["time.example"])
    assert repl.eval("ask('pool.ntp.org')") == (-110, True)
    assert repl.eval("time.gmtime()[0]") == 2000
    assert repl.eval("ask('time.example') >= 2024") is True
    board.weather(ntp=False)
    assert repl.eval("ask('time.example')") == (-110, True)


def test_the_chips_own_heap_is_what_the_weather_says(board: FakeBoard, repl: SerialTransport) -> None:
    board.weather(idf_heap=[(1000, 500, 400, 300), (50, 40, 30, 20)])
    assert repl.eval("max(r[2] for r in __import__('esp32').idf_heap_info(4))") == 400


def test_what_the_weather_has_no_word_for_is_refused(board: FakeBoard) -> None:
    with pytest.raises(TypeError, match="rain"):
        board.weather(rain=True)
