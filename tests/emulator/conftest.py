"""What the emulator's tests share: certificates made once, and an emulator with an enrollment group over their root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import Credential
from azureiot_tools.emulator.records import CaCertificate, EnrollmentGroup
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running

from .mqtt_wire import Wire, hub_username, register, tls_context


@dataclass(frozen=True)
class Certificates:
    root: Credential
    intermediate: Credential
    device: Credential  # mydevice001
    other: Credential  # mydevice002
    renewed: Credential  # mydevice001 again, with another key


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    root = authority.create_root("Test root")
    intermediate = authority.create_intermediate(root, "Test intermediate")
    return Certificates(
        root,
        intermediate,
        authority.issue_device(intermediate, "mydevice001"),
        authority.issue_device(intermediate, "mydevice002"),
        authority.issue_device(intermediate, "mydevice001"),
    )


class Bench:
    """A running emulator and connections to it."""

    def __init__(self, emulator: Emulator, certificates: Certificates) -> None:
        self.emulator = emulator
        self.certificates = certificates

    def enroll(self, **changes: Any) -> None:
        """The verified root and a group over it; changes: fields of the group."""
        now = datetime.now(UTC)
        der = self.certificates.root.certificate.public_bytes(Encoding.DER)
        self.emulator.registry.put_certificate(CaCertificate("root", der, True, None, now, now))
        group: dict[str, Any] = {
            "id": "group",
            "ca_names": ("root",),
            "signing_certificates": (),
            "enabled": True,
            "hubs": (),
            "created": now,
            "updated": now,
        }
        self.emulator.registry.put_group(EnrollmentGroup(**group | changes))

    def wire(self, credential: Credential | None = None, **options: Any) -> Wire:
        """A TLS connection with this client certificate, or none."""
        return Wire(self.emulator.mqtt_port, tls_context(self.emulator.ca_path, credential), **options)

    @contextmanager
    def on_hub(
        self, credential: Credential | None = None, device_id: str = "mydevice001", **options: Any
    ) -> Iterator[Wire]:
        """A connection to the hub that was let in."""
        with self.wire(credential or self.certificates.device) as wire:
            assert wire.open(device_id, hub_username(device_id), **options) == 0
            yield wire

    def provision(self, credential: Credential | None = None, registration_id: str = "mydevice001") -> dict:
        with self.wire(credential or self.certificates.device) as wire:
            return register(wire, registration_id)

    def reason(self, kind: str, containing: str) -> str:
        """The section that the event of this kind and text cites; waits for it."""
        return self.emulator.events.wait_for(lambda e: e.kind == kind and containing in e.text, timeout_s=5).section


@pytest.fixture
def bench(certificates: Certificates) -> Iterator[Bench]:
    """An emulator with the root enrolled as a group, nothing registered yet."""
    with running(EmulatorOptions(port=0, http_port=0, retry_after_s=1)) as emulator:
        bench = Bench(emulator, certificates)
        bench.enroll()
        yield bench


@pytest.fixture
def provisioned(bench: Bench) -> Bench:
    """The same after mydevice001 has registered."""
    assert bench.provision()["status"] == "assigned"
    return bench


@pytest.fixture
def start(certificates: Certificates) -> Callable[..., Any]:
    """An emulator with options of one's own: `with start(assigning_steps=0) as bench`."""

    @contextmanager
    def started(**options: Any) -> Iterator[Bench]:
        settings: dict[str, Any] = {"port": 0, "http_port": 0, "retry_after_s": 1} | options
        with running(EmulatorOptions(**settings)) as emulator:
            bench = Bench(emulator, certificates)
            bench.enroll()
            yield bench

    return started
