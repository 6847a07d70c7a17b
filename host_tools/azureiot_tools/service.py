"""The client of the emulator's service API: what `azureiot service`, `azureiot monitor` and the demo talk through."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from azureiot_tools.console import UserError, reason

DEFAULT_URL = "http://127.0.0.1:8080"
API_VERSION = "2021-10-01"
REQUEST_TIMEOUT_S = 15.0

# The emulator sends a comment line every 15 s; a stream that is silent for longer is dead.
_STREAM_SILENCE_S = 45.0

Json = dict[str, Any]


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
        parts = urlsplit(url)
        try:
            port = parts.port or 80
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port or parts.path not in ("", "/") or parts.query:
            raise UserError(f"'{url}' is not the address of a service API.", f"Give one such as {DEFAULT_URL}.")
        self.url = url.rstrip("/")
        self._address = (parts.hostname, port)

    # CA certificates.

    def upload_certificate(self, name: str, der: bytes, *, verified: bool = False) -> Json:
        """Upload a CA certificate; `verified` declares it verified without proof of possession."""
        body = {"properties": {"certificate": base64.b64encode(der).decode(), "isVerified": verified}}
        return self._call("PUT", _path("certificates", name), body)

    def certificates(self) -> list[Json]:
        return self._call("GET", "/certificates")["value"]

    def certificate(self, name: str) -> Json:
        return self._call("GET", _path("certificates", name))

    def verification_code(self, name: str) -> str:
        """A new code, which the common name of the verification certificate must be."""
        answer = self._call("POST", _path("certificates", name, "generateVerificationCode"))
        return answer["properties"]["verificationCode"]

    def verify_certificate(self, name: str, der: bytes) -> Json:
        """Prove possession of the CA's key with a verification certificate."""
        body = {"certificate": base64.b64encode(der).decode()}
        return self._call("POST", _path("certificates", name, "verify"), body)

    def delete_certificate(self, name: str) -> None:
        self._call("DELETE", _path("certificates", name))

    # Enrollments.

    def create_group(self, id: str, ca_names: list[str], *, enabled: bool = True) -> Json:
        """Create or replace an enrollment group over uploaded, verified CAs: primary, and perhaps secondary."""
        references = dict(zip(("primary", "secondary"), ca_names, strict=False))
        body = {
            "enrollmentGroupId": id,
            "provisioningStatus": _status(enabled),
            "attestation": {"type": "x509", "x509": {"caReferences": references}},
        }
        return self._call("PUT", _path("enrollmentGroups", id), body)

    def groups(self) -> list[Json]:
        return self._call("POST", "/enrollmentGroups/query", {"query": "SELECT * FROM enrollmentGroups"})

    def delete_group(self, id: str) -> None:
        self._call("DELETE", _path("enrollmentGroups", id))

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
        return self._call("PUT", _path("enrollments", registration_id), body)

    def enrollments(self) -> list[Json]:
        return self._call("POST", "/enrollments/query", {"query": "SELECT * FROM enrollments"})

    def delete_enrollment(self, registration_id: str) -> None:
        self._call("DELETE", _path("enrollments", registration_id))

    # Registrations and devices.

    def registrations(self, group: str | None = None) -> list[Json]:
        """All registrations, or those of one enrollment group."""
        return (
            self._call("GET", "/registrations")
            if group is None
            else self._call("POST", _path("registrations", group, "query"))
        )

    def devices(self) -> list[Json]:
        return self._call("GET", "/devices")

    def device(self, device_id: str) -> Json:
        return self._call("GET", _path("devices", device_id))

    def set_device_enabled(self, device_id: str, enabled: bool) -> Json:
        """Allow or block a device at its hub."""
        device = self.device(device_id)
        body = device | {"status": _status(enabled)}
        return self._call("PUT", _path("devices", device_id), body, {"hub": device["hub"]}, etag=device["etag"])

    def delete_device(self, device_id: str) -> None:
        self._call("DELETE", _path("devices", device_id))

    # What arrives and what happens.

    def telemetry(self, device_id: str, after: int = 0, limit: int = 100) -> list[Json]:
        """A device's stored messages, oldest first, with a sequence above `after`."""
        found: list[Json] = []
        while len(found) < limit:  # an answer is cut when its messages are large
            page = self._call("GET", _path("telemetry", device_id), query={"after": after, "limit": limit - len(found)})
            if not page:
                break
            found += page
            after = page[-1]["sequence"]
        return found

    def events(self, device: str | None = None, after: int = 0, limit: int = 100) -> list[Json]:
        """The newest of the remembered events, oldest first."""
        query: Json = {"after": after, "limit": limit}
        return self._call("GET", "/events", query=query | ({"device": device} if device is not None else {}))

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
                    line = response.readline()
                except TimeoutError:
                    if deadline is not None and time.monotonic() >= deadline:
                        return
                    raise UserError(f"The emulator at {self.url} has fallen silent.") from None
                except (OSError, http.client.HTTPException):
                    line = b""
                if not line:
                    raise UserError(f"The emulator at {self.url} ended the stream.", "Start it: azureiot emulator")
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        finally:
            response.close()
            sock.close()

    def _call(
        self, method: str, path: str, body: Json | None = None, query: Json | None = None, etag: str | None = None
    ) -> Any:
        sock, response = self._open(method, path, body, query or {}, etag)
        try:
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            response.close()
            sock.close()
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise self._stranger() from None

    def _open(
        self, method: str, path: str, body: Json | None, query: Json, etag: str | None = None
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        """Send a request; the answer's head has been read, and it is a success. Both are the caller's to close."""
        connection = http.client.HTTPConnection(*self._address, timeout=REQUEST_TIMEOUT_S)
        headers = {} if body is None and method != "POST" else {"Content-Type": "application/json"}
        if etag is not None:
            headers["If-Match"] = etag
        target = f"{path}?{urlencode({'api-version': API_VERSION, **query})}"
        try:
            connection.connect()
            sock = connection.sock  # the connection forgets it when the answer says "close"
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            if response.status < 300:
                return sock, response
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        connection.close()
        try:
            answer = json.loads(text)
            raise ServiceError(response.status, answer["errorCode"], answer["message"], answer.get("trackingId", ""))
        except (ValueError, KeyError, TypeError):
            raise self._stranger() from None

    def _unreachable(self, error: Exception) -> UserError:
        if isinstance(error, http.client.HTTPException):
            return self._stranger()
        why = "it does not answer" if isinstance(error, TimeoutError) else reason(error)
        if isinstance(error, socket.gaierror):
            return UserError(f"The host of {self.url} is unknown ({why}).", f"Give an address such as {DEFAULT_URL}.")
        return UserError(
            f"The emulator cannot be reached at {self.url} ({why}).",
            "Start it: azureiot emulator; or give its address with --url.",
        )

    def _stranger(self) -> UserError:
        return UserError(
            f"What answers at {self.url} is not the emulator's service API.",
            "Give the HTTP port that azureiot emulator printed.",
        )


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _status(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"
