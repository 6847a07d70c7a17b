"""The clock: asked for only when it is wrong, several servers, bounded, and no TLS before it is right."""

import errno

import app
import app.clock as clock
import azureiot.runtime as runtime
from fakes import raises

WRONG = (2000, 1, 1, 5, 0, 0, 12, 0)
RIGHT = (2026, 11, 23, 0, 10, 30, 5, 0)


class Rtc:
    def __init__(self, date):
        self.date = date

    def datetime(self):
        return self.date


class Ntp:
    """answers: host → the date it sets, or an exception."""

    def __init__(self, rtc, answers):
        self.rtc = rtc
        self.answers = answers
        self.asked = []
        self.host = self.timeout = None

    def settime(self):
        self.asked.append((self.host, self.timeout))
        answer = self.answers.get(self.host, OSError(errno.ETIMEDOUT))
        if isinstance(answer, Exception):
            raise answer
        self.rtc.date = answer


def ensure(rtc, ntp, suspected=False):
    logged = []
    real, clock.log = clock.log, logged.append
    try:
        clock.ensure(rtc, ["one", "two"], lambda ms: None, suspected, ntp)
    finally:
        clock.log = real
    return logged


def test_a_right_clock_is_left_alone():
    ntp = Ntp(Rtc(RIGHT), {})
    assert ensure(ntp.rtc, ntp) == []
    assert ntp.asked == []


def test_the_first_server_that_answers_sets_it():
    ntp = Ntp(Rtc(WRONG), {"two": RIGHT})
    assert ensure(ntp.rtc, ntp) == ["clock set to 2026-11-23 10:30:05 UTC by two"]
    assert [host for host, _ in ntp.asked] == ["one", "two"]
    assert all(timeout_s <= 2 for _, timeout_s in ntp.asked)


def test_a_lost_packet_is_asked_for_again():
    class LosesTheFirst(Ntp):
        def settime(self):
            if len(self.asked) == 2:
                self.answers["one"] = RIGHT
            Ntp.settime(self)

    ntp = LosesTheFirst(Rtc(WRONG), {})
    assert len(ensure(ntp.rtc, ntp)) == 1
    assert [host for host, _ in ntp.asked] == ["one", "two", "one"]


def test_silence_ends_in_words_after_two_rounds():
    ntp = Ntp(Rtc(WRONG), {"two": (1970, 1, 1, 0, 0, 0, 0, 0)})
    error = raises(lambda: ensure(ntp.rtc, ntp), "clock")
    assert error.retryable
    assert "one: no answer (" in error.message
    assert "two: a wrong date" in error.message
    assert len(ntp.asked) == 4


def test_a_suspected_clock_is_set_again():
    ntp = Ntp(Rtc((2025, 1, 1, 0, 0, 0, 0, 0)), {"one": RIGHT})
    assert ensure(ntp.rtc, ntp, suspected=True)
    assert ntp.rtc.date == RIGHT


def test_a_suspected_clock_stays_when_nobody_answers():
    ntp = Ntp(Rtc(RIGHT), {})
    assert ensure(ntp.rtc, ntp, suspected=True) == []
    assert len(ntp.asked) == 4


def test_one_module_is_loaded_once_and_let_go():
    import sys

    again = runtime.once("app.clock")
    assert again.is_set(Rtc(RIGHT))
    assert "app.clock" not in sys.modules
    assert not hasattr(app, "clock")
