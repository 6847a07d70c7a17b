"""`azureiot emulator`: DPS and IoT Hub on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azureiot_tools.console import emit

if TYPE_CHECKING:  # the emulator's packages are heavy, and `azureiot --help` must work without them
    from azureiot_tools.emulator.events import Event
    from azureiot_tools.emulator.server import Emulator, EmulatorOptions


def add(commands: Any) -> None:
    """Add the parser of `azureiot emulator`."""
    parser = commands.add_parser(
        "emulator",
        help="run DPS and IoT Hub on this machine",
        description="Runs a Device Provisioning Service and IoT hubs on this machine, and says of every device what it "
        "did and why it was refused. Ctrl-C stops it; its state stays in the data directory.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where it listens for devices (default: %(default)s, this machine only)",
    )
    parser.add_argument(
        "--port", type=_port, default=8883, metavar="N", help="MQTT over TLS (default: %(default)s; 0: any free)"
    )
    parser.add_argument(
        "--http-port",
        type=_port,
        default=8080,
        metavar="N",
        help="service API, for this machine only (default: %(default)s; 0: any free)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".emulator"),
        metavar="DIR",
        help="where its state and its certificates live (default: %(default)s)",
    )
    parser.add_argument(
        "--id-scope", default="0ne00000000", metavar="SCOPE", help="DPS id scope (default: %(default)s)"
    )
    parser.add_argument(
        "--hub",
        action="append",
        metavar="NAME",
        help="host name of a linked hub; repeat it for several (default: localhost)",
    )
    parser.add_argument(
        "--retry-after",
        type=int,
        default=3,
        metavar="S",
        help="seconds DPS tells a device to wait before it polls (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line: first the addresses, then each event"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the emulator until SIGINT or SIGTERM. Raises UserError when it cannot start."""
    from azureiot_tools.emulator.server import EmulatorOptions

    options = EmulatorOptions(
        host=arguments.host,
        port=arguments.port,
        http_port=arguments.http_port,
        data=arguments.data,
        id_scope=arguments.id_scope,
        hubs=tuple(arguments.hub or ["localhost"]),
        retry_after_s=arguments.retry_after,
    )
    with suppress(KeyboardInterrupt):  # where the loop takes no signal handlers (Windows), Ctrl-C arrives as this
        asyncio.run(_serve(options, arguments.json))


async def _serve(options: EmulatorOptions, as_json: bool) -> None:
    from azureiot_tools.emulator.server import Emulator

    emulator = Emulator(options)
    await emulator.start()
    try:
        with emulator.events.subscribe() as events:
            _show_ready(emulator, as_json)
            shower = asyncio.create_task(_show_events(events, as_json))
            _stop_on_signals(shower)
            with suppress(asyncio.CancelledError):
                await shower
    finally:
        await emulator.stop()


def _stop_on_signals(task: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, task.cancel)


def _show_ready(emulator: Emulator, as_json: bool) -> None:
    from azureiot_tools.emulator.server import SERVICE_HOST

    options = emulator.options
    ready = {
        "host": options.host,
        "port": emulator.mqtt_port,
        "http_port": emulator.http_port,
        "id_scope": emulator.id_scope,
        "hub": emulator.hub,
        "hubs": list(options.hubs),
        "ca": str(emulator.ca_path),
    }
    emit(
        as_json,
        ready,
        "\n".join(
            [
                f"MQTT         {options.host}:{emulator.mqtt_port}, TLS (DPS and hub)",
                f"service API  http://{SERVICE_HOST}:{emulator.http_port}",
                f"id scope     {emulator.id_scope}",
                f"hub          {', '.join(options.hubs)}",
                f"CA           {emulator.ca_path} (what devices must trust)",
                "next: in another terminal, azureiot service cert upload certs/ca/root.crt (Ctrl-C ends this one)",
            ]
        ),
    )


async def _show_events(events: asyncio.Queue[Event], as_json: bool) -> None:
    while True:
        event = await events.get()
        data = {
            "sequence": event.sequence,
            "time": event.time.isoformat(),
            "kind": event.kind,
            "device_id": event.device_id,
            "text": event.text,
            "section": event.section,
            "detail": event.detail,
        }
        who = f"{event.device_id}: " if event.device_id else ""
        section = f" ({event.section})" if event.section else ""
        emit(as_json, data, f"{event.time.astimezone():%H:%M:%S} {event.kind:<12} {who}{event.text}{section}")


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return port
