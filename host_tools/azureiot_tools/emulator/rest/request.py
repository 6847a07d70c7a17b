"""What every handler of the service API needs: the state, the request's JSON, and Azure's shape of an error."""

from __future__ import annotations

import hashlib
import re
from asyncio import Task
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from azureiot_tools.emulator.azure_json import read_json
from azureiot_tools.emulator.certificate import Certificate, UnreadableCertificate
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.service import Hub
from azureiot_tools.emulator.identities import Identities
from azureiot_tools.emulator.ids import is_registration_id
from azureiot_tools.emulator.registry import Registry
from azureiot_tools.emulator.sas import LONGEST_KEY_BYTES, SHORTEST_KEY_BYTES, is_key
from azureiot_tools.emulator.twins import Twins


@dataclass(frozen=True)
class Service:
    """hubs: the names of the linked hubs, the default first. linked: those hubs themselves. allocates: whether there is
    a custom allocation policy.

    waiting: the tasks that serve what has no end of its own soon; ended at shutdown.
    """

    registry: Registry
    events: Events
    identities: Identities
    twins: Twins
    hubs: tuple[str, ...]
    linked: Mapping[str, Hub]
    now: Callable[[], datetime]
    allocates: bool = False
    waiting: set[Task[Any]] = field(default_factory=set)


SERVICE: web.AppKey[Service] = web.AppKey("service", Service)


class ApiError(Exception):
    """An answer other than success. code: six digits, the HTTP status and three more (docs/protocol.md §1.5, §3.14)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        return self.code // 1000


def invalid(message: str) -> ApiError:
    """The request says something that cannot be: 400, ArgumentInvalid."""
    return ApiError(400004, message)


def service_of(request: web.Request) -> Service:
    return request.app[SERVICE]


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; {} when it is empty. Raises ApiError."""
    body = await request.read()
    if not body:
        return {}
    try:
        value = read_json(body)
    except ValueError as error:
        raise ApiError(400006, f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError(400006, "The body must be a JSON object.")
    return value


def whole_number(request: web.Request, name: str, default: int, largest: int) -> int:
    """A query parameter from 0 to `largest`. Raises ApiError."""
    return default if name not in request.query else in_range(request.query[name], name, largest)


def in_range(text: str, name: str, largest: int) -> int:
    """What `name` was given as, 0 to `largest`. Raises ApiError."""
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise invalid(f"'{name}' must be a whole number, not '{shortened(text)}'.")
    return min(int(text), largest)


def take(body: dict[str, Any], path: str, kind: type, default: Any = None) -> Any:
    """The value at a dotted path of the body; `default` when absent or null. Raises ApiError for another type."""
    value: Any = body
    walked: list[str] = []
    for name in path.split("."):
        if not isinstance(value, dict):
            raise invalid(f"'{'.'.join(walked)}' must be an object.")
        walked.append(name)
        value = value.get(name)
        if value is None:
            return default
    # bool is an int in Python; no field here is a number.
    if not isinstance(value, kind):
        raise invalid(f"'{path}' must be {_KINDS[kind]}.")
    return value


def check_known(body: dict[str, Any], fields: set[str], inside: str = "") -> None:
    """Refuse what would be ignored: a field that is misspelt, or asks for what the emulator does not do.

    fields: the dotted paths that are known, each with all that is in it. Raises ApiError.
    """
    for name, value in body.items():
        path = f"{inside}{name}"
        if path in fields or value is None:
            continue
        if not any(field.startswith(f"{path}.") for field in fields):
            known = sorted({field.removeprefix(inside).split(".")[0] for field in fields if field.startswith(inside)})
            raise invalid(f"The emulator knows no '{shortened(path)}' here; it knows {', '.join(known)}.")
        if isinstance(value, dict):
            check_known(value, fields, f"{path}.")


def take_certificate(body: dict[str, Any], path: str, *, for_devices: bool = True) -> Certificate:
    """The certificate at a dotted path of the body, as PEM text (the first in it) or base64 of DER.

    for_devices: whether it is to stand in devices' chains, so that what would be refused there is refused now.

    Raises ApiError.
    """
    text = take(body, path, str, "")
    if not text:
        raise invalid(f"'{path}' is missing: a certificate as PEM text or as base64 of DER.")
    try:
        certificate = Certificate.read_text(text)
    except UnreadableCertificate as error:
        raise invalid(f"'{path}' is not a certificate: {error}.") from None
    if for_devices and certificate.unfit is not None:
        raise invalid(f"'{certificate.name}' in {path} {certificate.unfit}. No device could register with it.")
    return certificate


def take_key(body: dict[str, Any], path: str) -> str | None:
    """The symmetric key at a dotted path of the body, None without. Raises ApiError, which does not repeat it."""
    key: str = take(body, path, str, "")
    if key and not is_key(key):
        raise invalid(f"'{path}' must be base64 of {SHORTEST_KEY_BYTES} to {LONGEST_KEY_BYTES} bytes.")
    return key or None


_KINDS = {str: "text", bool: "true or false", dict: "an object", list: "a list"}


def shortened(text: str) -> str:
    """For a message that quotes what a client sent."""
    return text if len(text) <= 100 else f"{text[:100]}…"


def require_same(body: dict[str, Any], name: str, in_path: str) -> None:
    """An id that the body repeats must be the path's."""
    if take(body, name, str, in_path) != in_path:
        raise invalid(f"The body's {name} '{body[name]}' is not the path's '{in_path}'.")


def check_id(what: str, value: str) -> str:
    """An id as DPS takes it (docs/protocol.md §1.2). Raises ApiError."""
    if not is_registration_id(value):
        raise invalid(
            f"'{shortened(value)}' cannot be a {what}: 1 to 128 letters, digits and - . _ : with a letter or digit "
            "first, and one or - last."
        )
    return value


def etag(record: Any) -> str:
    """Changes with the record's content."""
    return '"' + hashlib.sha256(repr(astuple(record)).encode()).hexdigest()[:16] + '"'


def check_if_match(request: web.Request, record: Any) -> None:
    """Refuse a change of something that has changed since the client read it (412)."""
    wanted = request.headers.get("If-Match")
    if wanted in (None, "*") and (record is not None or wanted is None):
        return
    if record is None or etag(record) != wanted:
        raise ApiError(412000, "The record has changed since it was read (If-Match). Read it again.")
