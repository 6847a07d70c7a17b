"""`azureiot monitor`: telemetry as it arrives at the emulator's hub."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from azureiot_tools.commands.service_api import add_common, client_of
from azureiot_tools.console import UserError, emit, printable
from azureiot_tools.service_answers import TELEMETRY, fits

STAMP = "iothub-"  # how the names begin of most that the hub itself adds (docs/protocol.md §3.5)


def add(commands: Any) -> None:
    """Add `monitor`."""
    parser = commands.add_parser(
        "monitor",
        help="see telemetry arrive at the emulator's hub",
        description="Print each telemetry message as it arrives, until Ctrl-C.",
    )
    parser.add_argument("--device", metavar="ID", help="only of this device")
    parser.add_argument("--count", metavar="N", type=_positive(int), help="end after N messages")
    parser.add_argument(
        "--timeout", metavar="S", type=_positive(float), help="end after S seconds; an error with --count"
    )
    parser.add_argument("--from-start", action="store_true", help="first what the running emulator remembers")
    add_common(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print messages until --count have come, --timeout has passed or the user interrupts."""
    client, as_json = client_of(arguments), getattr(arguments, "json", False)
    events = client.stream(arguments.device, "telemetry", 0 if arguments.from_start else None, arguments.timeout)
    if not as_json:
        whom = f"'{printable(arguments.device)}'" if arguments.device else "all devices"
        print(f"Waiting for telemetry of {whom} at {client.url}. Ctrl-C ends.", flush=True)
    seen = 0
    with closing(events):
        for event in events:
            if event["kind"] == "lost":
                emit(as_json, {"lost": event["detail"].get("count")}, f"({printable(event['text'])})")
                continue
            if not fits(event["detail"], TELEMETRY):
                raise client.stranger()
            emit(as_json, event["detail"], "\n".join(message_lines(event["detail"])))
            seen += 1
            if seen == arguments.count:
                return
    if arguments.count is not None:
        raise UserError(
            f"{seen} of {arguments.count} messages came within {arguments.timeout:g} s.",
            "Send some: azureiot simulate; what was refused: azureiot service events",
        )


def message_lines(message: dict[str, Any]) -> Iterator[str]:
    """One message (`azure_json.telemetry_body`) for a person: what a device sent is escaped."""
    time = printable(message["enqueuedTimeUtc"][:23].replace("T", " "))
    yield f"{time}  {printable(message['deviceId'])}  {_payload(message)}"
    system: dict[str, str] = message["system"]
    for title, shown in (
        ("properties", message["properties"]),
        ("system", {name: value for name, value in system.items() if name.startswith("$.")}),
    ):
        if shown:
            yield f"    {title}: " + "  ".join(_pair(name, value) for name, value in shown.items())
    yield "    hub's stamps: " + "  ".join(_stamps(system))


def _stamps(system: dict[str, str]) -> Iterator[str]:
    """The hub's own properties without their common prefix; of the authentication method its type says enough."""
    for name, value in system.items():
        if name == f"{STAMP}connection-auth-method":
            yield f"connection-auth-method={_authentication(value)}"
        elif not name.startswith("$."):
            yield _pair(name.removeprefix(STAMP), value)


def _authentication(method: str) -> str:
    try:
        return printable(str(json.loads(method)["type"]))
    except (ValueError, RecursionError, TypeError, KeyError):
        return printable(method)


def _payload(message: dict[str, Any]) -> str:
    if message["payloadEncoding"] == "base64":
        return f"(base64) {printable(message['payload'])}"
    return printable(message["payload"])


def _pair(name: str, value: str | None) -> str:
    return printable(name) if value is None else f"{printable(name)}={printable(value)}"


def _positive(kind: type[int] | type[float]) -> Any:
    def positive(text: str) -> float:
        value = kind(text)
        if not 0 < value < 1e9:
            raise ValueError
        return value

    positive.__name__ = "positive number"  # argparse names the type in its message
    return positive
