"""Pins start and stop: what a data directory keeps, what stands in the way of a start, and that nothing is left."""

import asyncio
import http.client
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from azureiot_tools.console import UserError
from azureiot_tools.emulator.server import Emulator, EmulatorOptions, running

from .conftest import Bench
from .mqtt_wire import hub_username, publish

EVENTS = "devices/mydevice001/messages/events/"


def start_fails(match, options):
    with pytest.raises(UserError, match=match), running(options):
        pass


def options(data=None, **changes):
    return EmulatorOptions(**{"port": 0, "http_port": 0, "data": data, "retry_after_s": 1} | changes)


def test_a_restart_keeps_devices_telemetry_and_the_ca(tmp_path, certificates):
    with running(options(tmp_path / "data")) as emulator:
        bench = Bench(emulator, certificates)
        bench.enroll()
        bench.provision()
        with bench.on_hub() as wire:
            wire.send(publish(EVENTS, b"before"))
            assert wire.receive().type == 4
        ca, server = emulator.ca_path.read_bytes(), (tmp_path / "data" / "server.crt").read_bytes()
    with running(options(tmp_path / "data")) as emulator:
        assert [item.payload for item in emulator.registry.telemetry()] == [b"before"], "acknowledged, so written"
        with Bench(emulator, certificates).on_hub():
            pass
        assert (emulator.ca_path.read_bytes(), (tmp_path / "data" / "server.crt").read_bytes()) == (ca, server)


def test_nobody_else_may_read_the_state(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "lock").touch(0o644)
    with running(options(tmp_path)):
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.suffix != ".crt"}
    assert {"lock", "state.db", "state.db-wal", "emulator-ca.key"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_without_data_nothing_is_kept(certificates):
    with running(options()) as emulator:
        Bench(emulator, certificates).enroll()
        directory = emulator.ca_path.parent
        assert directory.exists()
    assert not directory.exists()
    with running(options()) as emulator:
        assert emulator.registry.certificates() == []


def test_the_server_certificate_is_renewed_in_time_and_the_ca_is_not(tmp_path):
    with running(options(tmp_path)) as emulator:
        ca = emulator.ca_path.read_bytes()
        first = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    later = first.not_valid_after_utc - timedelta(days=29)
    with running(options(tmp_path, now=lambda: later)) as emulator:
        second = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
        assert second.not_valid_after_utc > later + timedelta(days=300)
        assert emulator.ca_path.read_bytes() == ca


def test_another_name_makes_another_server_certificate_under_the_same_ca(tmp_path):
    with running(options(tmp_path)) as emulator:
        ca = emulator.ca_path.read_bytes()
    with running(options(tmp_path, server_names=("board.example",))) as emulator:
        certificate = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["127.0.0.1", "board.example", "localhost"]
        assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
        assert emulator.ca_path.read_bytes() == ca


def test_an_expired_ca_is_one_sentence_and_is_left_alone(tmp_path):
    long_ago = datetime.now(UTC) - timedelta(days=4000)
    with running(options(tmp_path, now=lambda: long_ago)) as emulator:
        old = emulator.ca_path.read_bytes()
    start_fails(r"^The emulator's CA .* is valid from .* Set the clock; if it is right, move", options(tmp_path))
    assert emulator.ca_path.read_bytes() == old


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("lock", r"/lock cannot be used: .* Delete it: it only keeps a second emulator out"),
        ("state.db", r"state\.db cannot be opened: .* Move the file away to begin anew"),
        (
            "server.crt",
            r"^The emulator's certificate is damaged: .*server\.crt.* Move .*server\.crt and server\.key away",
        ),
        ("emulator-ca.key", r"is damaged: .*emulator-ca\.key.* Move .*emulator-ca\.crt and emulator-ca\.key away"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do_about_it(tmp_path, name, match):
    with running(options(tmp_path)):
        pass
    (tmp_path / name).write_bytes(b"no such thing" * 100)
    start_fails(match, options(tmp_path))
    (tmp_path / name).unlink()
    if name.startswith("emulator-ca"):
        (tmp_path / "emulator-ca.crt").unlink()
    with running(options(tmp_path)):
        pass


def test_two_emulators_do_not_share_a_data_directory(tmp_path):
    with running(options(tmp_path)):
        start_fails(r"^Another emulator is running on the data directory .* Stop it, or give", options(tmp_path))
    with running(options(tmp_path)):
        pass


@pytest.mark.parametrize("which", ["port", "http_port"])
def test_a_taken_port_is_one_sentence_and_leaves_nothing_open(which, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        start_fails(
            f"^Port {port} of 127.0.0.1 is taken by another program. Choose another", options(tmp_path, **{which: port})
        )
    with running(options(tmp_path)):  # the failed start let go of the data directory
        pass


def test_a_host_that_is_not_ours_is_one_sentence():
    start_fails(r"^Port 0 of 192.0.2.1 cannot be opened: ", options(host="192.0.2.1"))


def test_a_data_directory_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    start_fails(r"^The data directory .*file cannot be used: File exists\.$", options(tmp_path / "file"))


def test_a_state_that_is_no_database_is_one_sentence_and_is_left_alone(tmp_path):
    (tmp_path / "state.db").write_bytes(b"no database" * 100)
    start_fails(r"^The emulator's state in .*state.db cannot be opened: .* Move the file away", options(tmp_path))
    assert (tmp_path / "state.db").read_bytes() == b"no database" * 100


@pytest.mark.parametrize(
    "changes",
    [
        {"hubs": ()},
        {"hubs": ("a/b",)},
        {"hubs": ("A", "a")},
        {"id_scope": "a b"},
        {"retry_after_s": 0},
        {"retry_after_s": 301},
    ],
)
def test_options_that_cannot_be(changes):
    with pytest.raises(UserError):
        options(**changes)


def test_stopping_ends_connections_ports_and_threads(certificates):
    before = threading.active_count()
    with running(options()) as emulator:
        bench = Bench(emulator, certificates)
        bench.enroll()
        bench.provision()
        on_hub = bench.wire(certificates.device)
        assert on_hub.open("mydevice001", hub_username("mydevice001")) == 0
        silent = bench.wire()
    with on_hub, silent:
        assert on_hub.closed()
        assert silent.closed()
    assert any(
        event.kind == "disconnected" and "the emulator stops" in event.text for event in emulator.events.recent()
    )
    for port in (emulator.mqtt_port, emulator.http_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert threading.active_count() == before


def test_it_runs_in_a_loop_of_ones_own_too():
    async def one_round():
        emulator = Emulator(options())
        await emulator.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", emulator.http_port)
            writer.write(f"GET / HTTP/1.0\r\nHost: localhost:{emulator.http_port}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        finally:
            await emulator.stop()
        return answer

    assert asyncio.run(one_round()).startswith(b"HTTP/1.0 200")


def test_the_service_api_stays_on_this_machine_when_devices_come_from_elsewhere():
    with running(options(host="0.0.0.0")) as emulator:
        connection = http.client.HTTPConnection("127.0.0.1", emulator.http_port, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        addresses = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in addresses - {"127.0.0.1"}:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, emulator.http_port), timeout=2)


def test_the_service_api_sees_what_devices_did(provisioned):
    connection = http.client.HTTPConnection("127.0.0.1", provisioned.emulator.http_port, timeout=5)
    connection.request("GET", "/devices?api-version=2021-04-12")
    response = connection.getresponse()
    assert response.status == 200
    assert b"mydevice001" in response.read()
    connection.close()
