"""Start a device with the settings given: check its certificate, choose the runtime, report what happens."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from azureiot import AzureIoTError
from azureiot_tools import settings
from azureiot_tools.console import UserError
from azureiot_tools.simulator import program, unix_port
from azureiot_tools.simulator.readings import reading

LONGEST_NAME = 253  # of a host; ids are shorter (docs/protocol.md §1.2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a device."""
    settings.add_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=settings.number(0.1, 86400),
        default=60,
        metavar="S",
        help="give up a step after this many seconds (default 60)",
    )
    parser.add_argument("--micropython", action="store_true", help="run the device on MicroPython's unix port")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, report: Callable[[dict[str, Any]], None], count: int = 0) -> None:
    """Provision the device and send `count` readings; each event is reported with the milliseconds since the last.

    Raises UserError for whatever went wrong, in words and with what to do next.
    """
    config = _config(settings.load(arguments), arguments, count)
    started = time.monotonic()

    def timed(event: dict[str, Any]) -> None:
        nonlocal started
        now = time.monotonic()
        report({**event, "ms": round((now - started) * 1000)})
        started = now

    try:
        if arguments.micropython:
            interpreter = unix_port.find()
            if interpreter is None:
                raise UserError(f"{unix_port.missing()}.")
            unix_port.run(interpreter, config, timed)
        else:
            program.run(config, timed, reading)
    except AzureIoTError as error:
        refused = isinstance(error.code, int) or str(error.code).startswith("connack")
        is_azure = ".azure-devices" in (config["hub"] or config["provisioning_host"])
        why = " The emulator says why: azureiot service events" if refused and not is_azure else ""
        raise UserError(f"{error}{why}") from None


def _config(chosen: settings.Settings, arguments: argparse.Namespace, count: int) -> dict[str, Any]:
    certificate, key, registration_id = _credential(chosen, arguments)
    for text in (chosen.id_scope, registration_id, chosen.provisioning_host, chosen.hub, chosen.device_id):
        if text and not (text.isprintable() and len(text) <= LONGEST_NAME):
            raise UserError(f"{text[:80]!r} can be neither a host nor an id.", "Check what was given.")
    if not chosen.hub and not chosen.id_scope:
        raise UserError(
            "The id scope is missing.",
            "Give it with --id-scope, in DPS_IDSCOPE or in settings.json "
            "(the portal shows it on the DPS overview page, an emulator when it starts).",
        )
    direct = chosen.hub and count
    return {
        "id_scope": None if direct else chosen.id_scope,
        "registration_id": registration_id,
        "hub": chosen.hub if direct else None,
        "device_id": (chosen.device_id or registration_id) if direct else None,
        "provisioning_host": chosen.provisioning_host,
        "port": chosen.port,
        "roots": _roots(chosen.roots),
        "certificate": certificate,
        "key": key,
        "timeout_s": arguments.timeout,
        "count": count,
        "interval_s": chosen.interval_s,
    }


def _roots(name: str | None) -> bytes | str | None:
    """The roots to trust: a directory by its name, of a file its certificates. Raises UserError when it has none."""
    from azureiot_tools.certificates import formats
    from azureiot_tools.certificates.credential import to_pem

    if name is None or Path(name).is_dir():
        return name
    if not Path(name).exists():
        raise UserError(f"The roots {name} do not exist.", "An emulator prints the path of its CA when it starts.")
    found = formats.parse_file(Path(name))
    if not found.certificates:
        raise UserError(f"{name} holds no certificate but {formats.summary(found)}.")
    return to_pem(found.certificates)


def _credential(chosen: settings.Settings, arguments: argparse.Namespace) -> tuple[bytes, bytes, str]:
    """(certificate, key, registration id), checked as far as one can before the service is asked."""
    from azureiot_tools.certificates.credential import check_for_registration, common_name, to_der
    from azureiot_tools.certificates.formats import load_pair
    from azureiot_tools.certificates.options import pfx_password
    from azureiot_tools.certificates.pfx import load_pfx

    if chosen.pfx:
        credential = load_pfx(Path(chosen.pfx), partial(pfx_password, arguments, chosen.pfx))
    elif chosen.cert and chosen.key:
        credential = load_pair(Path(chosen.cert), Path(chosen.key))
    else:
        raise UserError(
            "A device certificate is missing.", "Give it with --pfx FILE, or with --cert FILE and --key FILE."
        )
    registration_id = chosen.registration_id or common_name(credential.certificate)
    check_for_registration(credential, registration_id)
    return *to_der(credential), registration_id
