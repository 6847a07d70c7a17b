"""Pins the service API's port as the emulator opens it: for 127.0.0.1 alone, and not held by half a request."""

import http.client
import socket
import stat
import sys

import pytest

from azureiot_tools.emulator import server


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127"])
def test_a_connection_that_asks_for_nothing_is_closed(start, monkeypatch, sent):
    monkeypatch.setattr(server, "API_IDLE_S", 0.2)
    with start() as bench, socket.create_connection(("127.0.0.1", bench.emulator.http_port), 5) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("localhost", 200), ("[::1]", 403)])
def test_only_the_names_under_which_it_listens_are_served(start, host, status):
    with start() as bench:
        port = bench.emulator.http_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/", headers={"Host": f"{host}:{port}"})
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_state_and_its_lock_are_for_the_owner_alone(start, tmp_path):
    with start(data=tmp_path) as bench:
        bench.provision()
        secret = {path for path in tmp_path.iterdir() if path.suffix != ".crt"}
        assert {"state.db", "lock"} <= {path.name for path in secret}
        assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
