"""The settings of a device: options win over environment variables, which win over settings.json.

The file is the one that a board reads, too. Paths in it are relative to the file.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azureiot.provisioning import GLOBAL_HOST
from azureiot_tools.console import UserError, reason

_PATHS = ("cert", "key", "pfx", "roots")
_NUMBERS = ("port", "interval_s")
_TEXTS = ("id_scope", "registration_id", "provisioning_host", "hub", "device_id", *_PATHS)
_ENVIRONMENT = {"id_scope": "DPS_IDSCOPE", "provisioning_host": "DPS_HOST", "registration_id": "DPS_REGISTRATION_ID"}


@dataclass(frozen=True)
class Settings:
    """Where a device connects and what it shows; None where nothing was said."""

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
    group.add_argument("--port", type=int, metavar="N", help="MQTT port of DPS and hub (default 8883)")
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
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The settings file {path} cannot be read: {reason(error)}.") from None
    except ValueError as error:
        raise UserError(f"The settings file {path} is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise UserError(f'The settings file {path} must be a JSON object, as in {{"id_scope": "0ne…"}}.')
    known: dict[str, Any] = {}
    for key, value in values.items():
        if key in _TEXTS and isinstance(value, str):
            known[key] = str(path.parent / value) if key in _PATHS else value
        elif key in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool):
            known[key] = value
        elif key in _TEXTS or key in _NUMBERS:
            raise UserError(
                f"{path}: {key} must be {'a text' if key in _TEXTS else 'a number'}, not {json.dumps(value)}."
            )
    return known
