"""The application: Wi-Fi, then the clock, then Azure, then a reading every so often.

Whatever fails is said in one line and tried again; nothing here needs a person. `app.start` puts it together.
"""

import json

import azureiot.runtime as runtime
from app import log
from app.led import FAILED, ONLINE, WORKING
from azureiot.backoff import Backoff
from azureiot.errors import AzureIoTError
from azureiot.runtime import const, once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from azureiot import Device

_CONNECT_TIMEOUT_S = const(60)
_SEND_TIMEOUT_S = const(30)
_SLICE_MS = const(200)  # how often LED and watchdog are looked after
_LOOK_S = const(1)  # how soon a lost connection is noticed
_FIRST_RETRY_MS = const(2000)
_LONGEST_RETRY_MS = const(120000)
_PERMANENT_S = const(300)  # before what somebody must mend is tried again


class Application:
    """One device.

    settings: settings.load's, and "wifi_options" (boards.find's).  wlan: network.WLAN.  rtc: machine.RTC().
    led: a Led.  watchdog: a Watchdog.  read: see sensor.read.  clock: what has runtime's ticks_ms, ticks_diff, wait.
    `device` is to be set before the first turn: an azureiot.Device that waits by `poll`.
    """

    device: "Device"

    def __init__(self, settings: dict, wlan, rtc, led, watchdog, read, clock=runtime):
        self._settings = settings
        self._wlan = wlan
        self._rtc = rtc
        self._led = led
        self._watchdog = watchdog
        self._read = read
        self._clock = clock
        self._online = False  # whether the last attempt to come online succeeded, and nothing has failed since
        self._date_is_right = None  # None: not looked at; False: a server's certificate says it is wrong
        self._number = 0  # of the last reading
        self._delivered = 0
        self._read_ms = None  # when the last reading was taken
        self._backoff = Backoff(_FIRST_RETRY_MS, _LONGEST_RETRY_MS)

    def run(self) -> None:
        """Go on until Ctrl-C, or MemoryError: only a restart mends a heap in pieces."""
        try:
            while True:
                self.turn()
        except KeyboardInterrupt:
            log("stopped by Ctrl-C; a watchdog, where there is one, will restart the board")

    def turn(self) -> None:
        """Come online where that is needed, send a reading when one is due, wait; or say what failed, and wait."""
        try:
            self._come_online()
            if self._left_ms() <= 0:
                self._report()
            self._stay_online()
        except AzureIoTError as error:
            self._failed(error)
        except MemoryError:
            log("out of memory: " + once("app.reporter").heap())
            raise

    def _come_online(self):
        if self._online and not self._wlan.isconnected():
            log("Wi-Fi is lost")
        elif self._online and not self.device.connected:
            log("the connection is lost: %s" % self.device.error)
        self._online = False
        if not self._wlan.isconnected():
            self._led.state = WORKING
            self.device.close()
            once("app.wifi").connect(self._wlan, self._settings, self.sleep_ms)
        if not self._date_is_right:
            once("app.clock").ensure(self._rtc, self._settings["ntp"], self.sleep_ms, self._date_is_right is False)
            self._date_is_right = True
        device = self.device
        if not device.connected:
            self._led.state = WORKING
            log("connecting to %s" % (device.hub or "DPS"))
            device.connect(_CONNECT_TIMEOUT_S, retry=False)
            log("connected to %s as %s" % (device.hub, device.device_id))
        self._online = True
        self._led.state = ONLINE

    def _report(self):
        self._number += 1
        self._read_ms = self._clock.ticks_ms()
        try:
            payload, properties = self._read(self.device.device_id, self._number)
        except MemoryError:
            raise
        except Exception as error:
            log("the sensor failed: %r; the next reading is due in %s s" % (error, self._settings["interval_s"]))
            return
        self.device.send(
            payload, properties, _SEND_TIMEOUT_S, content_type="application/json", content_encoding="utf-8"
        )
        self._delivered += 1
        self._backoff.reset()
        log("delivered message %d %s" % (self._delivered, json.dumps(payload)))

    def _stay_online(self):
        """Keep the connection until the next reading is due, or until it is lost."""
        while True:
            left_ms = self._left_ms()
            if left_ms <= 0:
                return
            if not self._wlan.isconnected() or not self.device.connected:
                return
            self.device.wait(min(_LOOK_S, left_ms / 1000))

    def _failed(self, error):
        self._led.state = FAILED
        self._online = False
        self.device.close()
        delay_s = max(1, self._backoff.failed() // 1000)
        if error.code in ("tls-clock", "tls-expired"):
            self._date_is_right = False  # the next attempt asks the time servers
        elif not error.retryable:
            delay_s = _PERMANENT_S
        log("%s; retry in %d s" % (str(error).rstrip("."), delay_s))
        if error.code == "memory":
            log(once("app.reporter").heap())
        self.sleep_ms(delay_s * 1000)

    def _left_ms(self):
        """Milliseconds until the next reading is due."""
        if self._read_ms is None:
            return 0
        elapsed_ms = self._clock.ticks_diff(self._clock.ticks_ms(), self._read_ms)
        return int(self._settings["interval_s"] * 1000) - elapsed_ms

    # Everything here waits in one of these two.

    def sleep_ms(self, duration_ms: int) -> None:
        """Wait so long."""
        while True:
            self.poll(None, 0, duration_ms)
            duration_ms -= _SLICE_MS
            if duration_ms <= 0:
                return

    def poll(self, sock, mask: int, timeout_ms: int) -> None:
        """azureiot.Device's `poll`, in slices. Each is progress: whoever waits here has a deadline."""
        self._watchdog.feed()
        self._led.tick(self._clock.ticks_ms())
        self._clock.wait(sock, mask, min(timeout_ms, _SLICE_MS))
