"""TLS as docs/architecture.md has it, on both runtimes: whatever is wrong with a server, no MQTT byte reaches it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot import AzureIoTError
from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential, to_der
from conftest import Run
from tls_server import serving


@pytest.fixture(scope="module")
def root() -> Credential:
    return authority.create_root("the emulator's root")


@pytest.fixture(scope="module")
def stranger() -> Credential:
    return authority.create_root("a stranger's root")


@pytest.fixture(scope="module")
def device(root: Credential) -> dict[str, bytes]:
    intermediate = authority.create_intermediate(root, "issuing")
    certificate, key = to_der(authority.issue_device(intermediate, "dev-1"))
    return {"certificate": certificate, "key": key}


def der(*credentials: Credential) -> bytes:
    return b"".join(credential.certificate.public_bytes(Encoding.DER) for credential in credentials)


def dial(run_device: Run, device: dict[str, Any], port: int, roots: bytes | str, **config: Any) -> list[dict[str, Any]]:
    return run_device(hub="localhost", device_id="dev-1", port=port, roots=roots, **{"count": 1, **device, **config})


def refused(run_device: Run, device: dict[str, Any], port: int, roots: bytes, **config: Any) -> AzureIoTError:
    with pytest.raises(AzureIoTError) as caught:
        dial(run_device, device, port, roots, **config)
    return caught.value


def test_a_trusted_server_is_talked_to_with_its_name_as_sni(run_device: Run, device: Any, root: Credential) -> None:
    with serving(authority.issue_server(root, ["localhost"])) as server:
        events = dial(run_device, device, server.port, der(root))
        assert [event["event"] for event in events] == ["connected", "sent"]
        assert server.sni == ["localhost"]
        assert server.received.startswith(b"\x10")


def test_an_unknown_root_is_refused(run_device: Run, device: Any, root: Credential, stranger: Credential) -> None:
    with serving(authority.issue_server(root, ["localhost"])) as server:
        error = refused(run_device, device, server.port, der(stranger))
        assert error.code == "tls-untrusted"
        assert "`roots`" in error.hint
        assert server.received == b""


def test_another_name_is_refused(run_device: Run, device: Any, root: Credential) -> None:
    with serving(authority.issue_server(root, ["hub.example"])) as server:
        error = refused(run_device, device, server.port, der(root))
        assert error.code == "tls-name"
        assert "host name" in error.hint
        assert server.received == b""


@pytest.mark.parametrize(("days_ago", "code", "said"), [(40, "tls-expired", "expired"), (-2, "tls-clock", "clock")])
def test_a_certificate_out_of_its_time_is_refused(
    run_device: Run, device: Any, days_ago: int, code: str, said: str
) -> None:
    root = authority.create_root("old root", now=datetime.now(UTC) - timedelta(days=400))
    then = datetime.now(UTC) - timedelta(days=days_ago)
    with serving(authority.issue_server(root, ["localhost"], days=30, now=then)) as server:
        error = refused(run_device, device, server.port, der(root))
        assert error.code == code
        assert said in error.hint
        assert server.received == b""


def test_every_root_of_the_list_counts(run_device: Run, device: Any, root: Credential, stranger: Credential) -> None:
    # mbedTLS reads only the first certificate of a buffer; a second root must be loaded by itself.
    with serving(authority.issue_server(root, ["localhost"])) as server:
        assert dial(run_device, device, server.port, der(stranger, root))


def test_roots_replace_the_defaults(run_device: Run, device: Any, root: Credential, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(authority.issue_server(root, ["localhost"])) as server:
        error = refused(run_device, device, server.port, str(tmp_path / "empty"))  # type: ignore[arg-type]
        assert error.code == "tls-roots"
        assert server.received == b""


def test_a_key_of_another_certificate_is_refused(
    run_device: Run, device: Any, root: Credential, stranger: Credential
) -> None:
    _, other_key = to_der(authority.issue_device(stranger, "dev-1"))
    with serving(authority.issue_server(root, ["localhost"]), client_root=root) as server:
        # CPython compares the two; mbedTLS does not, there the server finds out and ends the handshake.
        error = refused(run_device, {**device, "key": other_key}, server.port, der(root))
        assert error.code in ("credential", "tls-closed", "tls-alert")
        assert server.received == b""


def test_a_closed_port(run_device: Run, device: Any, root: Credential) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refused(run_device, device, port, der(root))
    assert error.code == "refused"
    assert f"localhost:{port}" in error.message
    assert "runs" in error.hint


def test_a_name_that_does_not_exist(run_device: Run, device: Any, root: Credential) -> None:
    with pytest.raises(AzureIoTError) as caught:
        run_device(hub="no-such-host.invalid", device_id="dev-1", port=1, roots=der(root), count=1, **device)
    assert caught.value.code == "dns"
    assert "no-such-host.invalid" in caught.value.message


def test_a_server_that_is_silent_in_the_handshake(run_device: Run, device: Any, root: Credential) -> None:
    with serving(None, silent=True) as server:
        error = refused(run_device, device, server.port, der(root), timeout_s=0.5)
        assert error.code == "timeout"
        assert b"MQTT" not in server.received  # a ClientHello, and nothing in the clear


def test_a_full_backlog(run_device: Run, device: Any, root: Credential) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.socket() as first, socket.socket() as second:
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(address)
            assert refused(run_device, device, address[1], der(root), timeout_s=0.5).code == "timeout"


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_key_types(run_device: Run, root: Credential, key_type: str) -> None:
    certificate, key = to_der(authority.issue_device(root, "dev-1", key_type=key_type))
    with serving(authority.issue_server(root, ["localhost"])) as server:
        assert dial(run_device, {"certificate": certificate, "key": key}, server.port, der(root))
