"""Pins `azureiot emulator`: ready line, events, sentences; signals end it in order; it outlives whoever reads it."""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from azureiot_tools.commands import emulator as command
from azureiot_tools.console import UserError
from azureiot_tools.emulator.server import SPARE_DESCRIPTORS

from .mqtt_wire import Wire, connect, tls_context

PROGRAM = """
import argparse
from azureiot_tools.commands import emulator
parser = argparse.ArgumentParser()
emulator.add(parser.add_subparsers())
arguments = parser.parse_args()
arguments.run(arguments)
"""


@contextmanager
def running_command(*arguments, cwd, **options):
    line = [sys.executable, "-c", PROGRAM, "emulator", "--port", "0", "--http-port", "0", *arguments]
    process = subprocess.Popen(line, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_ready_line_then_events_then_an_orderly_end(tmp_path, number):
    arguments = ("--json", "--hub", "one", "--hub", "two", "--id-scope", "0ne00ABCDEF")
    with running_command(*arguments, cwd=tmp_path) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["port"] > 0
        assert ready["http_port"] > 0
        assert (ready["id_scope"], ready["hub"], ready["hubs"]) == ("0ne00ABCDEF", "one", ["one", "two"])
        assert ready["ca"] == ".emulator/emulator-ca.crt"
        with Wire(ready["port"], tls_context(tmp_path / ready["ca"])) as wire:
            wire.send(connect("dev", "three/dev/?api-version=2021-04-12"))
            assert wire.receive() == (2, 0, b"\0\5")
        event = json.loads(process.stdout.readline())
        assert event.keys() == {"sequence", "timeUtc", "kind", "deviceId", "text", "section", "detail"}
        assert (event["kind"], event["deviceId"], event["section"]) == ("refused", "dev", "docs/protocol.md §3.1")
        assert "there is no hub 'three' here" in event["text"]
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
        assert json.loads(rest.splitlines()[-1])["text"] == "stopped", "nothing that happened was left out"


def refused(ready, directory, name="x"):
    """One device that is refused: an event, and a sign of life."""
    with Wire(ready["port"], tls_context(directory / ready["ca"])) as wire:
        wire.send(connect(name, "elsewhere/x/"))
        return wire.receive() == (2, 0, b"\0\5")


def test_a_stdout_that_nobody_reads_stops_only_the_printing(tmp_path):
    """A pipe takes 64 KiB; printing in the event loop froze DPS, hub and service API, and SIGTERM went unheard."""
    with running_command("--json", cwd=tmp_path) as process:
        ready = json.loads(process.stdout.readline())
        # About 7 KB of JSON each: twice what a pipe holds.
        assert all(refused(ready, tmp_path, "☃" * 20_000) for _ in range(20))
        api = http.client.HTTPConnection("127.0.0.1", ready["http_port"], timeout=5)
        api.request("GET", "/events?kind=refused")
        assert len(json.loads(api.getresponse().read())) == 20
        api.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def test_a_reader_that_goes_ends_only_the_printing(tmp_path):
    with running_command("--json", cwd=tmp_path) as process:
        ready = json.loads(process.stdout.readline())
        process.stdout.close()
        assert all(refused(ready, tmp_path) for _ in range(3))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def test_a_stdout_without_the_devices_characters_gets_them_escaped(tmp_path):
    with running_command(cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}) as process:
        lines = [process.stdout.readline() for _ in range(7)]
        ready = {"port": int(lines[0].split(":")[1].split(",")[0]), "ca": ".emulator/emulator-ca.crt"}
        assert refused(ready, tmp_path, "☃")
        assert "\\u2603" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_every_command_escapes_what_the_terminal_has_not(tmp_path):
    """`main` itself: a command that prints a device's name must not fail on it."""
    code = (
        "import argparse; from azureiot_tools import cli\n"
        "parser = argparse.ArgumentParser(); parser.set_defaults(run=lambda _: print('\\u2603'))\n"
        "cli.build_parser = lambda: parser; raise SystemExit(cli.main([]))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"\\u2603", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_no_more_connections_than_the_system_has_descriptors_for(tmp_path):
    """Out of descriptors asyncio logs without end and the service API is dead."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (SPARE_DESCRIPTORS + 5, SPARE_DESCRIPTORS + 10))

    with running_command("--json", cwd=tmp_path, preexec_fn=limit) as process, ExitStack() as opened:
        ready = json.loads(process.stdout.readline())
        for _ in range(150):
            opened.enter_context(socket.create_connection(("127.0.0.1", ready["port"]), timeout=5))
        event = json.loads(process.stdout.readline())
        assert "there are 10 connections already" in event["text"], "the soft limit was raised to the hard one"
        api = http.client.HTTPConnection("127.0.0.1", ready["http_port"], timeout=5)
        api.request("GET", "/")
        assert api.getresponse().status == 200
        api.close()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[1] == ""


def test_the_readable_ready_lines(tmp_path):
    with running_command("--data", "state", cwd=tmp_path) as process:
        lines = [process.stdout.readline().strip() for _ in range(7)]
    assert [line.split("  ")[0] for line in lines[:6]] == ["MQTT", "service API", "id scope", "hub", "CA", "settings"]
    assert "0ne00000000" in lines[2]
    assert "state/emulator-ca.crt" in lines[4]
    assert "state/settings.json" in lines[5]
    assert "azureiot service cert upload" in lines[6]


def parse(*arguments):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    return parser.parse_args(["emulator", *arguments])


def test_a_taken_port_is_a_user_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = parse("--port", str(taken.getsockname()[1]), "--http-port", "0", "--data", str(tmp_path))
        with pytest.raises(UserError, match="is taken by another program"):
            arguments.run(arguments)


@pytest.mark.parametrize("port", ["-1", "65536", "x", ""])
def test_an_impossible_port_is_wrong_usage(port, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(f"--port={port}")
    assert caught.value.code == 2
    assert "is not a port" in capsys.readouterr().err


def test_the_help_needs_no_heavy_package():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('cryptography', 'OpenSSL', 'aiohttp')));\n"
        f"{PROGRAM.replace('parse_args()', 'parse_args([])').replace('arguments.run(arguments)', '')}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
