"""The emulator as a whole: DPS and hubs behind one TLS port, the service API on an HTTP port, the state in a directory.

with running(EmulatorOptions(port=0, http_port=0)) as emulator:
    emulator.mqtt_port, emulator.http_port, emulator.id_scope, emulator.hub, emulator.ca_path, emulator.settings_path
"""

from __future__ import annotations

import asyncio
import errno
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from azureiot_tools.certificates.credential import Credential
from azureiot_tools.console import UserError, reason
from azureiot_tools.emulator import lan, rest, settings_file, tls
from azureiot_tools.emulator.dps import https
from azureiot_tools.emulator.dps import mqtt as dps_over_mqtt
from azureiot_tools.emulator.dps.allocation import MOST_WEIGHT, Allocate, Allocator
from azureiot_tools.emulator.dps.assignment import Assignments
from azureiot_tools.emulator.dps.provisioning import DpsRules, Provisioning
from azureiot_tools.emulator.dps.rate_limit import DpsLimits
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.first_byte import FirstByte
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.mqtt.connection import Connection, Limits
from azureiot_tools.emulator.mqtt_services import MqttServices
from azureiot_tools.emulator.registry import Registry, make_private
from azureiot_tools.emulator.sas import SasRules
from azureiot_tools.emulator.server_certificate import server_credentials
from azureiot_tools.emulator.telemetry_log import TelemetryLog
from azureiot_tools.emulator.timers import Timers
from azureiot_tools.emulator.twins import Twins

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = {"0.0.0.0", "::"}
# The service API can do everything and asks for no password: it is for this machine, wherever devices are listened for.
SERVICE_HOST = "127.0.0.1"
API_IDLE_S = 10.0
STOPPED = "stopped"  # the text of an emulator's last event
# Descriptors beside those of accepted connections: files, the service API, and what is accepted before it is refused.
SPARE_DESCRIPTORS = tls.BACKLOG + 64


@dataclass(frozen=True, kw_only=True)
class EmulatorOptions:
    """What an emulator is to be.

    host: the address on which to listen for devices.  lan: another, at which boards reach this machine (`lan.find`,
    `lan.check`); let the hubs' names lead there, too.  port, http_port: 0 picks a free one.  data: the directory of its
    state; None keeps the state in memory and forgets it.  hubs: the names under which devices reach its hubs; the first
    is the default and the nearest.  server_names: further DNS names and IP addresses for the server certificate.
    hub_weights: of hubs that count for more than 1 when DPS allocates devices, or for none (0).  allocate: what decides
    for enrollments with a custom allocation policy; it must be quick, for everything waits for it.  retry_after_s,
    assigning_steps, refuses_disabled, dps_limits, sas: see `DpsRules`.  basic_tier: see `Hub`.  server: a server
    certificate to use instead of its own.

    Raises UserError for what cannot be.
    """

    host: str = "127.0.0.1"
    lan: str | None = None
    port: int = 8883
    http_port: int = 8080
    data: Path | None = None
    id_scope: str = "0ne00000000"
    hubs: tuple[str, ...] = ("localhost",)
    server_names: tuple[str, ...] = ()
    retry_after_s: int = 3
    assigning_steps: int = 1
    refuses_disabled: bool = False
    dps_limits: DpsLimits = field(default_factory=DpsLimits)
    sas: SasRules = field(default_factory=SasRules)
    hub_weights: Mapping[str, int] = field(default_factory=dict)
    allocate: Allocate | None = None
    basic_tier: bool = False
    server: Credential | None = None
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        if not self.hubs:
            raise UserError("An emulator needs at least one hub.")
        if len({name.lower() for name in self.hubs}) < len(self.hubs):
            raise UserError(f"Two hubs cannot have one name: {', '.join(self.hubs)}.", "Case does not count.")
        for name in (*self.hubs, self.id_scope):
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise UserError(
                    f"{name!r} can be neither an id scope nor the name of a hub.",
                    "Use letters, digits, dots and hyphens.",
                )
        for name, weight in self.hub_weights.items():
            if name not in self.hubs or not 0 <= weight <= MOST_WEIGHT:
                raise UserError(
                    f"The hub '{name}' cannot have the weight {weight}.",
                    f"Give 0 to {MOST_WEIGHT}, and one of the hubs: {', '.join(self.hubs)}.",
                )
        if not 1 <= self.retry_after_s <= 300:  # what every SDK takes: docs/protocol.md §8
            raise UserError(f"DPS cannot tell a device to wait for {self.retry_after_s} s.", "Choose 1 to 300 seconds.")


class Emulator:
    """One emulator. `start` and `stop` belong to one event loop; `running` brings a thread and a loop along.

    addresses: where it listens for devices, and nowhere else.
    After `start`: mqtt_port, http_port, ca_path (what devices must trust), settings (what leads devices here),
    settings_path (the file of them), former_settings (the file at the last start, or {}), registry, events, identities,
    timers.
    """

    mqtt_port: int
    http_port: int
    ca_path: Path
    settings: dict[str, Any]
    settings_path: Path
    former_settings: dict[str, Any]
    registry: Registry
    events: Events
    identities: Identities
    timers: Timers

    def __init__(self, options: EmulatorOptions) -> None:
        self.options = options
        self.id_scope = options.id_scope
        self.hub = options.hubs[0]
        self.addresses = list(dict.fromkeys([options.lan or options.host, options.host]))
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Accept connections. Raises UserError, with everything closed again, when a port or the data is in use."""
        async with AsyncExitStack() as opened:
            await self._start(opened)
            self._open = opened.pop_all()

    async def stop(self) -> None:
        """Close every connection, write what is waiting, and release ports and data."""
        await self._open.aclose()
        self.events.publish("emulator", "", STOPPED)

    async def _start(self, opened: AsyncExitStack) -> None:
        options = self.options
        if options.data is None:
            directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="azureiot-emulator-")))
        else:
            directory = options.data
            opened.enter_context(_claim(directory))
        self.events = Events(options.now)
        self.registry = _open_registry(None if options.data is None else directory / "state.db", options.now)
        opened.callback(self.registry.close)
        names = {*LOOPBACK_NAMES, options.host, *options.hubs, *options.server_names}
        if options.lan:
            names |= {options.lan, *lan.machine_names()}
        own, self.ca_path = server_credentials(directory, names - ANY_ADDRESS, options.now())
        self.identities = Identities(self.registry, options.now)
        twins = Twins(self.registry, self.events, options.now)
        telemetry = TelemetryLog(self.registry, self.events)
        opened.callback(telemetry.flush)
        self.timers = Timers(options.now)
        opened.callback(self.timers.close)
        hubs = {
            host: Hub(
                host,
                self.registry,
                self.identities,
                twins,
                self.events,
                telemetry,
                self.timers,
                options.sas,
                basic_tier=options.basic_tier,
            )
            for host in options.hubs
        }
        provisioning = self._provisioning(twins)
        services = MqttServices(
            dps_over_mqtt.Dps(provisioning, self.events), {host.lower(): hub for host, hub in hubs.items()}
        )
        dps_over_https = (await _serving(opened, https.build(provisioning, self.events, options.now))).server
        assert dps_over_https is not None
        listener = tls.Listener(
            [options.server] if options.server else own,
            lambda: FirstByte(
                lambda: Connection(services.route, self.events.publish, options.limits),
                dps_over_https,
                self.events.publish,
                options.limits.connect_s,
            ),
            self.events.publish,
            max_connections=_affordable(options.limits.connections),
            handshake_s=options.limits.handshake_s,
        )
        opened.push_async_callback(listener.stop)
        self.mqtt_port = options.port or (lan.free_port() if len(self.addresses) > 1 else 0)
        for address in self.addresses:
            self.mqtt_port = await _listen(listener.start, address, self.mqtt_port)
        opened.callback(services.disconnect_all)
        self.http_port = await self._start_service_api(opened, twins, hubs)
        here = options.host in (*LOOPBACK_NAMES, *ANY_ADDRESS)
        self.settings = {
            "id_scope": self.id_scope,
            "provisioning_host": options.lan or ("localhost" if here else options.host),
            "port": self.mqtt_port,
            "roots": self.ca_path.name,
        }
        self.settings_path, self.former_settings = settings_file.write(directory, self.settings)
        self.events.publish(
            "emulator",
            "",
            f"ready: MQTT on {' and '.join(f'{address}:{self.mqtt_port}' for address in self.addresses)}, "
            f"service API on {SERVICE_HOST}:{self.http_port}",
        )

    def _provisioning(self, twins: Twins) -> Provisioning:
        options = self.options
        allocator = Allocator(options.hubs, options.hub_weights, options.allocate)
        rules = DpsRules(
            retry_after_s=options.retry_after_s,
            assigning_steps=options.assigning_steps,
            refuses_disabled=options.refuses_disabled,
            limits=options.dps_limits,
            sas=options.sas,
        )
        assignments = Assignments(self.registry, self.identities, twins, self.events, options.now, allocator)
        return Provisioning(self.registry, assignments, self.events, options.now, options.id_scope, rules)

    async def _start_service_api(self, opened: AsyncExitStack, twins: Twins, hubs: Mapping[str, Hub]) -> int:
        options = self.options
        application = rest.build(
            self.registry,
            self.events,
            self.identities,
            twins,
            hubs=options.hubs,
            linked=hubs,
            allocates=options.allocate is not None,
            now=options.now,
            allowed_hosts=self._allowed_hosts,
        )
        runner = await _serving(opened, application)

        async def listen(host: str, port: int) -> int:
            await web.TCPSite(runner, host, port).start()
            return runner.addresses[0][1]

        return await _listen(listen, SERVICE_HOST, options.http_port)

    def _allowed_hosts(self) -> set[str]:
        """The Host headers that mean this service; any other is a web page's doing (DNS rebinding)."""
        return {f"{name}:{self.http_port}" for name in ("localhost", "127.0.0.1")}


@contextmanager
def running(options: EmulatorOptions) -> Iterator[Emulator]:
    """An emulator in a thread of its own for as long as the block lasts. Raises UserError when it cannot start."""
    emulator = Emulator(options)
    started: Future[Callable[[], None]] = Future()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def request_stop() -> None:
            loop.call_soon_threadsafe(stop.set)

        try:
            await emulator.start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(request_stop)
        await stop.wait()
        await emulator.stop()

    with ThreadPoolExecutor(1, thread_name_prefix="azureiot-emulator") as thread:
        served = thread.submit(asyncio.run, serve())
        request_stop = started.result()
        try:
            yield emulator
        finally:
            request_stop()
            served.result()


def _affordable(connections: int) -> int:
    """So many connections, or as many as the system allows this process. Its soft limit is raised where that helps."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - SPARE_DESCRIPTORS)


@contextmanager
def _claim(directory: Path) -> Iterator[None]:
    """Keep a second emulator out of the data directory. SQLite's lock, which dies with the process, on any system."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(directory / "lock")
        lock = sqlite3.connect(directory / "lock", timeout=0, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"The data directory {directory} cannot be used: {reason(error)}.") from None
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise UserError(
                    f"Another emulator is running on the data directory {directory}.",
                    "Stop it, or give this one a directory of its own with --data.",
                ) from None
            raise UserError(
                f"{directory / 'lock'} cannot be used: {error}.", "Delete it: it only keeps a second emulator out."
            ) from None
        yield


def _open_registry(path: Path | None, now: Callable[[], datetime]) -> Registry:
    try:
        return Registry(path, now)
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"The emulator's state in {path} cannot be opened: {reason(error)}.", "Move the file away to begin anew."
        ) from None


async def _serving(opened: AsyncExitStack, application: web.Application) -> web.AppRunner:
    # The time-out is for a request's headers too: half-sent ones must not hold a connection for long.
    runner = web.AppRunner(application, shutdown_timeout=1.0, keepalive_timeout=API_IDLE_S, access_log=None)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    return runner


async def _listen(start: Callable[[str, int], Any], host: str, port: int) -> int:
    try:
        return await start(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"Port {port} of {host} is taken by another program.", "Choose another port, or 0 for any that is free."
            ) from None
        raise UserError(f"Port {port} of {host} cannot be opened: {reason(error)}.") from None
