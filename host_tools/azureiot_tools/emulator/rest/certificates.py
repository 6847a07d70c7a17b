"""/certificates: upload of CA certificates and proof of possession (docs/protocol.md §2.6)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import replace

from aiohttp import web

from azureiot_tools.emulator.certificate import Certificate, UnreadableCertificate
from azureiot_tools.emulator.registry import CaCertificate, utc_text
from azureiot_tools.emulator.rest.service import ApiError, check_if_match, etag, invalid, json_object, service_of, take

MOST_CERTIFICATES = 25  # docs/protocol.md §2.6

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
    certificate = read_certificate(take(body, "properties.certificate", str, ""), "properties.certificate")
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
    if record.verification_code is None:
        raise invalid(f"No verification code was asked for '{record.name}': azureiot service cert code {record.name}")
    proof = read_certificate(take(body, "certificate", str, ""), "certificate")
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


def read_certificate(text: str, where: str) -> Certificate:
    """A certificate from PEM text (the first in it) or base64 of DER. where: its field in the body. Raises ApiError."""
    if not text:
        raise invalid(f"'{where}' is missing: a certificate as PEM text or as base64 of DER.")
    pem = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    try:
        return Certificate.read(base64.b64decode("".join((pem[1] if pem else text).split()), validate=True))
    except binascii.Error:
        raise invalid(f"'{where}' is neither PEM text nor base64 of DER.") from None
    except UnreadableCertificate as error:
        raise invalid(f"'{where}' is not a certificate: {error}.") from None


def info(der: bytes) -> dict[str, str | int]:
    """`X509CertificateInfo` (docs/protocol.md §1.5)."""
    certificate = Certificate.read(der)
    return {
        "subjectName": certificate.name,
        "issuerName": certificate.issuer_name,
        "sha1Thumbprint": certificate.sha1,
        "sha256Thumbprint": certificate.sha256,
        "notBeforeUtc": utc_text(certificate.starts),
        "notAfterUtc": utc_text(certificate.ends),
        "serialNumber": f"{certificate.x509.serial_number:X}",
        "version": certificate.x509.version.value + 1,
    }


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
