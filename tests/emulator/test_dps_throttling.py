"""Pins docs/protocol.md §1.3, §1.5: DPS's limits, when they are switched on: 429 with retry-after; then it goes on."""

from datetime import UTC, datetime, timedelta

from azureiot_tools.emulator.dps.rate_limit import AZURES, DpsLimits, RateLimit

from .hub_bench import Clock
from .key_bench import KEY, at_dps, dps_token, enroll, provision
from .mqtt_wire import POLL, REGISTER
from .test_dps_refusals import check_error

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_an_emulator_takes_as_many_as_come(bench):
    enroll(bench)
    with at_dps(bench, "keyed", dps_token("keyed", KEY)) as wire:
        operation_id = wire.request(REGISTER)[1]["operationId"]
        for _ in range(20):
            assert "/res/200/" in wire.request(POLL.format(rid=2, operation_id=operation_id))[0]


def test_azures_limits():
    assert (AZURES.registrations_per_minute, AZURES.operations_per_minute, AZURES.polls_per_10_s) == (1000, 1000, 5)


def test_a_device_that_polls_too_often(start):
    clock = Clock()
    with start(dps_limits=AZURES, now=clock, assigning_steps=9) as bench:
        enroll(bench)
        with at_dps(bench, "keyed", dps_token("keyed", KEY)) as wire:
            poll = POLL.format(rid=2, operation_id=wire.request(REGISTER)[1]["operationId"])
            for _ in range(5):
                assert "/res/202/" in wire.request(poll)[0]
            clock.advance(bench, seconds=3.5)
            topic, answer = wire.request(poll)
            assert topic == "$dps/registrations/res/429/?$rid=2&retry-after=7"
            check_error(answer, 429001, "Throttled")
            assert bench.reason("refused", "too many polls of this device") == "docs/protocol.md §1.3"
            clock.advance(bench, seconds=6.5)
            assert "/res/202/" in wire.request(poll)[0]


def test_too_many_registrations(start):
    clock = Clock()
    with start(dps_limits=DpsLimits(registrations_per_minute=2), now=clock) as bench:
        enroll(bench)
        topics = [provision(bench)[0] for _ in range(3)]
        assert topics == ["$dps/registrations/res/200/?$rid=2"] * 2 + [
            "$dps/registrations/res/429/?$rid=1&retry-after=60"
        ]
        clock.advance(bench, minutes=1)
        assert "/res/200/" in provision(bench)[0]


def test_too_many_requests_of_any_kind(start):
    with start(dps_limits=DpsLimits(operations_per_minute=2), now=Clock()) as bench:
        enroll(bench)
        assert "/res/200/" in provision(bench)[0], "a register and a poll"
        assert "/res/429/" in provision(bench)[0]
        assert bench.reason("refused", "too many requests") == "docs/protocol.md §1.3"


def test_a_limit_counts_each_key_for_itself_and_begins_anew():
    times = [NOW]
    limit = RateLimit(2, timedelta(seconds=10), lambda: times[0])
    assert [limit.take("a") for _ in range(3)] == [0, 0, 10]
    assert limit.take("b") == 0
    times[0] += timedelta(seconds=9.5)
    assert limit.take("a") == 1, "at least a second, which every SDK takes"
    times[0] += timedelta(seconds=0.5)
    assert limit.take("a") == 0
    times[0] -= timedelta(days=1)
    assert limit.take("a") == 0, "a clock that was set back throttles nobody"


def test_no_limit():
    limit = RateLimit(None, timedelta(seconds=10), lambda: NOW)
    assert not any(limit.take("a") for _ in range(100))
