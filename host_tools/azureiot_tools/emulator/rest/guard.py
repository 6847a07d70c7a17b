"""Who may talk to the service API, and how it says no.

The API listens on loopback, where every web page that the developer opens can send requests. A page gives itself away
by its Origin, and by its Host when it makes a name of its own resolve to 127.0.0.1 (DNS rebinding). And as there is no
CORS answer, a browser never sends a page's request with the content type that changes of state must have. Of requests
without an Origin, which a link or an image makes, it says that they come from another site.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from azureiot_tools.emulator.azure_json import error_body
from azureiot_tools.emulator.rest.request import SERVICE, ApiError

LARGEST_BODY_BYTES = 1024 * 1024

# Azure's paths want an api-version; these are the emulator's own.
_OWN_PATHS = frozenset({"/", "/registrations", "/telemetry/{id}", "/events", "/stream"})

# A message may be anything. A page's POST to here is known by its Origin alone.
_ANY_CONTENT = frozenset({"/devices/{id}/messages/devicebound"})

_log = logging.getLogger("azureiot.emulator")


def middlewares(allowed_hosts: Callable[[], set[str]]) -> list[Middleware]:
    """From the outside in: errors in Azure's shape, then the checks."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ApiError as error:
            response = _error(request, error.status, error.code, error.message)
        except web.HTTPException as error:
            message = _MESSAGES.get(error.status) or error.reason or "Error"
            message = message.format(method=request.method, path=request.path)
            response = _error(request, error.status, error.status * 1000, message)
            response.headers.update({name: error.headers[name] for name in ("Allow",) if name in error.headers})
        except Exception as error:
            what = f"the service API failed at {request.method} {request.path}"
            _log.exception(what)
            request.app[SERVICE].events.publish("emulator", "", f"{what}: {type(error).__name__}: {error}")
            response = _error(request, 500, 500001, "The emulator's own fault. How: azureiot service events")
        if not response.prepared:
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = allowed_hosts()
        host = request.headers.get("Host", "")
        if _with_port(host) not in hosts:
            raise ApiError(403000, f"The Host '{host}' is not this service: use {' or '.join(sorted(hosts))}.")
        origin = request.headers.get("Origin")
        if origin is not None and _with_port(origin) not in {f"http://{host}" for host in hosts}:
            raise ApiError(403000, f"Requests from the web page at '{origin}' are refused.")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin"):
            raise ApiError(403000, f"Requests from another web page ({site}) are refused.")
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else None
        if path not in _ANY_CONTENT:
            _check_content_type(request)
        if path is not None and path not in _OWN_PATHS:
            _check_api_version(request)
        return await handler(request)

    return [answer_errors, check]


def _with_port(authority: str) -> str:
    """Lower-case, and with the port that a client leaves out when it is HTTP's own."""
    return authority.lower() if re.search(r":\d+$", authority) else f"{authority.lower()}:80"


def _check_content_type(request: web.Request) -> None:
    if request.method in ("GET", "HEAD"):
        return
    # A page can send a POST, with or without a body, but not with this content type; PUT and DELETE not at all.
    needed = request.method == "POST" or request.body_exists or "Content-Type" in request.headers
    given = "Content-Type" in request.headers and request.content_type == "application/json"
    if needed and not given:
        raise ApiError(415000, "Send Content-Type: application/json, also with an empty body.")


def _check_api_version(request: web.Request) -> None:
    version = request.query.get("api-version")
    if version is None:
        raise ApiError(400004, "The query parameter api-version is missing, for example ?api-version=2021-10-01.")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(-preview)?", version, re.ASCII):
        raise ApiError(400004, f"The api-version '{version}' is not a version: give one such as 2021-10-01.")


_MESSAGES = {
    404: "There is nothing at {path}.",
    405: "{method} is not possible at {path}.",
    413: f"The body is larger than {LARGEST_BODY_BYTES} bytes.",
}


def _error(request: web.Request, status: int, code: int, message: str) -> web.Response:
    service = request.app.get(SERVICE)
    now = service.now() if service else datetime.now(UTC)
    return web.json_response(error_body(code, message, now), status=status)
