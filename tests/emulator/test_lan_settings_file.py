"""Pins settings.json of an emulator: it leads devices there, is the owner's alone, and costs nobody what they wrote."""

import json
import sys

import pytest

from azureiot_tools.console import UserError
from azureiot_tools.emulator import settings_file
from azureiot_tools.emulator.server import EmulatorOptions, running

VALUES = {"id_scope": "0ne1", "provisioning_host": "192.168.1.20", "port": 8883, "roots": "emulator-ca.crt"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("options", "name"), [({}, "localhost"), ({"host": "0.0.0.0"}, "localhost"), ({"lan": "127.0.0.1"}, "127.0.0.1")]
)
def test_every_emulator_writes_it(tmp_path, options, name):
    with running(EmulatorOptions(port=0, http_port=0, data=tmp_path, id_scope="0ne1", **options)) as emulator:
        assert emulator.settings_path == tmp_path / "settings.json"
        assert read(emulator.settings_path) == {**VALUES, "provisioning_host": name, "port": emulator.mqtt_port}
        assert emulator.former_settings == {}
        assert (emulator.settings_path.parent / "emulator-ca.crt").samefile(emulator.ca_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_it_is_for_its_owner_alone_even_if_it_was_not(tmp_path):
    path, _ = settings_file.write(tmp_path, VALUES)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    settings_file.write(tmp_path, VALUES)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_user_added_stays_and_what_is_the_emulators_is_renewed(tmp_path):
    path, _ = settings_file.write(tmp_path, VALUES)
    added = {"wifi": [{"ssid": "Büro", "password": "s3cret-s3cret"}], "cert": "../certs/mydevice001.crt"}
    path.write_text("\ufeff" + json.dumps({**VALUES, **added}, ensure_ascii=False), encoding="utf-8")
    later = {**VALUES, "provisioning_host": "192.168.1.21", "port": 8884}
    _, before = settings_file.write(tmp_path, later)
    assert read(path) == {**later, **added}
    assert before["provisioning_host"] == "192.168.1.20"


@pytest.mark.parametrize(
    "content",
    [
        b'{"id_scope": "0ne00REAL00", "cert": "certs/mydevice001.crt"}',
        b'{"roots": ".emulator/emulator-ca.crt"}',
        b'{"roots": "emulator-ca.crt"',
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b"",
    ],
)
def test_a_file_that_is_not_the_emulators_is_left_as_it_was(tmp_path, content):
    """`--data .` in a folder with the settings of a real device."""
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    options = EmulatorOptions(port=0, http_port=0, data=tmp_path)
    with pytest.raises(UserError, match=r"settings\.json is not an emulator's, .* Move it away"), running(options):
        pass
    assert path.read_bytes() == content
    path.unlink()
    with running(options):  # the failed start let go of ports and data
        pass


def test_one_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "settings.json").mkdir()
    with pytest.raises(UserError, match=r"settings\.json cannot be read: .* Move it away"):
        settings_file.write(tmp_path, VALUES)
