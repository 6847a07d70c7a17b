"""/certificates: upload of CA certificates and proof of possession (docs/protocol.md §2.6)."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import replace

from aiohttp import web

from azureiot_tools.emulator.azure_json import utc_text
from azureiot_tools.emulator.certificate import Certificate
from azureiot_tools.emulator.records import CaCertificate
from azureiot_tools.emulator.rest.request import (
    ApiError,
    check_if_match,
    check_known,
    etag,
    invalid,
    json_object,
    service_of,
    take,
    take_certificate,
)

MOST_CERTIFICATES = 25  # docs/protocol.md §2.6

_FIELDS = {"name", "etag", "properties.certificate", "properties.isVerified"}
# What a client that sends back what it was shown has in it; the emulator's to say.
_FIELDS |= {f"properties.{name}" for name in ("subject", "expiry", "thumbprint", "sha256Thumbprint")}
_FIELDS |= {f"properties.{name}" for name in ("verificationCode", "created", "updated")}

routes = web.RouteTableDef()


@routes.get("/certificates")
async def list_all(request: web.Request) -> web.Response:
    return web.json_response({"value": [_shown(one) for one in service_of(request).registry.certificates()]})


@routes.put("/certificates/{name}")
async def put(request: web.Request) -> web.Response:
    service = service_of(request)
    name = request.match_info["name"]
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name, re.ASCII):
        raise invalid(f"'{name}' cannot be a certificate's name: 1 to 64 letters, digits and - . _")
    body = await json_object(request)
    check_known(body, _FIELDS)
    certificate = take_certificate(body, "properties.certificate")
    if not certificate.is_ca:
        raise invalid(
            f"'{certificate.name}' is not a CA certificate (basic constraints, key usage). Upload the one "
            "that issues your devices' certificates."
        )
    verified: bool = take(body, "properties.isVerified", bool, False)
    old = service.registry.certificate(name)
    check_if_match(request, old)
    if old is None and len(service.registry.certificates()) >= MOST_CERTIFICATES:
        raise ApiError(403002, f"DPS holds {MOST_CERTIFICATES} CA certificates at most. Delete one first.")
    now = service.now()
    if old is not None and old.der == certificate.der:
        new = replace(old, verified=verified or old.verified, updated=now)
    else:
        new = CaCertificate(name, certificate.der, verified, None, old.created if old else now, now)
    service.registry.put_certificate(new)
    return web.json_response(_shown(new), status=201 if old is None else 200)


@routes.get("/certificates/{name}")
async def get(request: web.Request) -> web.Response:
    return web.json_response(_shown(_named(request)))


@routes.delete("/certificates/{name}")
async def delete(request: web.Request) -> web.Response:
    service = service_of(request)
    record = _named(request)
    check_if_match(request, record)
    users = [group.id for group in service.registry.groups() if record.name in group.ca_names]
    if users:
        raise ApiError(409000, f"Enrollment groups stand on '{record.name}': {', '.join(users)}. Delete them first.")
    service.registry.delete_certificate(record.name)
    return web.Response(status=204)


@routes.post("/certificates/{name}/generateVerificationCode")
async def generate_code(request: web.Request) -> web.Response:
    service = service_of(request)
    record = replace(_named(request), verification_code=secrets.token_hex(24).upper(), updated=service.now())
    service.registry.put_certificate(record)
    return web.json_response(_shown(record))


@routes.post("/certificates/{name}/verify")
async def verify(request: web.Request) -> web.Response:
    service = service_of(request)
    record = _named(request)
    body = await json_object(request)
    check_known(body, {"certificate"})
    if record.verification_code is None:
        raise invalid(f"No verification code was asked for '{record.name}': azureiot service cert code {record.name}")
    proof = take_certificate(body, "certificate", for_devices=False)
    if proof.common_names != [record.verification_code]:
        raise invalid(f"The common name of '{proof.name}' must be the verification code {record.verification_code}.")
    if not Certificate.read(record.der).issued(proof):
        raise invalid(f"The verification certificate was not signed by the key of '{record.name}'.")
    now = service.now()
    if not proof.starts <= now <= proof.ends:
        raise invalid(
            f"The verification certificate is valid from {proof.starts:%Y-%m-%d %H:%M} to "
            f"{proof.ends:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}."
        )
    record = replace(record, verified=True, verification_code=None, updated=now)
    service.registry.put_certificate(record)
    service.events.publish("emulator", "", f"the CA '{record.name}' is verified", "docs/protocol.md §2.6")
    return web.json_response(_shown(record))


def _named(request: web.Request) -> CaCertificate:
    name = request.match_info["name"]
    record = service_of(request).registry.certificate(name)
    if record is None:
        raise ApiError(404000, f"There is no certificate '{name}'. Upload it: azureiot service cert upload FILE")
    return record


def _shown(record: CaCertificate) -> dict[str, object]:
    certificate = Certificate.read(record.der)
    return {
        "name": record.name,
        "etag": etag(record),
        "properties": {
            "subject": certificate.name,
            "expiry": utc_text(certificate.ends),
            "thumbprint": certificate.sha1,
            "sha256Thumbprint": certificate.sha256,
            "isVerified": record.verified,
            "verificationCode": record.verification_code,
            "certificate": base64.b64encode(record.der).decode(),
            "created": utc_text(record.created),
            "updated": utc_text(record.updated),
        },
    }
