"""`network` of an ESP32: a WLAN station among the access points of the weather.

It answers as ports/esp32/network_wlan.c does, also where that is unkind: it goes on trying by itself after a failure,
and connect() while it tries is refused until disconnect().
"""

import time

import hardware

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_CONNECT_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
AUTH_OPEN = 0
AUTH_WPA2_PSK = 3

_MAC = b"\x24\x0a\xc4\x00\x00\x01"
_ADDRESS = "192.0.2.10"  # a documentation address: the board in fact uses the host's sockets
_GATEWAY = "192.0.2.1"
_NO_ADDRESS = "0.0.0.0"
_hostname = "mpy-esp32"


class _Station:
    """What all WLAN(STA_IF) objects share."""

    def __init__(self):
        self.active = False
        self.wanted = None  # (ssid, key) after connect()
        self.since_ms = 0
        self.was_joined = False
        self.options = {"hostname": _hostname, "reconnects": -1, "pm": 1, "txpower": 20, "channel": 6}

    def status(self):
        if not self.active or self.wanted is None:
            return STAT_IDLE
        weather = hardware.weather()
        if time.ticks_diff(time.ticks_ms(), self.since_ms) < weather["join_ms"]:
            return STAT_CONNECTING
        ssid, key = self.wanted
        if ssid not in weather["access_points"]:
            return STAT_BEACON_TIMEOUT if self.was_joined else STAT_NO_AP_FOUND
        if weather["access_points"][ssid] != key:
            return weather["wrong_password_status"]
        if not weather["dhcp"]:
            return STAT_CONNECTING  # joined, and waiting for an address
        self.was_joined = True
        return STAT_GOT_IP


_station = _Station()


def _joined():
    """Whether the board is on the network; for the stand-ins of `socket` and `ntptime`."""
    return _station.status() == STAT_GOT_IP


class WLAN:
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, interface_id=STA_IF):
        if interface_id not in (STA_IF, AP_IF):
            raise ValueError("invalid WLAN interface identifier")
        self._is_station = interface_id == STA_IF
        self._access_point_active = False

    def active(self, is_active=None):
        if not self._is_station:
            if is_active is not None:
                self._access_point_active = bool(is_active)
            return self._access_point_active
        if is_active is not None:
            _station.active = bool(is_active)
            if not is_active:
                _station.wanted = None
        return _station.active

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._is_station:
            raise OSError("STA required")
        if not _station.active:
            raise OSError("Wifi Not Started")
        if _station.wanted is not None and _station.status() != STAT_GOT_IP:
            raise OSError("Wifi Internal State Error")
        _station.wanted = (ssid, key or "")
        _station.since_ms = time.ticks_ms()
        _station.was_joined = False

    def disconnect(self):
        if not _station.active:
            raise OSError("Wifi Not Started")
        _station.wanted = None

    def isconnected(self):
        return self._is_station and _joined()

    def status(self, param=None):
        if param is None:
            return _station.status() if self._is_station else None
        if param != "rssi":
            raise ValueError("unknown status param")
        if not self.isconnected():
            raise OSError("Wifi Not Connected")
        return hardware.weather()["rssi"]

    def scan(self):
        if not _station.active:
            raise OSError("STA must be active")
        weather = hardware.weather()
        return [
            (ssid.encode(), _MAC, 6, weather["rssi"], AUTH_WPA2_PSK if key else AUTH_OPEN, False)
            for ssid, key in weather["access_points"].items()
        ]

    def ifconfig(self, ip_mask_gateway_dns=None):
        if ip_mask_gateway_dns is None:
            if self.isconnected():
                return (_ADDRESS, "255.255.255.0", _GATEWAY, _GATEWAY)
            return (_NO_ADDRESS,) * 4

    def ipconfig(self, *args, **kwargs):
        if args == ("addr4",):
            return self.ifconfig()[:2]
        if args == ("gw4",):
            return self.ifconfig()[2]
        if args or kwargs.keys() - {"addr4", "gw4", "dhcp4"}:
            raise ValueError("unknown config param")

    def config(self, param=None, **kwargs):
        if param is None:
            _station.options.update(kwargs)
        elif param == "mac":
            return _MAC
        elif param in ("ssid", "essid"):
            return _station.wanted[0] if _station.wanted else ""
        elif param in _station.options:
            return _station.options[param]
        else:
            raise ValueError("unknown config param")


def hostname(name=None):
    global _hostname
    if name is None:
        return _hostname
    _hostname = name


def country(code=None):
    return "XX" if code is None else None
