"""Pins: the client and the service understand each other, and whatever goes wrong is one clear sentence."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from azureiot_tools import service
from azureiot_tools.certificates.authority import issue_verification
from azureiot_tools.console import UserError
from azureiot_tools.emulator.records import DeviceIdentity, Registration
from azureiot_tools.service import ServiceClient, ServiceError

from .bench import NOW, Api, Pki, der


@pytest.fixture
def client(api: Api) -> ServiceClient:
    return ServiceClient(api.url)


@contextmanager
def answering(answer: bytes, *, then: Callable[[socket.socket], object] = socket.socket.close) -> Iterator[str]:
    """The URL of something that takes one connection, reads a little, and answers so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)
                then(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def test_from_ca_to_enrollment_group(client: ServiceClient, pki: Pki) -> None:
    assert client.upload_certificate("root", der(pki.root))["properties"]["isVerified"] is False
    code = client.verification_code("root")
    proof = issue_verification(pki.root, code)
    assert client.verify_certificate("root", der(proof))["properties"]["isVerified"] is True
    assert client.certificate("root")["properties"]["isVerified"] is True
    assert client.create_group("group", ["root"])["enrollmentGroupId"] == "group"
    assert [group["enrollmentGroupId"] for group in client.groups()] == ["group"]
    client.delete_group("group")
    client.delete_certificate("root")
    assert (client.groups(), client.certificates()) == ([], [])


def test_an_individual_enrollment(client: ServiceClient, pki: Pki) -> None:
    shown = client.create_enrollment("mydevice001", der(pki.device), device_id="Pump", enabled=False)
    assert (shown["deviceId"], shown["provisioningStatus"]) == ("Pump", "disabled")
    assert client.enrollments() == [shown]
    client.delete_enrollment("mydevice001")
    assert client.enrollments() == []


def test_registrations_and_devices(client: ServiceClient, api: Api, pki: Pki) -> None:
    client.upload_certificate("root", der(pki.root), verified=True)
    client.create_group("group", ["root"])
    api.registry.put_registration(
        Registration(
            "d:1", "d:1", "localhost", "group", "assigned", "initialAssignment", None, None, "AB", "CD", NOW, NOW, "e"
        )
    )
    api.registry.put_device(DeviceIdentity("second.local", "d:1#+%", "1", True, ("AB" * 32,), NOW, NOW))
    assert [one["registrationId"] for one in client.registrations()] == ["d:1"]
    assert client.registrations("group") == client.registrations()
    assert client.set_device_enabled("d:1#+%", False)["status"] == "disabled"
    assert [(one["hub"], one["status"]) for one in client.devices()] == [("second.local", "disabled")]
    client.delete_device("d:1#+%")
    assert client.devices() == []


def test_a_refusal_has_code_message_and_tracking_id(client: ServiceClient) -> None:
    with pytest.raises(ServiceError) as caught:
        client.create_group("group", ["root"])
    assert (caught.value.status, caught.value.code) == (400, 400004)
    assert str(caught.value) == (
        "No CA certificate 'root' is uploaded: azureiot service cert upload FILE --name root "
        f"(error 400004, tracking id {caught.value.tracking_id})"
    )
    assert isinstance(caught.value, UserError)


def test_the_stream_begins_when_the_call_returns(client: ServiceClient, api: Api) -> None:
    events = client.stream("d1", "telemetry", timeout_s=10)
    api.publish("telemetry", "d2", "other")
    api.publish("telemetry", "d1", "mine", payload="x")
    event = next(events)
    assert (event["deviceId"], event["text"], event["detail"]) == ("d1", "mine", {"payload": "x"})
    events.close()


def test_the_stream_begins_with_what_is_remembered(client: ServiceClient, api: Api) -> None:
    for number in range(3):
        api.publish("connected", "d1", str(number))
    events = client.stream(after=1, timeout_s=10)
    assert [next(events)["text"], next(events)["text"]] == ["1", "2"]
    assert [event["text"] for event in client.events("d1", after=2)] == ["2"]
    events.close()


def test_the_stream_ends_after_its_time(client: ServiceClient) -> None:
    began = time.monotonic()
    assert list(client.stream(timeout_s=0.2)) == []
    assert 0.15 < time.monotonic() - began < 5


def test_the_stream_says_when_the_emulator_ends(client: ServiceClient, api: Api) -> None:
    events = client.stream(timeout_s=20)
    api.stop()
    with pytest.raises(UserError, match=r"ended the stream\. Start it: azureiot emulator"):
        next(events)


def test_a_stream_that_has_died_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_STREAM_SILENCE_S", 0.1)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: subscribed\n\n"
    with answering(head, then=lambda peer: peer.recv(1)) as url, pytest.raises(UserError, match="has fallen silent"):
        next(ServiceClient(url).stream())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UserError) as caught:
        ServiceClient(f"http://127.0.0.1:{port}").devices()
    assert str(caught.value) == (
        f"The emulator cannot be reached at http://127.0.0.1:{port} (Connection refused). "
        "Start it: azureiot emulator; or give its address with --url."
    )


def test_a_service_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REQUEST_TIMEOUT_S", 0.1)
    with answering(b"", then=lambda peer: peer.recv(1)) as url, pytest.raises(UserError, match="it does not answer"):
        ServiceClient(url).devices()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02F",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[",
        b'HTTP/1.1 400 No\r\nContent-Length: 16\r\n\r\n{"message": "x"}',
    ],
)
def test_something_else_answers(answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(UserError) as caught:
        ServiceClient(url).devices()
    assert str(caught.value) in (
        f"What answers at {url} is not the emulator's service API. Give the HTTP port that azureiot emulator printed.",
        # Closed before our request was read, the kernel may say so instead.
        f"The emulator cannot be reached at {url} (Connection reset by peer). Start it: azureiot emulator; or give its "
        "address with --url.",
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "https://127.0.0.1:8080",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://host/path",
        "http://host?x=1",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UserError, match="is not the address of a service API"):
        ServiceClient(url)


def test_names_from_the_user_stay_one_part_of_the_path(client: ServiceClient, pki: Pki) -> None:
    for name in ("../devices", "a/b", "x?y=1", "a#b", "ü", "a\r\nb"):
        with pytest.raises(ServiceError):
            client.upload_certificate(name, der(pki.root))
    assert client.certificates() == []
