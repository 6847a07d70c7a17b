"""Wi-Fi: the first network that works is joined; for each of the others the log says in words why not."""

import errno
import sys

import app
import azureiot.runtime as runtime
from fakes import raises


class Network:
    """Stands for the module `network`, with an ESP32's numbers."""

    STA_IF = 0
    STAT_IDLE = 1000
    STAT_CONNECTING = 1001
    STAT_GOT_IP = 1010
    STAT_NO_AP_FOUND = 201
    STAT_WRONG_PASSWORD = 202
    STAT_ASSOC_FAIL = 203
    STAT_HANDSHAKE_TIMEOUT = 204


class Wlan:
    """air: ssid → the statuses that joining it goes through; the last one stays."""

    def __init__(self, air):
        self.air = air
        self.calls = []
        self.statuses = [Network.STAT_IDLE]

    def active(self, on):
        self.calls.append(("active", on))

    def config(self, **options):
        self.calls.append(("config", options))

    def connect(self, ssid, password=None):
        self.calls.append(("connect", ssid, password))
        self.statuses = list(self.air.get(ssid, [Network.STAT_CONNECTING, Network.STAT_NO_AP_FOUND]))

    def disconnect(self):
        self.calls.append(("disconnect",))

    def status(self):
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def isconnected(self):
        return self.statuses[0] == Network.STAT_GOT_IP

    def ifconfig(self):
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")


def join(wlan, networks, options=None):
    """(what wifi.connect logged, the milliseconds it slept)"""
    sys.modules["network"] = Network
    logged, slept = [], []
    real, app.log = app.log, logged.append
    try:
        settings = {"wifi": networks, "wifi_options": options or {}}
        runtime.once("app.wifi").connect(wlan, settings, slept.append)
    finally:
        app.log = real
        del sys.modules["network"]
    return logged, slept


GOOD = [Network.STAT_CONNECTING, Network.STAT_CONNECTING, Network.STAT_GOT_IP]
HOME = {"ssid": "home", "password": "correct horse"}
OFFICE = {"ssid": "office", "password": "battery staple"}
CAFE = {"ssid": "cafe"}


def test_the_first_network_that_works_is_joined():
    wlan = Wlan({"office": GOOD})
    logged, _ = join(wlan, [HOME, OFFICE, CAFE])
    assert logged == ["Wi-Fi office, address 10.0.0.7"]
    assert [call[1] for call in wlan.calls if call[0] == "connect"] == ["home", "office"]


def test_an_open_network_is_joined_without_a_password():
    wlan = Wlan({"cafe": GOOD})
    join(wlan, [CAFE])
    assert ("connect", "cafe", None) in wlan.calls


def test_the_radio_starts_anew_and_is_told_what_the_board_needs():
    wlan = Wlan({"home": GOOD})
    join(wlan, [HOME], {"reconnects": 2})
    assert wlan.calls[:3] == [("active", False), ("active", True), ("config", {"reconnects": 2})]


def test_each_reason_is_said_in_words_and_no_password_is_shown():
    wlan = Wlan({"home": [Network.STAT_CONNECTING, Network.STAT_WRONG_PASSWORD], "cafe": [Network.STAT_CONNECTING]})
    error = raises(lambda: join(wlan, [HOME, OFFICE, CAFE]), "wifi")
    assert error.retryable
    reasons = error.message[len("no Wi-Fi (") : -1].split("; ")
    assert reasons[:2] == ["home: wrong password", "office: no such network"], error.message
    assert reasons[2].startswith("cafe: no address within 20 s"), error.message
    assert "horse" not in str(error)


def test_a_handshake_that_times_out_is_a_wrong_password():
    for status in (15, Network.STAT_HANDSHAKE_TIMEOUT):
        error = raises(lambda status=status: join(Wlan({"home": [status]}), [HOME]), "wifi")
        assert "wrong password" in error.message


def test_an_unknown_status_is_given_as_a_number():
    error = raises(lambda: join(Wlan({"home": [-1]}), [HOME]), "wifi")
    assert "failed with status -1" in error.message


def test_waiting_is_bounded_and_in_short_steps():
    slept = []
    sys.modules["network"] = Network
    try:
        wlan = Wlan({"cafe": [Network.STAT_CONNECTING]})
        wifi = runtime.once("app.wifi")
        raises(lambda: wifi.connect(wlan, {"wifi": [CAFE], "wifi_options": {}}, slept.append), "wifi")
    finally:
        del sys.modules["network"]
    assert sum(slept) == 20000
    assert max(slept) <= 250


def test_a_radio_that_refuses_is_reported_not_raised():
    class Broken(Wlan):
        def connect(self, ssid, password=None):
            raise OSError(errno.EIO)

    assert "the radio says" in raises(lambda: join(Broken({}), [HOME]), "wifi").message

    class Dead(Wlan):
        def active(self, on):
            raise OSError(errno.EIO)

    assert "does not start" in raises(lambda: join(Dead({}), [HOME]), "wifi").message
