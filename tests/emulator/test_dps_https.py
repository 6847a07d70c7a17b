"""Pins DPS over HTTPS (docs/protocol.md §1.7): the same answers as over MQTT, on the same port, with HTTP's headers."""

import http.client
import json
import re
import shutil
import socket
import subprocess

import pytest

from azureiot_tools.certificates.credential import key_to_pem, to_pem
from azureiot_tools.emulator.dps.rate_limit import DpsLimits

from .key_bench import GROUP_KEY, KEY, OTHER, SCOPE, device_key, dps_token, enroll, enroll_group
from .mqtt_wire import dps_username, hub_username, tls_context
from .test_dps_refusals import check_error

VERSION = "api-version=2019-03-31"


class Https:
    """A keep-alive connection with this client certificate, or none."""

    def __init__(self, bench, credential=None):
        context = tls_context(bench.emulator.ca_path, credential)
        self.connection = http.client.HTTPSConnection(
            "localhost", bench.emulator.mqtt_port, timeout=10, context=context
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, body=None, token=None):
        headers = {} if token is None else {"Authorization": token.decode()}
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return response, json.loads(response.read())

    def register(self, registration_id="mydevice001", body=b"{}", token=None, scope=SCOPE):
        return self.ask("PUT", f"/{scope}/registrations/{registration_id}/register?{VERSION}", body, token)


def test_register_and_poll_with_a_certificate(bench):
    with Https(bench, bench.certificates.device) as https:
        response, answer = https.register(body=b'{"registrationId":"mydevice001"}')
        assert (response.status, answer["status"]) == (202, "assigning")
        assert response.headers["Retry-After"] == "1"
        location = response.headers["Location"]
        operation = f"/{SCOPE}/registrations/mydevice001/operations/{answer['operationId']}?{VERSION}"
        assert location == f"https://localhost:{bench.emulator.mqtt_port}{operation}"
        response, final = https.ask("GET", operation)
        assert response.status == 200
        assert final["operationId"] == answer["operationId"]
        state = final["registrationState"]
        assert (state["assignedHub"], state["deviceId"], state["status"]) == ("localhost", "mydevice001", "assigned")
        assert state["x509"] == {}
        response, again = https.ask("POST", f"/{SCOPE}/registrations/mydevice001?{VERSION}", b'{"registrationId":""}')
        assert (response.status, again) == (200, state)
    with bench.on_hub():
        pass


def test_register_and_poll_with_a_token(bench):
    enroll_group(bench)
    key = device_key(GROUP_KEY, "member:1")
    with Https(bench) as https:
        response, answer = https.register("member%3A1", token=dps_token("member:1", key))
        assert response.status == 202
        path = response.headers["Location"].partition(f":{bench.emulator.mqtt_port}")[2]
        response, answer = https.ask("GET", path, token=dps_token("member:1", key, 1_999_999_999))
        assert (response.status, answer["registrationState"]["deviceId"]) == (200, "member:1")
        response, answer = https.ask("GET", path, token=dps_token("member:1", OTHER))
        assert response.status == 401
        check_error(answer, 401000, "Unauthorized")
        assert https.ask("GET", path)[0].status == 401, "the operation's id alone proves nothing"


def test_an_unencoded_resource_is_signed_as_it_is_sent(bench):
    """docs/protocol.md §1.6: a known MicroPython client does so over HTTP."""
    enroll(bench)
    with Https(bench) as https:
        assert https.register("keyed", token=dps_token("keyed", KEY, encode=False))[0].status == 202


def test_what_is_refused_has_azures_error(bench):
    enroll(bench)
    with Https(bench) as https:
        for registration_id, token, scope, status, code, message in (
            ("keyed", dps_token("keyed", OTHER), SCOPE, 401, 401000, "Unauthorized"),
            ("mydevice001", None, SCOPE, 401, 401002, "Unauthorized"),
            ("keyed", dps_token("keyed", KEY), "0ne1", 401, 401002, "Unauthorized"),
            ("b%20d", None, SCOPE, 400, 400004, "Invalid RegistrationId"),
        ):
            response, answer = https.register(registration_id, token=token, scope=scope)
            assert response.status == status
            assert response.headers["x-ms-error-code"] == str(code)
            check_error(answer, code, message)
    assert bench.reason("refused", "signed with neither key") == "docs/protocol.md §1.6"


def test_a_body_that_is_none(bench):
    with Https(bench, bench.certificates.device) as https:
        response, answer = https.register(body=b"{")
        assert response.status == 400
        check_error(answer, 400004, "Invalid request body")


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/", None, 404000),
        ("GET", f"/{SCOPE}/registrations/x/operations/1", None, 400004),
        ("PUT", f"/{SCOPE}/registrations/x/register", b"{}", 400004),
        ("GET", f"/{SCOPE}/registrations/x/register?{VERSION}", None, 405000),
        ("PUT", f"/{SCOPE}/registrations/x/register?{VERSION}", b" " * (96 * 1024 + 1), 413000),
    ],
)
def test_what_is_no_request_of_dps(bench, method, path, body, code):
    with Https(bench) as https:
        response, answer = https.ask(method, path, body)
        assert (response.status, answer["errorCode"]) == (code // 1000, code)
        assert response.headers["x-ms-error-code"] == str(code)


def test_an_unknown_registration_and_operation(bench):
    enroll(bench)
    with Https(bench) as https:
        token = dps_token("keyed", KEY)
        response, answer = https.ask("POST", f"/{SCOPE}/registrations/keyed?{VERSION}", b"{}", token)
        assert (response.status, answer["errorCode"]) == (404, 404202)
        response, answer = https.ask("GET", f"/{SCOPE}/registrations/keyed/operations/5.0.0?{VERSION}", None, token)
        assert (response.status, answer["errorCode"]) == (404, 404202)


def test_throttling_has_its_header(start):
    with start(dps_limits=DpsLimits(registrations_per_minute=1)) as bench, Https(bench) as https:
        enroll(bench)
        assert https.register("keyed", token=dps_token("keyed", KEY))[0].status == 202
        response, answer = https.register("keyed", token=dps_token("keyed", KEY))
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        check_error(answer, 429001, "Throttled")


def test_a_fault_of_the_emulator_is_told(bench, monkeypatch):
    def fail(*_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(bench.emulator.registry, "put_registration", fail)
    enroll(bench)
    with Https(bench) as https:
        response, answer = https.register("keyed", token=dps_token("keyed", KEY))
        assert (response.status, answer["errorCode"]) == (500, 500001)
    bench.reason("emulator", "RuntimeError: the disk is full")


def test_curl_does_it_too(bench, tmp_path):
    """Somebody else's client, as in Microsoft's tutorial."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not here")
    (tmp_path / "device.pem").write_bytes(to_pem(bench.certificates.device.certificates))
    (tmp_path / "device.key").touch(0o600)
    (tmp_path / "device.key").write_bytes(key_to_pem(bench.certificates.device.key))
    url = f"https://localhost:{bench.emulator.mqtt_port}/{SCOPE}/registrations/mydevice001/register?{VERSION}"
    command = [curl, "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "-X", "PUT", url]
    command += ["--cacert", bench.emulator.ca_path, "--cert", tmp_path / "device.pem", "--key", tmp_path / "device.key"]
    command += ["-H", "Content-Type: application/json", "-H", "Content-Encoding:  utf-8"]
    command += ["-d", '{"registrationId": "mydevice001"}', "--write-out", " %{http_code}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.search(r'"status": ?"assigning".* 202$', done.stdout), done.stdout


def test_mqtt_and_http_share_the_port(bench):
    enroll(bench)
    with Https(bench, bench.certificates.device) as https, bench.wire(bench.certificates.device) as wire:
        assert https.register()[0].status == 202
        assert wire.open("mydevice001", dps_username("mydevice001")) == 0
        assert https.register()[0].status == 202


def test_a_half_sent_request_is_not_waited_for(start, monkeypatch):
    from azureiot_tools.emulator import server

    monkeypatch.setattr(server, "API_IDLE_S", 0.2)
    with start() as bench, bench.wire() as wire:
        wire.send(b"PUT / HTTP/1.1\r\nHost: lo")
        wire.socket.settimeout(5)
        assert wire.closed()


def test_one_that_leaves_without_a_word_is_told_once(bench):
    with bench.wire():
        pass
    bench.reason("disconnected", "without DISCONNECT")
    with bench.wire(bench.certificates.device) as wire:
        wire.open("mydevice001", hub_username("mydevice001"))
    ends = [event for event in bench.emulator.events.recent(limit=50) if event.kind in ("dropped", "disconnected")]
    assert len(ends) == 1


def test_the_emulator_stops_with_requests_open(start):
    with start() as bench:
        plain = socket.create_connection(("127.0.0.1", bench.emulator.mqtt_port), timeout=10)
        with bench.wire() as wire, Https(bench) as https:
            https.ask("GET", "/")
            wire.send(b"PUT /x")
            plain.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", bench.emulator.mqtt_port), timeout=5)
