"""Shared by all tests: the runtimes a device runs on, and tools that CI must have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from azureiot_tools.simulator import program, unix_port
from azureiot_tools.simulator.readings import reading

ROOT = Path(__file__).resolve().parent.parent

FUZZ = bool(os.environ.get("AZUREIOT_FUZZ"))  # make fuzz: the same tests, many more examples
settings.register_profile(
    "azureiot",
    deadline=None,  # a busy machine is no fault
    **({"max_examples": 5_000, "derandomize": False} if FUZZ else {}),
)
settings.load_profile("azureiot")


def missing(what: str) -> None:
    """A tool that is not here: a failure in CI, elsewhere a reason to leave the test out."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def micropython() -> Path:
    """The MicroPython interpreter."""
    interpreter = unix_port.find()
    if interpreter is None:
        missing(unix_port.missing())
        raise AssertionError
    return interpreter


Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=["cpython", "micropython"])
def run_device(request: pytest.FixtureRequest) -> Run:
    """Run the device program on each runtime; the events it reported. Raises what the device raised."""

    def run(**config: Any) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        config = {"count": 0, "interval_s": 0, "timeout_s": 20, **config}
        if request.param == "cpython":
            program.run(config, events.append, reading)
        else:
            unix_port.run(request.getfixturevalue("micropython"), config, events.append)
        return events

    return run
