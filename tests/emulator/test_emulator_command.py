"""Pins `azureiot emulator`: its ready line, its events, its sentences, and that signals end it in order."""

import argparse
import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from azureiot_tools.commands import emulator as command
from azureiot_tools.console import UserError

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
def running_command(*arguments, cwd):
    line = [sys.executable, "-c", PROGRAM, "emulator", "--port", "0", "--http-port", "0", *arguments]
    process = subprocess.Popen(line, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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
        assert (event["kind"], event["device_id"], event["section"]) == ("refused", "dev", "docs/protocol.md §3.1")
        assert "there is no hub 'three' here" in event["text"]
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


def test_the_readable_ready_lines(tmp_path):
    with running_command("--data", "state", cwd=tmp_path) as process:
        lines = [process.stdout.readline().strip() for _ in range(6)]
    assert [line.split("  ")[0] for line in lines[:5]] == ["MQTT", "service API", "id scope", "hub", "CA"]
    assert "0ne00000000" in lines[2]
    assert "state/emulator-ca.crt" in lines[4]
    assert "azureiot service cert upload" in lines[5]


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
