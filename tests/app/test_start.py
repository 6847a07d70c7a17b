"""The start: says why the board started and what memory it has, waits for usable settings, puts the parts together."""

import sys

import app
import app.main
import azureiot.blocking  # before the stand-ins are there
import azureiot.runtime as runtime
from azureiot import AzureIoTError
from fakes import raises

ONCE = ("start", "boards", "reporter", "wifi")


class Machine:
    PWRON_RESET = 1

    @staticmethod
    def reset_cause():
        return 1

    class RTC:
        def datetime(self):
            return (2026, 11, 23, 0, 10, 0, 0, 0)

    class Pin:
        OUT = 1

        def __init__(self, pin, mode):
            if pin == 99:
                raise ValueError("invalid pin")
            Machine.led = pin

        def value(self, on):
            pass

    class WDT:
        def __init__(self, timeout):
            Machine.watchdog_ms = timeout

        def feed(self):
            pass


class Network:
    STA_IF = 0

    class WLAN:
        def __init__(self, interface):
            assert interface == 0


class Collector:
    """Stands for the module gc: CPython's has other functions."""

    @staticmethod
    def collect():
        pass

    @staticmethod
    def threshold(size):
        Collector.size = size

    mem_free = mem_alloc = staticmethod(lambda: 1000)


class Settings:
    """Stands for the module app.settings: refuses as often as it is told to."""

    def __init__(self, refusals=0, **more):
        self.refusals = refusals
        self.found = dict(
            {
                "id_scope": "0ne00000000",
                "registration_id": "dev-1",
                "cert": "certs/device.crt.der",
                "key": "certs/device.key.der",
                "roots": "certs/roots",
            },
            **more,
        )

    def load(self):
        if self.refusals:
            self.refusals -= 1
            raise AzureIoTError("settings.json: id_scope is missing", "settings")
        return self.found


class Sleep:
    """Stands for the module time."""

    def __init__(self):
        self.slept_s = []

    def sleep(self, seconds):
        self.slept_s.append(seconds)


def start(settings):
    """(the application, the lines that were logged, the seconds slept)"""
    replaced = {"machine": Machine, "network": Network, "gc": Collector, "time": Sleep()}
    kept = {name: sys.modules.get(name) for name in replaced}
    log, lines, real_log = [], None, app.log
    app.log = log.append
    for name in ONCE:  # loaded by other tests, with the real modules
        sys.modules.pop("app." + name, None)
    try:
        for name in replaced:
            sys.modules[name] = replaced[name]
        starting = runtime.once("app.start")
        real_once = runtime.once
        starting.once = lambda name: settings if name == "app.settings" else real_once(name)
        made = starting.application()
        lines = log
    finally:
        app.log = real_log
        for name in kept:
            if kept[name] is None:
                del sys.modules[name]
            else:
                sys.modules[name] = kept[name]
    return made, lines, replaced["time"].slept_s


def test_the_application_is_put_together():
    made, lines, _ = start(Settings())
    assert isinstance(made, app.main.Application)
    assert isinstance(made.device, azureiot.blocking.Device)
    assert (made.device.device_id, made.device.connected) == ("dev-1", False)
    assert lines == ["started by power on; heap: 1000 bytes free, 1000 used"]
    assert Collector.size == 4096


def test_led_and_watchdog_are_what_the_settings_say():
    start(Settings(led=5, watchdog_s=60))
    assert (Machine.led, Machine.watchdog_ms) == (5, 60000)


def test_a_pin_that_is_none_costs_the_led_and_nothing_else():
    made, lines, _ = start(Settings(led=99))
    assert lines[-1] == "there is no LED at pin 99 (invalid pin)"
    made._led.tick(0)


def test_unusable_settings_are_said_and_waited_for():
    made, lines, slept_s = start(Settings(refusals=2))
    assert made.device is not None
    assert slept_s == [300, 300]
    assert lines[1] == "settings.json: id_scope is missing [settings]; install again, retry in 300 s"


def test_the_start_is_let_go():
    start(Settings())
    for name in ONCE:
        assert "app." + name not in sys.modules, name


def test_an_option_that_is_not_given_keeps_the_librarys_own():
    starting = runtime.once("app.start")
    found = Settings().found
    device = starting.device(found, None)
    assert raises(lambda: device.send({}), "not-connected")
