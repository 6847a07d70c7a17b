"""settings.json for a board: what the host's settings say, the board's own entries, and the Wi-Fi networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azureiot_tools.console import UserError, printable
from azureiot_tools.settings import Settings

PASSWORD_VARIABLE = "AZUREIOT_WIFI_PASSWORD"

Network = dict[str, str]

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

# What only boards use, and what each must be, in words. The settings of the host pass them over.
_BOARD_ONLY = {
    "wifi": "a list of networks",
    "ntp": "a list of host names",
    "led": "a pin, its number or its name",
    # Less than a handshake and a slow name server take would restart boards that are well.
    "watchdog_s": "a whole number of seconds from 5 to 3600",
}
_LONGEST_SSID_BYTES = 32  # IEEE 802.11


def board_only(chosen: Settings) -> dict[str, Any]:
    """The entries of the settings that only boards use. Raises UserError for one of the wrong kind."""
    values = chosen.of_boards
    found = {name: values[name] for name in _BOARD_ONLY if values.get(name) is not None}
    for name, value in found.items():
        if not _fits(name, value):
            raise UserError(f"In the settings {name} must be {_BOARD_ONLY[name]}.")
    for entry in found.get("wifi", ()):
        if not _is_network(entry):
            raise UserError('In the settings wifi must be a list as in [{"ssid": "home", "password": "…"}].')
        network(entry["ssid"], entry.get("password", ""))
    return found


def network(ssid: str, password: str) -> Network:
    """A Wi-Fi network for a board; password "": an open one. Raises UserError for what no access point would have."""
    try:
        size_bytes = len(ssid.encode())
        password.encode()
    except UnicodeEncodeError:
        raise UserError("The name or the password of the Wi-Fi network is not UTF-8.") from None
    if not 1 <= size_bytes <= _LONGEST_SSID_BYTES:
        raise UserError(f"The name of a Wi-Fi network has 1 to {_LONGEST_SSID_BYTES} bytes, not {size_bytes}.")
    if password and not 8 <= len(password) <= 64:  # 64: the key itself, in hex
        raise UserError(f"The password of the Wi-Fi network {printable(ssid)} must have 8 to 63 characters.")
    return {"ssid": ssid, "password": password}


def networks(known: Sequence[Network], new: Network | None) -> list[Network]:
    """The networks to put on the board, in the order in which it tries them: the new one, then those known."""
    if new is None:
        return list(known)
    return [new, *(network for network in known if network["ssid"] != new["ssid"])]


def build(chosen: Settings, registration_id: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """settings.json of the board but for its networks and the paths of its certificates.

    extra: board_only's entries.

    Raises UserError when the id scope is missing.
    """
    if not chosen.id_scope:
        raise UserError(
            "The id scope is missing.",
            "Put it into settings.json or DPS_IDSCOPE (the portal shows it on the DPS overview page).",
        )
    values: dict[str, Any] = {
        "id_scope": chosen.id_scope,
        "registration_id": registration_id,
        "provisioning_host": chosen.provisioning_host,
        "port": chosen.port,
        **extra,
    }
    if chosen.interval_s:
        values["interval_s"] = chosen.interval_s
    return values


def with_networks(values: Mapping[str, Any], wifi: Sequence[Network]) -> dict[str, Any]:
    """The settings with their networks. Raises UserError when there is none."""
    if not wifi:
        raise UserError("The board needs a Wi-Fi network.", "Give it with --wifi SSID.")
    return {**values, "wifi": list(wifi)}


def warning(chosen: Settings) -> str:
    """What will hardly work on a board, or ""."""
    if chosen.provisioning_host in _THIS_MACHINE:
        return (
            f"{chosen.provisioning_host} is the board itself when a board says it; "
            "an emulator that boards reach, and --settings for it: azureiot emulator --lan"
        )
    return ""


def _fits(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if name == "watchdog_s":
        return isinstance(value, int) and 5 <= value <= 3600
    if name == "led":
        return (isinstance(value, str) and value != "") or (isinstance(value, int) and 0 <= value < 100)
    if name == "ntp":
        return isinstance(value, list) and value != [] and all(isinstance(host, str) and host for host in value)
    return isinstance(value, list)


def _is_network(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("ssid"), str)
        and value["ssid"] != ""
        and isinstance(value.get("password", ""), str)
    )
