"""Pins `azureiot emulator --lan`: boards reach it with the settings that it writes, and nothing else is opened to them.

127.0.0.2 stands in for the machine's address in the network: another address than the one for this machine's tools.
"""

import http.client
import json
import re
import socket
import subprocess

import pytest

from azureiot_tools import cli
from azureiot_tools.certificates.credential import key_to_pem, to_pem
from azureiot_tools.emulator.server import EmulatorOptions, running

from .mqtt_wire import Wire, connect, tls_context
from .test_emulator_command import running_command

LAN, LATER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(autouse=True)
def _addresses():
    """Linux and Windows have all of 127.0.0.0/8; macOS only 127.0.0.1."""
    for address in (LAN, LATER):
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                pytest.skip(f"{address} is not an address of this machine")


def on_lan(start, data, address=LAN):
    return start(data=data, lan=address, hubs=(address,))


def refused(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def device_files(tmp_path, certificates):
    """--cert and --key of mydevice001, as options."""
    certificate, key = tmp_path / "device.crt", tmp_path / "device.key"
    certificate.write_bytes(to_pem(certificates.device.certificates))
    key.write_bytes(key_to_pem(certificates.device.key))
    return ["--cert", str(certificate), "--key", str(key)]


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_device_gets_there_with_nothing_but_the_settings(
    start, tmp_path, device_files, runtime, request, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for variable in ("DPS_IDSCOPE", "DPS_HOST", "DPS_REGISTRATION_ID"):
        monkeypatch.delenv(variable, raising=False)
    options = ["--json", *device_files]
    if runtime == "micropython":
        request.getfixturevalue("micropython")
        options.append("--micropython")
    with on_lan(start, tmp_path / "data") as bench:
        assert cli.main(["simulate", "--settings", str(bench.emulator.settings_path), "--count", "2", *options]) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(event["event"], event.get("hub")) for event in events] == [
            ("assigned", LAN),
            ("connected", LAN),
            ("sent", None),
            ("sent", None),
        ]
        assert sum(event.kind == "telemetry" for event in bench.emulator.events.recent(limit=1000)) == 2


def test_the_tools_of_this_machine_may_still_say_localhost(start, tmp_path, device_files, capsys):
    with on_lan(start, tmp_path / "data") as bench:
        emulator = bench.emulator
        here = ["--provisioning-host", "localhost", "--port", str(emulator.mqtt_port), "--roots", str(emulator.ca_path)]
        assert cli.main(["provision", "--id-scope", emulator.id_scope, *here, *device_files]) == 0
        assert f"hub        {LAN}\n" in capsys.readouterr().out


def test_the_devices_port_is_open_at_the_two_addresses_and_the_service_api_at_one(start, tmp_path):
    with on_lan(start, tmp_path) as bench:
        emulator = bench.emulator
        assert emulator.addresses == [LAN, "127.0.0.1"]
        open_at = [a for a in ("127.0.0.1", LAN, LATER) if not refused(a, emulator.mqtt_port)]
        assert open_at == ["127.0.0.1", LAN]
        assert refused(LAN, emulator.http_port), "the service API asks for no password"
        api = http.client.HTTPConnection("127.0.0.1", emulator.http_port, timeout=5)
        api.request("GET", "/")
        assert api.getresponse().status == 200
        api.close()
    assert refused(LAN, emulator.mqtt_port)
    assert refused("127.0.0.1", emulator.mqtt_port)


def test_a_port_that_is_taken_at_one_of_the_addresses_is_one_sentence(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Exception, match=rf"^Port {port} of 127\.0\.0\.1 is taken by another program\."),
            start(data=tmp_path, lan=LAN, hubs=(LAN,), port=port),
        ):
            pass
        assert refused(LAN, port), "what was open already is closed again"


def test_one_address_is_listened_on_once(start):
    with start(lan="127.0.0.1") as bench:
        assert bench.emulator.addresses == ["127.0.0.1"]


def test_the_certificate_is_for_address_machine_and_loopback(start, tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "desk")
    with on_lan(start, tmp_path) as bench:
        port, ca = bench.emulator.mqtt_port, str(bench.emulator.ca_path)
        for name in ("desk", "desk.local", "localhost"):
            assert "Verification: OK" in s_client(port, ca, "-verify_hostname", name)
        for address in (LAN, "127.0.0.1"):
            assert "Verification: OK" in s_client(port, ca, "-verify_ip", address)
        assert "IP address mismatch" in s_client(port, ca, "-verify_ip", LATER)


def s_client(port, ca, *options):
    """What openssl says of the server at the LAN address."""
    command = ["openssl", "s_client", "-connect", f"{LAN}:{port}", "-CAfile", ca, "-tls1_2", *options]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=30).stdout


def test_after_a_change_of_address_devices_are_assigned_to_the_new_one(start, tmp_path):
    """DHCP: the hub that a device was assigned to has a name that nobody answers to any more."""
    with on_lan(start, tmp_path) as bench:
        assert bench.provision()["registrationState"]["assignedHub"] == LAN
        ca = bench.emulator.ca_path.read_bytes()
    with on_lan(start, tmp_path, LATER) as bench:
        emulator = bench.emulator
        assert emulator.ca_path.read_bytes() == ca, "boards trust it"
        assert emulator.former_settings["provisioning_host"] == LAN
        with bench.wire(bench.certificates.device) as wire:
            wire.send(connect("mydevice001", f"{LAN}/mydevice001/?api-version=2021-04-12"))
            assert wire.receive() == (2, 0, b"\0\5"), "what leads a device back to DPS"
        assert bench.reason("refused", f"there is no hub '{LAN}' here, only {LATER}; a device that was assigned to it")
        state = bench.provision()["registrationState"]
        assert (state["assignedHub"], state["substatus"]) == (LATER, "deviceDataMigrated")
        assert bench.reason("registered", f"; it leaves hub {LAN}, which is no longer linked")
        assert [(device.hub, device.device_id) for device in emulator.registry.devices()] == [(LATER, "mydevice001")]
        context = tls_context(emulator.ca_path)
        with Wire(emulator.mqtt_port, context, LATER):
            pass
        with pytest.raises(OSError, match="IP address mismatch"):
            Wire(emulator.mqtt_port, context, LAN)


def test_the_event_of_a_move_between_linked_hubs_says_where_from(start):
    with start(hubs=("north", "south")) as bench:
        first = bench.provision()["registrationState"]["assignedHub"]
        bench.enroll(hubs=("south" if first == "north" else "north",))
        bench.provision()
        event = bench.emulator.events.wait_for(lambda e: "it leaves" in e.text)
        assert event.text.endswith(f"; it leaves hub {first}")


def lines_of(process, count):
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def test_the_command_prints_settings_and_the_line_to_paste_and_warns(tmp_path):
    with running_command("--lan", LAN, "--data", "my state", cwd=tmp_path) as process:
        lines = lines_of(process, 10)
    port = int(re.search(rf"{LAN}:(\d+) and 127\.0\.0\.1:\1, TLS", lines[0])[1])
    assert lines[1].startswith("service API  http://127.0.0.1:")
    assert lines[3] == f"hub          {LAN}"
    assert json.loads(lines[6]) == {
        "id_scope": "0ne00000000",
        "provisioning_host": LAN,
        "port": port,
        "roots": "emulator-ca.crt",
    }
    assert lines[7].split("  ")[-1].strip() == (
        "azureiot board flash --settings 'my state/settings.json' --device mydevice001 --wifi SSID"
    )
    assert lines[8].startswith(f"warning: whoever reaches {LAN} can connect to port {port}")
    assert lines[9].startswith("next: ")

    with running_command("--lan", LATER, "--data", "my state", cwd=tmp_path) as process:
        lines = lines_of(process, 11)
    assert lines[9] == f"warning: boards that were told to call {LAN}, port {port}, find nobody there: flash them again"


def test_the_ready_line_for_programs_has_address_and_settings(tmp_path):
    with running_command("--lan", LAN, "--json", "--hub", "desk.local", cwd=tmp_path) as process:
        ready = json.loads(process.stdout.readline())
    assert (ready["lan"], ready["hub"], ready["settings"]) == (LAN, "desk.local", ".emulator/settings.json")
    assert json.loads((tmp_path / ready["settings"]).read_text())["port"] == ready["port"]
    with running_command("--json", cwd=tmp_path) as process:
        assert json.loads(process.stdout.readline())["lan"] is None


def test_without_lan_nothing_is_open_but_loopback(tmp_path):
    with running(EmulatorOptions(port=0, http_port=0, data=tmp_path)) as emulator:
        assert emulator.addresses == ["127.0.0.1"]
        assert refused(LAN, emulator.mqtt_port)
