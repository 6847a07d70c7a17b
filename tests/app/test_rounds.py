"""The application's rounds: what comes first, what is said, and that no failure ends them."""

import sys

import app
import app.led as led
import app.main as main
import azureiot.runtime as runtime
from azureiot.errors import AzureIoTError


class Time:
    """Time that passes only when somebody waits."""

    def __init__(self):
        self.now_ms = 5000

    def ticks_ms(self):
        return self.now_ms

    def ticks_diff(self, later, earlier):
        return later - earlier

    def wait(self, sock, mask, timeout_ms):
        assert timeout_ms <= 200, "LED and watchdog are forgotten"
        self.now_ms += timeout_ms


class Network:
    STA_IF = 0
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP, STAT_WRONG_PASSWORD = 1000, 1001, 1010, 202


class Wlan:
    def __init__(self, happened):
        self.happened = happened
        self.good = True  # whether the password is right
        self.joined = False

    def active(self, on):
        self.joined = False

    def config(self, **options):
        pass

    def connect(self, ssid, password):
        self.happened.append("join")
        self.joined = self.good

    def disconnect(self):
        self.joined = False

    def status(self):
        return Network.STAT_GOT_IP if self.good else Network.STAT_WRONG_PASSWORD

    def isconnected(self):
        return self.joined

    def ifconfig(self):
        return ("10.0.0.7",)


class Rtc:
    def __init__(self):
        self.year = 2000

    def datetime(self):
        return (self.year, 11, 23, 0, 10, 0, 0, 0)


class Ntp:
    """Stands for the module `ntptime`."""

    def __init__(self, board):
        self.board = board
        self.silent = False

    def settime(self):
        self.board.happened.append("ask the time")
        if self.silent:
            raise OSError(110)
        self.board.rtc.year = 2026


class Device:
    """An azureiot.Device without a network. failures: what the next calls of connect and send raise."""

    def __init__(self, board):
        self.board = board
        self.connected = False
        self.hub = self.error = None
        self.device_id = "dev-1"
        self.failures = []
        self.sent = []

    def connect(self, timeout_s, retry):
        assert not retry, "failures that the library repeats by itself are not seen in the log"
        self.board.happened.append("connect")
        self._fail()
        self.connected = True
        self.hub = "hub.example"

    def send(self, payload, properties, timeout_s, **system):
        self.board.happened.append("send")
        self._fail()
        self.sent.append((payload, properties, system))

    def wait(self, seconds):
        assert self.connected
        self.board.time.now_ms += int(seconds * 1000)
        self.board.tick()

    def close(self):
        self.connected = False

    def _fail(self):
        if self.failures:
            raise self.failures.pop(0)


class Watchdog:
    def __init__(self):
        self.fed = 0

    def feed(self):
        self.fed += 1


class Board:
    """Everything that an Application is given; `turn` it, and look at log, happened and time."""

    def __init__(self, read=None, interval_s=10):
        self.log = []
        self.happened = []
        self.time = Time()
        self.rtc = Rtc()
        self.wlan = Wlan(self.happened)
        self.ntp = Ntp(self)
        self.device = Device(self)
        self.led = led.Led(None, None)
        self.watchdog = Watchdog()
        self.tick = lambda: None  # called when the device has waited
        settings = {
            "wifi": [{"ssid": "home", "password": "correct horse"}],
            "wifi_options": {},
            "ntp": ["time.example"],
            "interval_s": interval_s,
        }
        read = read or (lambda device_id, number: ({"n": number}, {"alert": "false"}))
        self.application = main.Application(settings, self.wlan, self.rtc, self.led, self.watchdog, read, self.time)
        self.application.device = self.device

    def turn(self, count=1):
        """Run rounds; the lines that they logged."""
        before = len(self.log)
        real = app.log
        app.log = main.log = self.log.append
        sys.modules["network"] = Network
        sys.modules["ntptime"] = self.ntp
        try:
            for _ in range(count):
                self.application.turn()
        finally:
            app.log = main.log = real
            del sys.modules["network"], sys.modules["ntptime"]
        return self.log[before:]


def test_wifi_comes_first_then_the_clock_then_azure_then_a_message():
    board = Board()
    lines = board.turn()
    assert board.happened == ["join", "ask the time", "connect", "send"]
    assert lines == [
        "Wi-Fi home, address 10.0.0.7",
        "clock set to 2026-11-23 10:00:00 UTC by time.example",
        "connecting to DPS",
        "connected to hub.example as dev-1",
        'delivered message 1 {"n": 1}',
    ]


def test_messages_go_out_every_interval_over_one_connection():
    board = Board()
    started_ms = board.time.now_ms
    board.turn(4)
    assert board.happened == ["join", "ask the time", "connect", "send", "send", "send", "send"]
    assert board.time.now_ms - started_ms == 40000
    assert [payload["n"] for payload, _, _ in board.device.sent] == [1, 2, 3, 4]
    assert board.log[-1] == 'delivered message 4 {"n": 4}'
    assert board.led.state == led.ONLINE


def test_properties_and_content_type_go_with_a_message():
    board = Board()
    board.turn()
    _, properties, system = board.device.sent[0]
    assert properties == {"alert": "false"}
    assert system == {"content_type": "application/json", "content_encoding": "utf-8"}


def test_a_wrong_password_is_said_and_repeated_until_it_is_right():
    board = Board()
    board.wlan.good = False
    for line in board.turn(3):
        assert line.startswith("no Wi-Fi (home: wrong password) [wifi]; retry in "), line
        assert line.endswith(" s")
    assert board.happened == ["join"] * 3
    assert board.led.state == led.FAILED
    board.wlan.good = True
    assert board.turn()[-1].startswith("delivered message 1 ")


def test_without_the_time_there_is_no_tls():
    board = Board()
    board.ntp.silent = True
    lines = board.turn(2)
    assert "connect" not in board.happened
    assert "the clock is not set, and no time server helps (time.example: no answer" in lines[-1]
    assert "; retry in " in lines[-1]
    board.ntp.silent = False
    assert board.turn()[-1].startswith("delivered message 1 ")


def test_a_failed_connection_is_said_with_code_and_hint_and_repeated():
    board = Board()
    board.device.failures = [AzureIoTError("hub.example:8883: connection refused.", "refused", True)]
    lines = board.turn()
    assert lines[-1].startswith("hub.example:8883: connection refused. [refused] Nothing listens there: "), lines[-1]
    assert "; retry in " in lines[-1]
    assert board.turn()[-1].startswith("delivered message 1 ")


def test_retries_come_slower_and_slower_but_never_stop():
    board = Board()
    board.device.failures = [AzureIoTError("No.", "closed", True) for _ in range(30)]
    delays_s = [int(line.split(" ")[-2]) for line in board.turn(30) if "retry in" in line]
    assert len(delays_s) == 30
    assert delays_s[0] <= 2
    assert 2 < max(delays_s) <= 120
    assert board.turn()[-1].startswith("delivered message 1 ")


def test_a_refusal_that_somebody_must_mend_is_repeated_at_long_intervals():
    board = Board()
    board.device.failures = [AzureIoTError("DPS refused the registration.", 401002, False)]
    started_ms = board.time.now_ms
    assert board.turn()[-1].endswith("; retry in 300 s")
    assert board.time.now_ms - started_ms >= 300000
    assert board.watchdog.fed >= 1500  # while it waits, too
    assert board.turn()[-1].startswith("delivered message 1 ")


def test_a_certificate_that_is_not_valid_yet_makes_the_board_ask_the_time_again():
    board = Board()
    board.rtc.year = 2025  # set, but wrong
    board.device.failures = [AzureIoTError("The certificate validity starts in the future.", "tls-clock", False)]
    board.turn(2)
    assert board.happened == ["join", "connect", "ask the time", "connect", "send"]


def test_a_lost_connection_is_noticed_said_and_made_again():
    board = Board(interval_s=60)

    def lose():
        board.device.error = AzureIoTError("hub.example:8883 closed the connection.", "closed", True)
        board.device.connected = False

    board.tick = lose
    board.turn()
    board.tick = lambda: None
    lines = board.turn()
    assert lines[0].startswith("the connection is lost: hub.example:8883 closed the connection. [closed]")
    assert lines[1:] == ["connecting to hub.example", "connected to hub.example as dev-1"]
    assert board.happened.count("send") == 1  # the next message is not due yet
    assert board.turn()[-1].startswith("delivered message 2 ")


def test_lost_wifi_is_joined_again():
    board = Board(interval_s=60)
    board.tick = board.wlan.disconnect
    board.turn()
    board.tick = lambda: None
    assert board.turn()[:2] == ["Wi-Fi is lost", "Wi-Fi home, address 10.0.0.7"]
    assert board.turn()[-1].startswith("delivered message 2 ")


def test_an_unacknowledged_message_does_not_count_as_delivered():
    board = Board()
    board.turn()
    board.device.failures = [AzureIoTError("Not done within 30 s.", "timeout", True)]
    assert "retry in" in board.turn()[-1]
    assert not board.device.connected  # its memory is free before the next attempt
    assert board.turn(2)[-1].startswith("delivered message 2 ")


def test_a_broken_sensor_costs_one_reading_only():
    def read(device_id, number):
        if number == 1:
            raise OSError(19)
        return {"n": number}, {}

    board = Board(read)
    lines = board.turn(2)
    assert "the sensor failed: OSError(" in lines[-2]
    assert lines[-1] == 'delivered message 1 {"n": 2}'


def test_out_of_memory_is_said_and_left_to_a_restart():
    board = Board()
    board.device.failures = [MemoryError()]
    kept = runtime.once
    app_reporter = type("Reporter", (), {"heap": staticmethod(lambda: "largest free block 9000")})
    main.once = lambda name: app_reporter if name == "app.reporter" else kept(name)
    try:
        board.turn()
        raise AssertionError("nothing was raised")
    except MemoryError:
        assert board.log[-1] == "out of memory: largest free block 9000"
    finally:
        main.once = kept


def test_ctrl_c_ends_the_rounds_with_a_word():
    board = Board()
    board.device.failures = [KeyboardInterrupt()]
    real = main.log
    main.log = app.log = board.log.append
    sys.modules["network"], sys.modules["ntptime"] = Network, board.ntp
    try:
        board.application.run()
    finally:
        main.log = app.log = real
        del sys.modules["network"], sys.modules["ntptime"]
    assert board.log[-1].startswith("stopped by Ctrl-C")


def test_the_watchdog_is_fed_in_every_wait():
    board = Board()
    board.application.sleep_ms(2000)
    assert board.watchdog.fed == 10
    board.application.poll(None, 0, 240000)
    assert board.watchdog.fed == 11
