"""DPS over HTTPS: the same as over MQTT, with the REST API's paths (docs/protocol.md §1.7)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from azureiot_tools.emulator.azure_json import error_body
from azureiot_tools.emulator.dps.provisioning import Answer, Provisioning, Registrant
from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.peer import Peer

MAX_BODY_BYTES = 96 * 1024  # docs/protocol.md §1.3

_log = logging.getLogger("azureiot.emulator")


def build(provisioning: Provisioning, events: Events, now: Callable[[], datetime]) -> web.Application:
    """The application, for connections whose transport's extra info "peer" is a `Peer`."""
    routes = web.RouteTableDef()

    @routes.put("/{id_scope}/registrations/{id}/register")
    async def register(request: web.Request) -> web.Response:
        answer = provisioning.register(_registrant(request), await request.read())
        return _response(request, answer)

    @routes.get("/{id_scope}/registrations/{id}/operations/{operation_id}")
    async def poll(request: web.Request) -> web.Response:
        return _response(request, provisioning.poll(_registrant(request), request.match_info["operation_id"]))

    @routes.post("/{id_scope}/registrations/{id}")
    async def look_up(request: web.Request) -> web.Response:
        return _response(request, provisioning.look_up(_registrant(request)))

    def error(request: web.Request, code: int, message: str) -> web.Response:
        return _response(request, Answer(code // 1000, error_body(code, message, now())))

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is None and not request.query.get("api-version"):
                return error(request, 400004, "The query parameter api-version is missing.")
            return await handler(request)
        except web.HTTPException as refusal:
            response = error(request, refusal.status * 1000, refusal.reason)
            response.headers.update({name: refusal.headers[name] for name in ("Allow",) if name in refusal.headers})
            return response
        except Exception as fault:
            what = f"DPS failed at {request.method} {request.path}"
            _log.exception(what)
            events.publish("emulator", "", f"{what}: {type(fault).__name__}: {fault}")
            return error(request, 500001, "The emulator's own fault. How: azureiot service events")

    app = web.Application(middlewares=[answer_errors], client_max_size=MAX_BODY_BYTES)
    app.add_routes(routes)
    return app


def _registrant(request: web.Request) -> Registrant:
    """Who asks: the certificate is the connection's, a token the request's."""
    assert request.transport is not None
    peer: Peer = request.transport.get_extra_info("peer")
    token = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return Registrant(request.match_info["id_scope"], request.match_info["id"], peer.chain, token)


def _response(request: web.Request, answer: Answer) -> web.Response:
    headers = {}
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.status == 202:
        path = request.path.removesuffix("/register").partition("/operations/")[0]
        operation = f"{path}/operations/{answer.body['operationId']}"
        headers["Location"] = str(request.url.with_scheme("https").with_path(operation, keep_query=True))
    if answer.status >= 400:
        headers["x-ms-error-code"] = str(answer.body["errorCode"])
    return web.json_response(answer.body, status=answer.status, headers=headers)
