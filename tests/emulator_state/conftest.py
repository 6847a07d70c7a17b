"""Certificates, made once, an empty registry, and the service API over it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from aiohttp import web

from azureiot_tools import cli
from azureiot_tools.certificates.authority import create_intermediate, create_root, issue_device
from azureiot_tools.commands import monitor, service
from azureiot_tools.emulator import rest
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import SasRules
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.timers import Timers
from azureiot_tools.emulator.twins import Twins

from .bench import EARLIER, HUBS, NOW, Api, Clock, Pki, serving


@pytest.fixture(scope="session")
def pki() -> Pki:
    root, other_root = create_root("Test Root", now=EARLIER), create_root("Other Root", now=EARLIER)
    intermediate = create_intermediate(root, "Test Issuing CA", now=EARLIER)
    return Pki(
        root,
        intermediate,
        issue_device(intermediate, "mydevice001", now=NOW),
        other_root,
        issue_device(other_root, "mydevice001", now=NOW),
    )


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry(None, lambda: NOW)
    yield registry
    registry.close()


@pytest.fixture
def api(registry: Registry, request: pytest.FixtureRequest) -> Iterator[Api]:
    """Stops as the emulator does, or waits as long as a test's indirect parameter says."""
    clock = Clock()
    events = Events(clock)
    port_known: list[int] = []

    def hosts() -> set[str]:
        return {f"{name}:{port_known[0]}" for name in ("localhost", "127.0.0.1")}

    def make() -> web.Application:
        identities, twins = Identities(registry, clock), Twins(registry, events, clock)
        timers = Timers(clock)
        linked = {
            hub: Hub(hub, registry, identities, twins, events, TelemetryLog(registry, events), timers, SasRules())
            for hub in HUBS
        }
        return rest.build(registry, events, identities, twins, hubs=HUBS, linked=linked, now=clock, allowed_hosts=hosts)

    with serving(make, getattr(request, "param", 1.0)) as (port, loop, stop):
        port_known.append(port)
        yield Api(port, registry, events, clock, loop, stop)


@pytest.fixture
def own_commands_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with these commands alone: what the others do is their tests' business."""

    def build_parser() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog="azureiot")
        commands = parser.add_subparsers(required=True)
        service.add(commands)
        monitor.add(commands)
        return parser

    monkeypatch.setattr(cli, "build_parser", build_parser)
