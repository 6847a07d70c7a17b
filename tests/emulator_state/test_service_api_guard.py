"""Pins: a web page open in the developer's browser cannot drive the service API, and every error has Azure's shape."""

from __future__ import annotations

import json
import re
import socket

import pytest

from .bench import Answer, Api

CERTIFICATES = "/certificates?api-version=2021-10-01"
ROOT = "/certificates/root?api-version=2021-10-01"


def error_of(answer: Answer) -> str:
    """The message of an error, whose shape is checked (docs/protocol.md §1.5)."""
    assert set(answer.json) == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert answer.json["errorCode"] // 1000 == answer.status
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.json["trackingId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", answer.json["timestampUtc"])
    return answer.json["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
def test_loopback_hosts_are_served(api: Api, host: str) -> None:
    assert api.request("GET", "/", headers={"Host": f"{host}:{api.port}"}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        "",
        "localhost.evil.example:{port}",
        "0.0.0.0:{port}",
        "localhost:{port}@evil.example",
    ],
)
def test_dns_rebinding_is_refused(api: Api, host: str) -> None:
    """A page at evil.example that makes its name resolve to 127.0.0.1 still says evil.example as Host."""
    answer = api.request("GET", "/", headers={"Host": host.format(port=api.port)})
    assert answer.status == 403
    assert "is not this service" in error_of(answer)


def test_a_request_without_host_is_refused(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in connection.makefile("rb").readline()


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://localhost:1",
        "null",
        "http://localhost:{port}.evil.example",
        "file://",
        "",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/stream"), ("GET", "/devices"), ("PUT", ROOT), ("DELETE", ROOT)])
def test_another_origin_is_refused(api: Api, origin: str, method: str, path: str) -> None:
    answer = api.request(method, path, headers={"Origin": origin.format(port=api.port)})
    assert answer.status == 403
    assert "are refused" in error_of(answer)


def test_our_own_origin_is_served(api: Api) -> None:
    assert api.request("GET", "/", headers={"Origin": api.url}).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [b"{}", b""])
def test_a_web_form_cannot_change_anything(api: Api, method: str, content_type: str, body: bytes) -> None:
    """The content types that a page may send without asking (and an Origin that an old browser leaves out)."""
    answer = api.request(method, ROOT, body, {"Content-Type": content_type})
    assert answer.status in ((405, 415) if method == "PATCH" else (415,))
    error_of(answer)


def test_a_body_without_content_type_is_refused(api: Api) -> None:
    assert api.request("PUT", ROOT, b"{}").status == 415


def test_a_post_without_body_and_content_type_is_refused(api: Api) -> None:
    """A page can send it without asking; PUT and DELETE it cannot."""
    path = "/certificates/root/generateVerificationCode?api-version=2021-10-01"
    assert api.request("POST", path, b"").status == 415
    assert api.request("POST", path, b"", {"Content-Type": "application/json"}).status == 404
    assert api.request("DELETE", ROOT).status == 404


@pytest.mark.parametrize("path", ["/", "/stream", CERTIFICATES])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_is_refused_though_it_hides_its_origin(api: Api, path: str, site: str) -> None:
    """An image or a link of a page sends no Origin; another port of localhost is the same site and another origin."""
    answer = api.request("GET", path, headers={"Sec-Fetch-Site": site})
    assert answer.status == 403
    assert f"another web page ({site})" in error_of(answer)


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_address_bar_and_our_own_page_are_served(api: Api, site: str) -> None:
    assert api.request("GET", "/", headers={"Sec-Fetch-Site": site}).status == 200


def test_the_stream_has_no_head(api: Api) -> None:
    """HEAD has no end of its own there: the answer would never come."""
    assert api.request("HEAD", "/stream").status == 405


def test_json_may_name_its_charset(api: Api) -> None:
    answer = api.request("PUT", ROOT, b"{}", {"Content-Type": "application/json; charset=utf-8"})
    assert "'properties.certificate' is missing" in error_of(answer)


@pytest.mark.parametrize("path", ["/", CERTIFICATES, "/nothing", "/events", "/certificates"])
def test_no_cors_and_no_sniffing(api: Api, path: str) -> None:
    headers = api.request("GET", path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"].startswith("application/json")
    assert [name for name in headers if name.lower().startswith("access-control-")] == []


def test_a_preflight_is_not_answered(api: Api) -> None:
    answer = api.request(
        "OPTIONS", ROOT, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    )
    assert answer.status in (403, 405)
    assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize(
    "path",
    [
        "/certificates",
        "/certificates/a",
        "/enrollmentGroups/a",
        "/enrollments/a",
        "/registrations/a",
        "/devices",
        "/devices/a",
    ],
)
def test_azures_paths_want_an_api_version(api: Api, path: str) -> None:
    answer = api.request("GET", path)
    assert answer.status == 400
    assert "api-version is missing" in error_of(answer)
    assert "is not a version" in error_of(api.request("GET", f"{path}?api-version=latest"))
    assert api.request("GET", f"{path}?api-version=2026-11-15-preview").status in (200, 404)


@pytest.mark.parametrize("path", ["/", "/registrations", "/events", "/telemetry/d1"])
def test_the_emulators_own_paths_do_not(api: Api, path: str) -> None:
    assert api.request("GET", path).status == 200


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 3_000_000])
def test_a_large_body_is_refused(api: Api, size: int) -> None:
    answer = api.request("PUT", ROOT, b" " * size, {"Content-Type": "application/json"})
    assert answer.status == 413
    assert "larger than 1048576 bytes" in error_of(answer)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b'"text"', b"[" * 100_000, b"NaN"])
def test_a_body_that_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    answer = api.request("PUT", ROOT, body, {"Content-Type": "application/json"})
    assert answer.status == 400
    error_of(answer)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(api: Api, constant: str) -> None:
    body = f'{{"properties": {{"certificate": {constant}}}}}'.encode()
    answer = api.request("PUT", ROOT, body, {"Content-Type": "application/json"})
    assert error_of(answer) == f"The body is not JSON: {constant} is no JSON value."


def test_unknown_paths_and_methods(api: Api) -> None:
    assert error_of(api.request("GET", "/no/such")) == "There is nothing at /no/such."
    answer = api.request("POST", "/events", {})
    assert error_of(answer) == "POST is not possible at /events."
    assert answer.headers["Allow"] == "GET,HEAD"


def test_a_path_with_braces_is_only_text(api: Api) -> None:
    assert error_of(api.request("GET", "/%7B0%7D%7Bmethod%7D")) == "There is nothing at /{0}{method}."


def test_a_fault_of_its_own_is_an_error_too(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(api.registry, "certificates", fail)
    answer = api.request("GET", CERTIFICATES)
    assert answer.status == 500
    assert "disk" not in error_of(answer)
    assert "disk on fire" in caplog.text
    (event,) = api.events.recent()
    assert (event.kind, event.text) == (
        "emulator",
        "the service API failed at GET /certificates: RuntimeError: disk on fire",
    )


def test_about_says_what_this_is(api: Api) -> None:
    about = api.request("GET", "/").json
    assert "emulator" in about["name"]
    assert "/certificates/{name}" in about["paths"]
    assert json.dumps(about["hubs"]) == '["localhost", "second.local"]'
