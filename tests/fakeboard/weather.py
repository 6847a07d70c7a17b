"""What surrounds a board: the networks in reach, the servers that answer."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

STAT_WRONG_PASSWORD = 202


@dataclass(frozen=True)
class Weather:
    """Read by the stand-ins each time they are asked; see firmware/standins."""

    access_points: dict[str, str] = field(default_factory=lambda: {"fakenet": "password"})
    """Name and password of each network in reach; "" is an open one."""
    dhcp: bool = True
    """Whether whoever joins is given an address."""
    join_ms: int = 50
    """How long joining takes."""
    wrong_password_status: int = STAT_WRONG_PASSWORD
    """What WLAN.status() says to a wrong password. Some access points make it 204, or leave it at 1001, connecting."""
    rssi: int = -55
    hosts: dict[str, str] = field(default_factory=dict)
    """Names that resolve, with their addresses, beside "localhost" and 127.x.x.x."""
    ntp: bool | list[str] = True
    """Which NTP servers answer: all, none, or these. The others keep silent."""
    idf_heap: list[tuple[int, int, int, int]] = field(default_factory=lambda: [(163840, 98304, 65536, 61440)])
    """The regions of esp32.idf_heap_info: total, free, largest free block, least free ever; in bytes."""

    def write(self, path: Path) -> None:
        """Replace the file at `path`, in one step for whoever reads it."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(fresh, path)
