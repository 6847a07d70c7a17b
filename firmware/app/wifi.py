"""Wi-Fi: joins the first of several networks that takes this board, and says in words why the others did not."""

import network

from app import log
from azureiot.errors import AzureIoTError
from azureiot.runtime import const

_TIMEOUT_MS = const(20000)
_STEP_MS = const(250)

# The constants of `network` that tell why; some ports lack some. 15: a handshake that timed out has no name.
_REASONS = (
    ("STAT_NO_AP_FOUND", "no such network"),
    ("STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD", "too weak"),
    ("STAT_WRONG_PASSWORD", "wrong password"),
    ("STAT_HANDSHAKE_TIMEOUT", "wrong password"),
    ("STAT_BEACON_TIMEOUT", "the access point went silent"),
    ("STAT_ASSOC_FAIL", "the access point refuses this board"),
)
_NO_NAMES = {15: "wrong password"}
_UNDER_WAY = ("STAT_IDLE", "STAT_CONNECTING", "STAT_GOT_IP")


def interface():
    """network.WLAN, the station."""
    return network.WLAN(network.STA_IF)


def connect(wlan, settings: dict, sleep_ms, timeout_ms: int = _TIMEOUT_MS) -> None:
    """Join the first network that works.

    settings: "wifi", [{"ssid", "password"}, …] in order of preference; "wifi_options", what this board's Wi-Fi is told
    (boards.find).  sleep_ms: how to wait.  timeout_ms: for each network.
    Raises AzureIoTError ("wifi") with a reason for each network.
    """
    reasons = []
    try:
        wlan.active(False)  # a radio that hangs comes back this way
        wlan.active(True)
        wlan.config(**settings["wifi_options"])
    except (OSError, ValueError) as error:
        raise AzureIoTError("Wi-Fi does not start: %s" % error, "wifi", True)
    for entry in settings["wifi"]:
        reason = _join(wlan, entry, sleep_ms, timeout_ms)
        if reason is None:
            log("Wi-Fi %s, address %s" % (entry["ssid"], wlan.ifconfig()[0]))
            return
        reasons.append("%s: %s" % (entry["ssid"], reason))
    raise AzureIoTError("no Wi-Fi (%s)" % "; ".join(reasons), "wifi", True)


def _join(wlan, entry, sleep_ms, timeout_ms):
    """None when this board has an address in the network, else why not."""
    try:
        if entry.get("password"):
            wlan.connect(entry["ssid"], entry["password"])
        else:
            wlan.connect(entry["ssid"])
        for _ in range(timeout_ms // _STEP_MS):
            if wlan.isconnected():
                return None
            reason = _reason(wlan.status())
            if reason:
                break
            sleep_ms(_STEP_MS)
        else:
            reason = "no address within %d s (the password may be wrong, too)" % (timeout_ms // 1000)
        wlan.disconnect()
        return reason
    except OSError as error:
        return "the radio says %s" % error


def _reason(status):
    """In words, why a connection with this status has failed; None while it is still under way."""
    for name, words in _REASONS:
        if status == getattr(network, name, None):
            return words
    # 2 is "joined, no address yet" on a Pico W and a failure that the driver repeats on an ESP32.
    if status == 2 or status in [getattr(network, name, None) for name in _UNDER_WAY]:
        return None
    return _NO_NAMES.get(status, "failed with status %s" % status)
