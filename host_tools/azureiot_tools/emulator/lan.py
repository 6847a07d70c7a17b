"""The local network: at which address of this machine boards reach an emulator, and under which names.

No packet is sent to find out, and no name is looked up.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address

from azureiot_tools.console import UserError, reason

# For documentation (RFC 5737), so nobody's: which address would be used to send there is all that is asked.
_SOMEWHERE = ("192.0.2.1", 9)
_HINT = "Give the address that this machine has in the network of the boards, as in --lan 192.168.1.20."
_HOST_NAME = r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*"


def find() -> str:
    """This machine's IPv4 address on the network that its default route leads to.

    Raises UserError when there is no network.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)  # of a datagram socket: chooses the route, sends nothing
            address = IPv4Address(probe.getsockname()[0])
        except OSError as error:
            raise UserError(
                f"No network is found on which boards could reach this machine: {reason(error)}.", _HINT
            ) from None
    if address.is_loopback or address.is_unspecified:
        raise UserError("No network is found on which boards could reach this machine.", _HINT)
    return str(address)


def check(text: str) -> str:
    """The address that a user gave. Raises UserError unless it is an IPv4 address of this machine.

    IPv4 because every board has it, and because no hub's name has colons.
    """
    try:
        address = IPv4Address(text)
    except ValueError:
        raise UserError(f"{text} is not an IPv4 address.", _HINT) from None
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        raise UserError(f"{address} is not one machine's address.", _HINT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            raise UserError(
                f"{address} is not an address of this machine.", f"{_HINT} Alone, --lan finds it."
            ) from None
    return str(address)


def machine_names() -> tuple[str, ...]:
    """The names by which others may know this machine: its host name, and what multicast DNS makes of it (RFC 6762)."""
    name = socket.gethostname()
    names = (name, f"{name.partition('.')[0]}.local")
    return tuple(name for name in names if re.fullmatch(_HOST_NAME, name) and len(name) <= 253)


def free_port() -> int:
    """A port that is free on all addresses of this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))  # nobody can connect: it does not listen
        return probe.getsockname()[1]
