"""`azureiot provision`: register a device with DPS and print the hub and the device id it was given."""

from __future__ import annotations

import argparse
from typing import Any

from azureiot_tools.console import Report, UserError


def add(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    from azureiot_tools.simulator import launch

    parser = commands.add_parser(
        "provision",
        help="register a device with DPS: prints its hub and device id",
        description="Authenticate to DPS with a certificate, register, and print the assigned hub and the device id.",
    )
    launch.add_arguments(parser)
    parser.set_defaults(run=_provision)


def _provision(arguments: argparse.Namespace) -> Report:
    from azureiot_tools.simulator import launch

    events: list[dict[str, Any]] = []
    launch.run(arguments, events.append)
    if not events:
        raise UserError("The device ended without a word.", "With --micropython: is that a MicroPython on PATH?")
    assigned = events[-1]
    return Report(
        {"hub": assigned["hub"], "device_id": assigned["device_id"], "ms": assigned["ms"]},
        f"hub        {assigned['hub']}\ndevice id  {assigned['device_id']}",
        "azureiot simulate (the same options) sends telemetry",
    )
