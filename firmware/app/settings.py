"""settings.json: reads it, says clearly what is wrong with it, fills in what may be left out."""

import json
import os

from azureiot.errors import AzureIoTError
from azureiot.runtime import const

_NUMBER = (int, float)
# Name, type, default. Without a default it is required.
_NAMES = (
    ("id_scope", str, None),
    ("registration_id", str, None),
    ("cert", str, "certs/device.crt.der"),
    ("key", str, "certs/device.key.der"),
    ("roots", str, "certs/roots"),
    ("wifi", list, None),
    ("ntp", list, ["pool.ntp.org", "time.google.com", "time.cloudflare.com"]),
    ("interval_s", _NUMBER, 60),
)
_OPTIONAL = (
    ("provisioning_host", str),
    ("port", int),
    ("led", (int, str)),  # a pin; what is not given is the board's own
    ("watchdog_s", int),  # not given: no watchdog
)
_LONGEST_INTERVAL_S = const(86400)  # MicroPython's ticks wrap after 12 days


def load(path: str = "settings.json") -> dict:
    """The settings in the file; the paths in them are relative to the current directory, the slot.

    Raises AzureIoTError ("settings") with one sentence.
    """
    try:
        with open(path) as file:
            text = file.read()
    except (OSError, UnicodeError) as error:
        raise _wrong("it cannot be read (%s)" % error)
    return parse(text)


def parse(text: str) -> dict:
    """The settings in `text`, checked and complete. Raises AzureIoTError ("settings")."""
    try:
        found = json.loads(text)
    except ValueError:
        raise _wrong("it is not JSON")
    if not isinstance(found, dict) or not found:  # before 1.26 half an object is read as an empty one
        raise _wrong("it is not a JSON object")
    for name, kind, default in _NAMES:
        if found.get(name) is None:
            if default is None:
                raise _wrong("%s is missing" % name)
            found[name] = default
        _check(found, name, kind)
    for name, kind in _OPTIONAL:
        if found.get(name) is not None:
            _check(found, name, kind)
    if not 0 < found["interval_s"] <= _LONGEST_INTERVAL_S:
        raise _wrong("interval_s must be more than 0 and at most %d" % _LONGEST_INTERVAL_S)
    _check_networks(found["wifi"])
    for name in ("cert", "key", "roots"):
        try:
            os.stat(found[name])
        except OSError:
            raise _wrong("%s: there is no %s" % (name, found[name]))
    return found


def _check(found, name, kind):
    if not isinstance(found[name], kind) or isinstance(found[name], bool) or found[name] in ("", []):
        if kind is str:
            words = "a text"
        elif kind is list:
            words = "a list with at least one entry"
        else:
            words = "a number"
        raise _wrong("%s must be %s" % (name, words))


def _check_networks(networks):
    for entry in networks:
        if not isinstance(entry, dict) or not isinstance(entry.get("ssid"), str) or not entry["ssid"]:
            raise _wrong('wifi must be a list of {"ssid": …, "password": …}')
        password = entry.get("password")  # absent or empty: an open network
        if password and (not isinstance(password, str) or not 8 <= len(password) <= 64):
            raise _wrong("the password of Wi-Fi %s must have 8 to 63 characters" % entry["ssid"])


def _wrong(reason):
    return AzureIoTError("settings.json: %s" % reason, "settings")
