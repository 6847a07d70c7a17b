"""Tries the chosen cases, many at once: most of their time is waiting."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from azureiot_tools.simulator import unix_port
from faults.trial import Case, Trial, attempt

_AT_ONCE = 8


@pytest.fixture(scope="session")
def trials(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Trial]]]:
    """What comes of every case that this run has chosen, by the test's id."""
    interpreter = unix_port.find()
    started: dict[str, Future[Trial]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for item in request.session.items:
            chosen = getattr(item, "callspec", None)
            if chosen and isinstance(chosen.params.get("case"), Case):
                runtime = chosen.params["runtime"]
                if runtime == "cpython" or interpreter:
                    started[item.nodeid] = pool.submit(attempt, chosen.params["case"], runtime, interpreter)
        yield started
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def trial(request: pytest.FixtureRequest, case: Case, runtime: str, trials: dict[str, Future[Trial]]) -> Trial:
    """The case on the runtime, tried."""
    if runtime == "micropython":
        request.getfixturevalue("micropython")
    return trials[request.node.nodeid].result()
