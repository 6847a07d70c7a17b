"""`azureiot simulate`: a device that provisions itself and sends readings, a printed line each."""

from __future__ import annotations

import argparse
import json
from typing import Any

from azureiot_tools.console import emit, printable


def add(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    from azureiot_tools.settings import number
    from azureiot_tools.simulator import launch

    parser = commands.add_parser(
        "simulate",
        help="be a device: provision, connect, send readings",
        description="Provision a device and send readings of temperature and humidity, with the application property "
        "temperatureAlert (true above 30 °C). With --hub the device connects there directly, without DPS.",
    )
    launch.add_arguments(parser)
    parser.add_argument(
        "--count", type=number(1, 1_000_000, int), default=5, metavar="N", help="messages to send (default 5)"
    )
    parser.add_argument(
        "--interval", dest="interval_s", type=number(0, 86400), metavar="S", help="seconds between messages (default 0)"
    )
    parser.add_argument("--hub", metavar="HOST", help="connect to this hub directly")
    parser.add_argument("--device-id", metavar="ID", help="device id at that hub (default: the registration id)")
    parser.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> None:
    from azureiot_tools.simulator import launch

    launch.run(arguments, lambda event: emit(arguments.json, event, _line(event)), arguments.count)


def _line(event: dict[str, Any]) -> str:
    if event["event"] == "assigned":
        return f"assigned to {printable(event['hub'])} as {printable(event['device_id'])} ({event['ms']} ms)"
    if event["event"] == "connected":
        return f"connected to {printable(event['hub'])} ({event['ms']} ms)"
    properties = " ".join(f"{name}={value}" for name, value in event["properties"].items())
    return f"sent {json.dumps(event['payload'])} {properties} (acknowledged, {event['ms']} ms)"
