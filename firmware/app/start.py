"""Puts the application together from the settings and this board's hardware; needed once."""

import gc
import sys

from app import log
from azureiot.errors import AzureIoTError
from azureiot.runtime import const, once

_RETRY_S = const(300)
_DEVICE_OPTIONS = ("id_scope", "registration_id", "provisioning_host", "port", "roots")


def application():
    """The Application of this board, ready to run. Waits for usable settings."""
    gc.threshold(4096)  # garbage that is collected late leaves only small holes, and TLS wants large blocks
    import machine

    reporter = once("app.reporter")
    log("started by %s; %s" % (reporter.reset_cause(machine), reporter.heap()))
    del reporter
    settings = _settings()
    board = once("app.boards").find(getattr(sys.implementation, "_machine", ""))
    if "wifi_options" not in settings:
        settings["wifi_options"] = board[3]

    from app.led import Led
    from app.main import Application
    from app.sensor import read
    from app.watchdog import Watchdog

    pin, is_rgb = (settings["led"], False) if settings.get("led") is not None else board[1:3]
    try:
        led = Led(machine, pin, is_rgb)
    except (ValueError, TypeError) as error:  # no reason not to report
        log("there is no LED at pin %s (%s)" % (pin, error))
        led = Led(machine, None)
    watchdog = Watchdog(machine, settings.get("watchdog_s"), board[4])
    wlan = once("app.wifi").interface()
    made = Application(settings, wlan, machine.RTC(), led, watchdog, read)
    made.device = device(settings, made.poll)
    return made


def device(settings: dict, poll):
    """The azureiot.Device that `settings` describe, not yet connected; it waits by `poll`."""
    from azureiot import X509, Device

    options = {name: settings[name] for name in _DEVICE_OPTIONS if settings.get(name) is not None}
    return Device(credential=X509(settings["cert"], settings["key"]), poll=poll, **options)


def _settings():
    while True:
        try:
            return once("app.settings").load()
        except AzureIoTError as error:
            log("%s; install again, retry in %d s" % (error, _RETRY_S))
            import time

            time.sleep(_RETRY_S)
