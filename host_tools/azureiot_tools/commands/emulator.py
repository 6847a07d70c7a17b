"""`azureiot emulator`: DPS and IoT Hub on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # the emulator's packages are heavy, and `azureiot --help` must work without them
    from azureiot_tools.emulator.events import Event
    from azureiot_tools.emulator.server import Emulator, EmulatorOptions

# How long the last lines may take when the emulator has stopped; nobody may be reading them.
LAST_LINES_S = 1.0


def add(commands: Any) -> None:
    """Add the parser of `azureiot emulator`."""
    parser = commands.add_parser(
        "emulator",
        help="run DPS and IoT Hub on this machine",
        description="Runs a Device Provisioning Service and IoT hubs on this machine, and says of every device what it "
        "did and why it was refused. Ctrl-C stops it; its state stays in the data directory.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where it listens for devices (default: %(default)s, this machine only)",
    )
    where.add_argument(
        "--lan",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="for boards: listen at this machine's address in the network, too (without ADDRESS it is found), with "
        "settings and a certificate for it; the service API stays for this machine only",
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
        help="host name of a linked hub; repeat it for several (default: localhost; with --lan the address)",
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
    from azureiot_tools.emulator import lan
    from azureiot_tools.emulator.server import EmulatorOptions

    address = None if arguments.lan is None else lan.check(arguments.lan) if arguments.lan else lan.find()
    options = EmulatorOptions(
        host=arguments.host,
        lan=address,
        port=arguments.port,
        http_port=arguments.http_port,
        data=arguments.data,
        id_scope=arguments.id_scope,
        hubs=tuple(arguments.hub or [address or "localhost"]),
        retry_after_s=arguments.retry_after,
    )
    with suppress(KeyboardInterrupt):  # where the loop takes no signal handlers (Windows), Ctrl-C arrives as this
        asyncio.run(_serve(options, arguments.json))


async def _serve(options: EmulatorOptions, as_json: bool) -> None:
    from azureiot_tools.emulator.server import Emulator

    emulator = Emulator(options)
    await emulator.start()
    stop = _stop_on_signals()
    with emulator.events.subscribe() as events:
        printer = threading.Thread(
            target=_print_all,
            args=(_ready(emulator, as_json), events, asyncio.get_running_loop(), as_json, _own_stdout()),
            daemon=True,
        )
        printer.start()
        try:
            await stop.wait()
        finally:
            await emulator.stop()
            await asyncio.to_thread(printer.join, LAST_LINES_S)


def _stop_on_signals() -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop


def _own_stdout() -> TextIO:
    """Standard output in a stream of its own: a thread that is stuck in sys.stdout keeps the process from ending."""
    sys.stdout.flush()
    return open(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="backslashreplace")


def _print_all(
    first: str, events: asyncio.Queue[Event], loop: asyncio.AbstractEventLoop, as_json: bool, stdout: TextIO
) -> None:
    """Print what happens until the emulator has stopped, or nobody takes it any more.

    To be run in a thread: while nobody reads what was printed, the emulator goes on and the queue drops its oldest.
    """
    from azureiot_tools.emulator.server import STOPPED

    with suppress(OSError, RuntimeError), stdout:  # RuntimeError: the loop has ended while we were stuck
        print(first, file=stdout, flush=True)
        last = False
        while not last:
            event = asyncio.run_coroutine_threadsafe(events.get(), loop).result()
            print(json.dumps(event.as_json()) if as_json else _line(event), file=stdout, flush=True)
            last = (event.kind, event.text) == ("emulator", STOPPED)


def _ready(emulator: Emulator, as_json: bool) -> str:
    from azureiot_tools.emulator.server import SERVICE_HOST
    from azureiot_tools.service import DEFAULT_URL

    options = emulator.options
    if as_json:
        return json.dumps(
            {
                "host": options.host,
                "lan": options.lan,
                "port": emulator.mqtt_port,
                "http_port": emulator.http_port,
                "id_scope": emulator.id_scope,
                "hub": emulator.hub,
                "hubs": list(options.hubs),
                "ca": str(emulator.ca_path),
                "settings": str(emulator.settings_path),
            }
        )
    lines = [
        f"MQTT         {' and '.join(f'{address}:{emulator.mqtt_port}' for address in emulator.addresses)}, "
        "TLS (DPS and hub)",
        f"service API  http://{SERVICE_HOST}:{emulator.http_port}",
        f"id scope     {emulator.id_scope}",
        f"hub          {', '.join(options.hubs)}",
        f"CA           {emulator.ca_path} (what devices must trust)",
        f"settings     {emulator.settings_path} (what leads devices here: give it with --settings)",
    ]
    service = f"http://{SERVICE_HOST}:{emulator.http_port}"
    where = "" if service == DEFAULT_URL else f" --url {service}"
    if options.lan:
        lines += _for_boards(emulator, options.lan)
    lines.append(
        f"next: in another terminal, azureiot service cert upload certs/ca/root.crt{where} (Ctrl-C ends this one)"
    )
    return "\n".join(lines)


def _for_boards(emulator: Emulator, address: str) -> list[str]:
    """What one must know, and type, when boards of the network are to come here."""
    lines = [
        f"             {json.dumps(emulator.settings)}",
        f"a board      azureiot board flash --settings {shlex.quote(str(emulator.settings_path))} "
        "--device mydevice001 --wifi SSID",
        f"warning: whoever reaches {address} can connect to port {emulator.mqtt_port}: this is a test tool, for a "
        "network that you trust",
    ]
    host, port = (emulator.former_settings.get(name) for name in ("provisioning_host", "port"))
    if host not in (None, "localhost") and (host, port) != (address, emulator.mqtt_port):
        lines.append(f"warning: boards that were told to call {host}, port {port}, find nobody there: flash them again")
    return lines


def _line(event: Event) -> str:
    who = f"{event.device_id}: " if event.device_id else ""
    section = f" ({event.section})" if event.section else ""
    return f"{event.time.astimezone():%H:%M:%S} {event.kind:<12} {who}{event.text}{section}"


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return port
