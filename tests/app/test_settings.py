"""Settings: what is wrong is said in one sentence that names the entry; what may be left out is filled in."""

import json

import app.settings as settings
from fakes import raises

HERE = __file__  # any file that exists

GOOD = {
    "id_scope": "0ne00000000",
    "registration_id": "mydevice001",
    "cert": HERE,
    "key": HERE,
    "roots": HERE,
    "wifi": [{"ssid": "home", "password": "correct horse"}, {"ssid": "café"}],
}


def parse(**changes):
    return settings.parse(json.dumps(dict(GOOD, **changes)))


def refused(**changes):
    error = raises(lambda: parse(**changes), "settings")
    assert error.message.startswith("settings.json: "), error.message
    assert "\n" not in error.message
    return error.message


def test_what_may_be_left_out_is_filled_in():
    found = parse()
    assert found["interval_s"] == 60
    assert len(found["ntp"]) >= 2
    assert "watchdog_s" not in found
    assert "led" not in found


def test_what_is_given_is_kept():
    found = parse(interval_s=2.5, ntp=["time.example"], led="LED", watchdog_s=60, port=8884, provisioning_host="dps")
    assert (found["interval_s"], found["ntp"], found["led"]) == (2.5, ["time.example"], "LED")
    assert (found["watchdog_s"], found["port"], found["provisioning_host"]) == (60, 8884, "dps")
    assert [entry["ssid"] for entry in found["wifi"]] == ["home", "café"]


def test_a_missing_entry_is_named():
    for name in ("id_scope", "registration_id", "wifi"):
        assert refused(**{name: None}) == f"settings.json: {name} is missing"


def test_a_wrong_type_is_named():
    assert refused(id_scope=5) == "settings.json: id_scope must be a text"
    assert refused(registration_id="") == "settings.json: registration_id must be a text"
    assert refused(wifi={}) == "settings.json: wifi must be a list with at least one entry"
    assert refused(wifi=[]) == "settings.json: wifi must be a list with at least one entry"
    assert refused(ntp="pool.ntp.org") == "settings.json: ntp must be a list with at least one entry"
    assert refused(port="8883") == "settings.json: port must be a number"
    assert refused(interval_s=True) == "settings.json: interval_s must be a number"


def test_an_interval_that_cannot_be_is_refused():
    for interval_s in (0, -1, 86401):
        assert "interval_s" in refused(interval_s=interval_s)


def test_a_network_without_a_name_is_refused():
    for entry in ("home", {}, {"ssid": ""}, {"ssid": 5}):
        assert "wifi" in refused(wifi=[entry])


def test_a_password_of_the_wrong_length_is_refused_and_never_shown():
    for password in ("short77", "x" * 65):
        message = refused(wifi=[{"ssid": "home", "password": password}])
        assert "home" in message
        assert password not in message


def test_an_open_network_needs_no_password():
    assert parse(wifi=[{"ssid": "cafe", "password": ""}, {"ssid": "park", "password": None}])


def test_a_file_that_is_not_there_is_named():
    for name in ("cert", "key", "roots"):
        assert refused(**{name: "certs/none.der"}) == f"settings.json: {name}: there is no certs/none.der"


def test_what_is_no_json_object_is_refused():
    for text in ("", "{", '{"id_scope": ', "[]", "5", '"text"'):
        error = raises(lambda text=text: settings.parse(text), "settings")
        assert "JSON" in error.message, error.message


def test_a_missing_settings_file_is_said():
    assert "cannot be read" in raises(lambda: settings.load("no/settings.json"), "settings").message
