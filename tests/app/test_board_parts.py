"""The table of boards, LED, watchdog, reporter and sample sensor: what each says and does to the hardware."""

import app.boards as boards
import app.led as led
import app.reporter as reporter
import app.sensor as sensor
from app.watchdog import Watchdog

pins, watchdogs, written = [], [], []


class Pin:
    OUT = 1

    def __init__(self, pin, mode):
        self.values = []
        self.pin = pin
        pins.append(self)

    def value(self, on):
        self.values.append(bool(on))


class Wdt:
    def __init__(self, timeout):
        self.timeout = timeout
        self.fed = 0
        watchdogs.append(self)

    def feed(self):
        self.fed += 1


class Machine:
    PWRON_RESET = 1
    WDT_RESET = 3
    Pin = Pin
    WDT = Wdt

    @staticmethod
    def bitstream(pin, encoding, timing, data):
        written.append((pin.pin, bytes(data)))


# What sys.implementation._machine says on the usual boards.
DESCRIPTIONS = (
    ("Generic ESP32 module with ESP32", "ESP32", 2, False),
    ("Generic ESP32S2 module with ESP32S2", "ESP32S2", 18, True),
    ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "ESP32S3", 48, True),
    ("ESP32C3 module with ESP32C3", "ESP32C3", 8, True),
    ("ESP32-C6 module with ESP32-C6", "ESP32C6", 8, True),
    ("Raspberry Pi Pico W with RP2040", "RP2040", "LED", False),
    ("Raspberry Pi Pico 2 W with RP2350", "RP2350", "LED", False),
)


def test_every_board_is_found_by_what_it_says():
    for description, processor, pin, is_rgb in DESCRIPTIONS:
        assert boards.find(description)[:3] == (processor, pin, is_rgb), description


def test_only_an_esp32_is_told_how_often_to_reconnect():
    for description, processor, _, _ in DESCRIPTIONS:
        assert ("reconnects" in boards.find(description)[3]) == processor.startswith("ESP32"), description


def test_an_unknown_board_has_no_led_and_no_options():
    assert boards.find("linux [GCC 14.2.1] version")[1:] == (None, False, {}, 0)


def test_a_plain_led_blinks_while_working_and_shines_online():
    lamp = led.Led(Machine, 2)
    lamp.tick(0)
    lamp.tick(600)
    lamp.state = led.ONLINE
    lamp.tick(0)
    lamp.tick(600)
    lamp.state = led.FAILED
    lamp.tick(0)
    lamp.tick(200)
    assert pins[-1].values == [True, False, True, True, True, False]


def test_an_rgb_led_gets_three_bytes():
    lamp = led.Led(Machine, 8, True)
    lamp.tick(0)
    lamp.tick(600)
    (pin, on), (_, off) = written[-2:]
    assert pin == 8
    assert len(on) == 3
    assert on[0] > 0
    assert off == b"\0\0\0"


def test_without_an_led_nothing_happens():
    before = len(pins)
    led.Led(Machine, None).tick(0)
    assert len(pins) == before


def test_the_watchdog_is_optional():
    before = len(watchdogs)
    Watchdog(Machine, None).feed()
    assert len(watchdogs) == before


def test_the_watchdog_is_fed_and_within_what_the_board_can_do():
    watchdog = Watchdog(Machine, 60)
    watchdog.feed()
    assert (watchdogs[-1].timeout, watchdogs[-1].fed) == (60000, 1)
    Watchdog(Machine, 60, 8388)
    assert watchdogs[-1].timeout == 8388


def test_the_reset_cause_is_said_in_words():
    Machine.reset_cause = staticmethod(lambda: Machine.WDT_RESET)
    assert reporter.reset_cause(Machine) == "the watchdog"
    Machine.reset_cause = staticmethod(lambda: 99)
    assert reporter.reset_cause(Machine) == "reset cause 99"


def test_the_sample_sensor_alerts_above_thirty_degrees():
    alerts = set()
    for number in range(200):
        payload, properties = sensor.read("dev-1", number)
        assert (payload["deviceId"], payload["messageId"]) == ("dev-1", number)
        assert 20 <= payload["temperature"] <= 34
        assert 60 <= payload["humidity"] < 80
        assert properties["temperatureAlert"] == ("true" if payload["temperature"] > 30 else "false")
        alerts.add(properties["temperatureAlert"])
    assert alerts == {"true", "false"}
