"""The client of the emulator's service API: what `azureiot service`, `azureiot monitor` and the demo talk through."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from azureiot_tools import service_answers as answers
from azureiot_tools.console import UserError, reason

DEFAULT_URL = "http://127.0.0.1:8080"
API_VERSION = "2021-10-01"
REQUEST_TIMEOUT_S = 15.0

# The emulator sends a comment line every 15 s; a stream that is silent for longer is dead.
_STREAM_SILENCE_S = 45.0

# Ours answers with less: 4 MB of telemetry, events of some hundred kB.
_LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_LONGEST_EVENT_BYTES = 4 * 1024 * 1024

Json = dict[str, Any]
_BY_KEYS = {"type": "symmetricKey"}


class ServiceError(UserError):
    """The service refused. status: HTTP's. code: Azure's six digits. tracking_id: names the request."""

    def __init__(self, status: int, code: int, message: str, tracking_id: str) -> None:
        tracking = f", tracking id {tracking_id}" if tracking_id else ""
        super().__init__(f"{message} (error {code}{tracking})")
        self.status = status
        self.code = code
        self.tracking_id = tracking_id


class ServiceClient:
    """Calls the service API at `url`. Certificates are given as DER; what comes back is the API's JSON.

    Every method raises UserError when the emulator cannot be reached, ServiceError when it refuses.
    """

    def __init__(self, url: str = DEFAULT_URL) -> None:
        self._address = _host_and_port(url)
        self.url = url.rstrip("/")

    # CA certificates.

    def upload_certificate(self, name: str, der: bytes, *, verified: bool = False) -> Json:
        """Upload a CA certificate; `verified` declares it verified without proof of possession."""
        body = {"properties": {"certificate": base64.b64encode(der).decode(), "isVerified": verified}}
        return self._call("PUT", _path("certificates", name), answers.CERTIFICATE, body)

    def certificates(self) -> list[Json]:
        return self._call("GET", "/certificates", answers.CERTIFICATES)["value"]

    def certificate(self, name: str) -> Json:
        return self._call("GET", _path("certificates", name), answers.CERTIFICATE)

    def verification_code(self, name: str) -> str:
        """A new code, which the common name of the verification certificate must be."""
        path = _path("certificates", name, "generateVerificationCode")
        answer = self._call("POST", path, answers.VERIFICATION_CODE)
        return answer["properties"]["verificationCode"]

    def verify_certificate(self, name: str, der: bytes) -> Json:
        """Prove possession of the CA's key with a verification certificate."""
        body = {"certificate": base64.b64encode(der).decode()}
        return self._call("POST", _path("certificates", name, "verify"), answers.CERTIFICATE, body)

    def delete_certificate(self, name: str) -> None:
        self._call("DELETE", _path("certificates", name), answers.NOTHING)

    # Enrollments.

    def create_group(self, id: str, ca_names: list[str], *, enabled: bool = True) -> Json:
        """Create or replace an enrollment group over uploaded, verified CAs: primary, and perhaps secondary."""
        references = dict(zip(("primary", "secondary"), ca_names, strict=False))
        body = {
            "enrollmentGroupId": id,
            "provisioningStatus": _status(enabled),
            "attestation": {"type": "x509", "x509": {"caReferences": references}},
        }
        return self._call("PUT", _path("enrollmentGroups", id), answers.GROUP, body)

    def groups(self) -> list[Json]:
        return self._call(
            "POST", "/enrollmentGroups/query", [answers.GROUP], {"query": "SELECT * FROM enrollmentGroups"}
        )

    def delete_group(self, id: str) -> None:
        self._call("DELETE", _path("enrollmentGroups", id), answers.NOTHING)

    def create_enrollment(
        self, registration_id: str, der: bytes, *, device_id: str | None = None, enabled: bool = True
    ) -> Json:
        """Create or replace a device's individual enrollment by its leaf certificate."""
        certificates = {"primary": {"certificate": base64.b64encode(der).decode()}}
        body = {
            "registrationId": registration_id,
            "deviceId": device_id,
            "provisioningStatus": _status(enabled),
            "attestation": {"type": "x509", "x509": {"clientCertificates": certificates}},
        }
        return self._call("PUT", _path("enrollments", registration_id), answers.ENROLLMENT, body)

    def create_key_group(self, id: str, *, enabled: bool = True) -> Json:
        """Create or replace an enrollment group with symmetric keys, which `group_keys` tells; they stay."""
        body = {"enrollmentGroupId": id, "provisioningStatus": _status(enabled), "attestation": _BY_KEYS}
        return self._call("PUT", _path("enrollmentGroups", id), answers.GROUP, body) | {"attestation": _BY_KEYS}

    def create_key_enrollment(
        self, registration_id: str, *, device_id: str | None = None, enabled: bool = True
    ) -> Json:
        """The same of a device's individual enrollment; `enrollment_keys` tells the keys."""
        body = {
            "registrationId": registration_id,
            "deviceId": device_id,
            "provisioningStatus": _status(enabled),
            "attestation": _BY_KEYS,
        }
        path = _path("enrollments", registration_id)
        return self._call("PUT", path, answers.ENROLLMENT, body) | {"attestation": _BY_KEYS}

    def group_keys(self, id: str) -> list[str]:
        """The symmetric keys of an enrollment group, primary and secondary; none when it is by certificate."""
        return self._keys(_path("enrollmentGroups", id, "attestationmechanism"))

    def enrollment_keys(self, registration_id: str) -> list[str]:
        """The same of an individual enrollment."""
        return self._keys(_path("enrollments", registration_id, "attestationmechanism"))

    def _keys(self, path: str) -> list[str]:
        attestation = self._call("POST", path, answers.ATTESTATION)
        if attestation["type"] != "symmetricKey":
            return []
        return [attestation["symmetricKey"][slot] for slot in ("primaryKey", "secondaryKey")]

    def enrollments(self) -> list[Json]:
        return self._call("POST", "/enrollments/query", [answers.ENROLLMENT], {"query": "SELECT * FROM enrollments"})

    def delete_enrollment(self, registration_id: str) -> None:
        self._call("DELETE", _path("enrollments", registration_id), answers.NOTHING)

    # Registrations and devices.

    def registrations(self, group: str | None = None) -> list[Json]:
        """All registrations, or those of one enrollment group."""
        method, path = ("GET", "/registrations") if group is None else ("POST", _path("registrations", group, "query"))
        return self._call(method, path, [answers.REGISTRATION])

    def devices(self) -> list[Json]:
        return self._call("GET", "/devices", [answers.DEVICE])

    def device(self, device_id: str) -> Json:
        return self._call("GET", _path("devices", device_id), answers.DEVICE)

    def set_device_enabled(self, device_id: str, enabled: bool) -> Json:
        """Allow or block a device at its hub."""
        device = self.device(device_id)
        body = device | {"status": _status(enabled)}
        query = {"hub": device["hub"]}
        return self._call("PUT", _path("devices", device_id), answers.DEVICE, body, query, etag=device["etag"])

    def delete_device(self, device_id: str) -> None:
        self._call("DELETE", _path("devices", device_id), answers.NOTHING)

    # Twins, methods, messages to devices.

    def twin(self, device_id: str) -> Json:
        return self._call("GET", _path("twins", device_id), answers.TWIN)

    def patch_twin(self, device_id: str, *, desired: Json | None = None, tags: Json | None = None) -> Json:
        """Merge patches of desired properties and tags: null removes. Returns the whole twin."""
        body = {"properties": {"desired": desired}, "tags": tags}
        return self._call("PATCH", _path("twins", device_id), answers.TWIN, body)

    def call_method(self, device_id: str, name: str, payload: Any, timeout_s: int, connect_timeout_s: int = 0) -> Json:
        """Call a direct method and wait for the device's answer: its status and its payload."""
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": timeout_s,
            "connectTimeoutInSeconds": connect_timeout_s,
        }
        path = _path("twins", device_id, "methods")
        wait_s = REQUEST_TIMEOUT_S + timeout_s + connect_timeout_s
        return self._call("POST", path, answers.METHOD_ANSWER, body, timeout_s=wait_s)

    def send_message(self, device_id: str, payload: bytes, headers: dict[str, str]) -> Json:
        """Queue a cloud-to-device message; headers: "iothub-messageid" and so on, "iothub-app-NAME" for properties."""
        path = _path("devices", device_id, "messages", "devicebound")
        return self._call("POST", path, answers.SENT_MESSAGE, payload, headers=headers)

    # What arrives and what happens.

    def telemetry(self, device_id: str, after: int = 0, limit: int = 100) -> list[Json]:
        """A device's stored messages, oldest first, with a sequence above `after`."""
        found: list[Json] = []
        while len(found) < limit:  # an answer is cut when its messages are large
            query = {"after": after, "limit": limit - len(found)}
            page = self._call("GET", _path("telemetry", device_id), [answers.STORED_TELEMETRY], query=query)
            if not page:
                break
            found += page
            after = page[-1]["sequence"]
        return found

    def events(self, device: str | None = None, after: int = 0, limit: int = 100) -> list[Json]:
        """The newest of the remembered events, oldest first."""
        query: Json = {"after": after, "limit": limit}
        query |= {"device": device} if device is not None else {}
        return self._call("GET", "/events", [answers.EVENT], query=query)

    def stream(
        self,
        device: str | None = None,
        kind: str | None = None,
        after: int | None = None,
        timeout_s: float | None = None,
    ) -> Generator[Json]:
        """Events as they happen, from the moment this method returns; with `after` first the remembered ones above it.

        The iterator ends after timeout_s (None: never), and raises UserError when the emulator ends.
        """
        filters = {"device": device, "kind": kind, "after": after}
        query = {name: value for name, value in filters.items() if value is not None}
        sock, response = self._open("GET", "/stream", None, query)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return self._frames(sock, response, deadline)

    def _frames(
        self, sock: socket.socket, response: http.client.HTTPResponse, deadline: float | None
    ) -> Generator[Json]:
        try:
            while True:
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return
                sock.settimeout(_STREAM_SILENCE_S if left_s is None else min(left_s, _STREAM_SILENCE_S))
                try:
                    line = response.readline(_LONGEST_EVENT_BYTES)
                except TimeoutError:
                    if deadline is not None and time.monotonic() >= deadline:
                        return
                    raise UserError(f"The emulator at {self.url} has fallen silent.") from None
                except (OSError, http.client.HTTPException):
                    line = b""
                if not line:
                    raise UserError(f"The emulator at {self.url} ended the stream.", "Start it: azureiot emulator")
                if not line.endswith(b"\n"):
                    raise self.stranger()
                if line.startswith(b"data: "):
                    yield self._json(line[6:], answers.EVENT)
        finally:
            response.close()
            sock.close()

    def _call(
        self,
        method: str,
        path: str,
        shape: answers.Shape,
        body: Json | bytes | None = None,
        query: Json | None = None,
        etag: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Any:
        headers = {**(headers or {}), **({} if etag is None else {"If-Match": etag})}
        sock, response = self._open(method, path, body, query or {}, headers, timeout_s)
        try:
            return self._json(self._read(response), shape)
        finally:
            response.close()
            sock.close()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body, which another server may never end."""
        deadline = time.monotonic() + REQUEST_TIMEOUT_S
        body = bytearray()
        try:
            while part := response.read1():
                body += part
                if len(body) > _LARGEST_ANSWER_BYTES or time.monotonic() > deadline:
                    raise self.stranger()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        if response.length:  # it closed the connection too early
            raise self.stranger()
        return bytes(body)

    def _json(self, text: bytes, shape: answers.Shape) -> Any:
        try:
            value = json.loads(text) if text else None
        except (ValueError, RecursionError):
            raise self.stranger() from None
        if not answers.fits(value, shape):
            raise self.stranger()
        return value

    def _open(
        self,
        method: str,
        path: str,
        body: Json | bytes | None,
        query: Json,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        """Send a request; the answer's head has been read, and it is a success. Both are the caller's to close."""
        connection = http.client.HTTPConnection(*self._address, timeout=timeout_s)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {name: value.encode() for name, value in (headers or {}).items()}
        if data is not None or method == "POST":
            sent["Content-Type"] = b"application/json"
        target = f"{path}?{urlencode({'api-version': API_VERSION, **query}, errors='surrogateescape')}"
        try:
            connection.connect()
            sock = connection.sock  # the connection forgets it when the answer says "close"
            connection.request(method, target, data, sent)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        if response.status < 300:
            return sock, response
        try:
            answer = self._json(self._read(response), answers.ERROR)
        finally:
            response.close()
            sock.close()
        raise ServiceError(response.status, answer["errorCode"], answer["message"], answer.get("trackingId", ""))

    def _unreachable(self, error: Exception) -> UserError:
        if isinstance(error, http.client.HTTPException):
            return self.stranger()
        why = "it does not answer" if isinstance(error, TimeoutError) else reason(error)
        if isinstance(error, socket.gaierror):
            return UserError(f"The host of {self.url} is unknown ({why}).", f"Give an address such as {DEFAULT_URL}.")
        return UserError(
            f"The emulator cannot be reached at {self.url} ({why}).",
            "Start it: azureiot emulator; or give its address with --url.",
        )

    def stranger(self) -> UserError:
        """The error that says that another server answers."""
        return UserError(
            f"What answers at {self.url} is not the emulator's service API.",
            "Give the HTTP port that azureiot emulator printed.",
        )


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = 80 if parts.port is None else parts.port
    except ValueError:  # UnicodeError is one
        host, port = "", 0
        parts = urlsplit("")
    bare = (parts.scheme, parts.path.strip("/"), parts.query, parts.fragment, parts.username) == (
        "http",
        "",
        "",
        "",
        None,
    )
    if not bare or not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
        shown = re.sub("//.*@", "//…@", url[:200])  # before the @ stands a password
        raise UserError(f"'{shown}' is not the address of a service API.", f"Give one such as {DEFAULT_URL}.")
    return host, port


def _path(*parts: str) -> str:
    # Names that the locale could not decode are sent as the bytes they were.
    return "/" + "/".join(quote(part, safe="", errors="surrogateescape") for part in parts)


def _status(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"
