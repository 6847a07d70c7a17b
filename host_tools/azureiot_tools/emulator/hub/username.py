"""The username of a CONNECT to a hub (docs/protocol.md §3.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from azureiot_tools.emulator.topics import parse_query

_USERNAME = re.compile(r"(?P<host>[^/]+)/(?P<device_id>[^/]+)(?:/(?P<module_id>[^/?=&]+))?(?:/\??(?P<query>.*))?")


@dataclass(frozen=True, slots=True)
class Username:
    """host: in lower case.  model_id: the Plug and Play model that the device says it has."""

    host: str
    device_id: str
    module_id: str | None
    model_id: str | None
    api_version: str | None


def parse_username(username: str) -> Username | None:
    """`{hubHost}/{deviceId}[/{moduleId}]/?api-version=…`; old clients leave out the "?", or the query.

    Returns None for anything else.
    """
    match = _USERNAME.fullmatch(username)
    if match is None:
        return None
    query = parse_query(match["query"] or "")
    return Username(
        match["host"].lower(), match["device_id"], match["module_id"], query.get("model-id"), query.get("api-version")
    )
