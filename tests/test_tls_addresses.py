"""A server that is called by its address: pins that MicroPython takes the address in either form of a certificate, so
that boards accept what `azureiot emulator --lan` shows, and that it refuses another one."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from azureiot import AzureIoTError
from azureiot_tools.certificates import authority
from azureiot_tools.certificates.credential import to_der
from tls_server import serving


@pytest.mark.parametrize("as_name", [True, False], ids=["dns-name", "ip-address"])
def test_micropython_takes_an_address_in_either_form_for_its_host(run_on_micropython, as_name):
    """Older Mbed TLS knows only the first form, CPython only the second: the emulator's certificate has both."""
    root = authority.create_root("root")
    forms = (["127.0.0.1"], []) if as_name else (["localhost"], ["127.0.0.1"])
    with serving(authority.issue_server(root, *forms)) as server:
        assert run_on_micropython(server.port, root, "127.0.0.1") == "connected"


def test_micropython_refuses_a_certificate_for_another_address(run_on_micropython):
    root = authority.create_root("root")
    with serving(authority.issue_server(root, ["127.0.0.3"], ["127.0.0.3"])) as server:
        with pytest.raises(AzureIoTError) as caught:
            run_on_micropython(server.port, root, "127.0.0.1")
        assert caught.value.code == "tls-name"
        assert server.received == b""


@pytest.fixture
def run_on_micropython(micropython):
    """Connect to a server on this machine that is to show a certificate for `host`; the last event."""
    from azureiot_tools.simulator import unix_port

    certificate, key = to_der(authority.issue_device(authority.create_root("devices"), "dev-1"))

    def run(port, root, host):
        events = []
        config = {
            "hub": host,
            "device_id": "dev-1",
            "port": port,
            "roots": root.certificate.public_bytes(Encoding.DER),
            "certificate": certificate,
            "key": key,
            "count": 1,
            "interval_s": 0,
            "timeout_s": 20,
        }
        unix_port.run(micropython, config, events.append)
        return events[0]["event"]

    return run
