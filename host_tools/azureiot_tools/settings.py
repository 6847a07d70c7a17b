"""The settings of a device: options win over environment variables, which win over settings.json.

The file is the one that a board reads, too. Paths in it are relative to the file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azureiot.device import GLOBAL_HOST
from azureiot_tools.console import UserError, read_file, reason

MAX_BYTES = 1_000_000
_PATHS = ("cert", "key", "pfx", "roots")
_NUMBERS = ("port", "interval_s")
_OF_BOARDS = ("wifi", "ntp", "led", "watchdog_s", "symmetric_key", "model_id")  # what only a board reads
_MAX_TEXT = 4096
_TEXTS = ("id_scope", "registration_id", "provisioning_host", "hub", "device_id", *_PATHS)
_ENVIRONMENT = {"id_scope": "DPS_IDSCOPE", "provisioning_host": "DPS_HOST", "registration_id": "DPS_REGISTRATION_ID"}


@dataclass(frozen=True)
class Settings:
    """Where a device connects and what it shows; None where nothing was said.

    of_boards: the file's entries that only a board reads, as they are.
    """

    id_scope: str | None = None
    registration_id: str | None = None
    provisioning_host: str = GLOBAL_HOST
    port: int = 8883
    hub: str | None = None
    device_id: str | None = None
    cert: str | None = None
    key: str | None = None
    pfx: str | None = None
    roots: str | None = None
    interval_s: float = 0
    of_boards: dict[str, Any] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which device it is and where it connects."""
    group = parser.add_argument_group("the device, and where it connects")
    group.add_argument(
        "--settings", metavar="FILE", help="settings file (default: settings.json here, if there is one)"
    )
    group.add_argument("--id-scope", metavar="SCOPE", help="DPS id scope, 0ne… (environment DPS_IDSCOPE)")
    group.add_argument(
        "--registration-id", metavar="ID", help="registration id (default: the certificate's common name)"
    )
    group.add_argument(
        "--provisioning-host",
        metavar="HOST",
        help=f"DPS endpoint (environment DPS_HOST; default {GLOBAL_HOST}; "
        "China: global.azure-devices-provisioning.cn, US Government: ….us, an emulator: localhost)",
    )
    group.add_argument(
        "--port", type=number(1, 65535, int), metavar="N", help="MQTT port of DPS and hub (default 8883)"
    )
    group.add_argument("--pfx", metavar="FILE", help="certificate, chain and key in one PFX file")
    group.add_argument(
        "--password-file",
        metavar="FILE",
        help="the PFX password (else environment AZUREIOT_PFX_PASSWORD, else asked for)",
    )
    group.add_argument(
        "--cert", metavar="FILE", help="certificate file, PEM or DER: the leaf, then its issuing certificates"
    )
    group.add_argument("--key", metavar="FILE", help="private key file, PEM or DER")
    group.add_argument("--roots", metavar="PATH", help="server roots to trust instead of Azure's (an emulator's CA)")


def load(arguments: argparse.Namespace) -> Settings:
    """The settings that follow from options, environment and file.

    Raises UserError when the file is named but missing, unreadable, no JSON object, or has a value of the wrong kind.
    """
    values = _from_file(arguments.settings)
    for name, variable in _ENVIRONMENT.items():
        if os.environ.get(variable):
            values[name] = os.environ[variable]
    for name in (*_TEXTS, *_NUMBERS):
        option = getattr(arguments, name, None)
        if option is not None:
            values[name] = option
    if getattr(arguments, "pfx", None):
        values.pop("cert", None)
        values.pop("key", None)
    elif getattr(arguments, "cert", None):
        values.pop("pfx", None)
    return Settings(**values)


def _from_file(name: str | None) -> dict[str, Any]:
    path = Path(name or "settings.json")
    if name is None and not path.exists():
        return {}
    try:
        values = json.loads(read_file(path, MAX_BYTES, "settings file").decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"The settings file {path} cannot be read: {reason(error)}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"The settings file {path} is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise UserError(f'The settings file {path} must be a JSON object, as in {{"id_scope": "0ne…"}}.')
    checked = {key: _checked(path, key, value) for key, value in values.items() if key not in _OF_BOARDS}
    return checked | {"of_boards": {key: value for key, value in values.items() if key in _OF_BOARDS}}


def _checked(path: Path, key: str, value: Any) -> Any:
    """One value of the file. Raises UserError when it is of the wrong kind or nobody knows the key."""
    if key in _TEXTS:
        if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_TEXT:
            raise UserError(f"{path}: {key} must be a text, not {json.dumps(value)[:80]}.")
        return str(path.parent / value) if key in _PATHS else value
    if key == "port":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
            raise UserError(f"{path}: port must be a number from 1 to 65535, not {json.dumps(value)[:80]}.")
        return value
    if key == "interval_s":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 86400:
            raise UserError(
                f"{path}: interval_s must be a number of seconds up to 86400, not {json.dumps(value)[:80]}."
            )
        return value
    raise UserError(f"{path}: {key} is not a setting.", f"There are {', '.join((*_TEXTS, *_NUMBERS, *_OF_BOARDS))}.")


def number(low: float, high: float, kind: type[int] | type[float] = float) -> Callable[[str], float]:
    """An argparse type: a number from low to high."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse
