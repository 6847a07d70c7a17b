"""Pins `azureiot service twin|send|invoke`: what a device gets, what a person reads, every mistake in one line."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from azureiot_tools import cli

from .hub_bench import DEVICEBOUND, METHODS, TWIN, subscribed
from .mqtt_wire import publish


@pytest.fixture
def run(provisioned, monkeypatch, capsys):
    monkeypatch.setenv("AZUREIOT_SERVICE_URL", f"http://127.0.0.1:{provisioned.emulator.http_port}")

    def run(*arguments, code=0):
        """What the command printed; on stderr, in one line, when it is to fail."""
        assert cli.main(["service", *arguments]) == code
        out, err = capsys.readouterr()
        assert (err == "") == (code == 0)
        assert err.count("\n") == (code != 0)
        return err if code else out

    return run


def test_twin(run, provisioned):
    assert run("twin", "mydevice001") == (
        "'mydevice001' at localhost is disconnected.\ndesired   version 1  {}\nreported  version 1  {}\ntags      {}\n"
    )
    with provisioned.on_hub() as wire:
        subscribed(wire, TWIN)
        wire.send(publish("$iothub/twin/PATCH/properties/reported/?$rid=1", '{"text":"ü\\u001b[31m"}'.encode(), qos=0))
        assert wire.receive().type == 3
        said = run("twin", "mydevice001", "--desired", '{"fan": {"speed": 3}}', "--tags", '{"site": "roof"}')
    assert said == (
        "'mydevice001' at localhost is connected.\n"
        'desired   version 2  {"fan": {"speed": 3}}\n'
        'reported  version 2  {"text": "ü\\u001b[31m"}\n'
        'tags      {"site": "roof"}\n'
    )
    twin = json.loads(run("twin", "mydevice001", "--desired", '{"fan": null}', "--json"))
    assert twin["properties"]["desired"]["$version"] == 3
    assert "fan" not in twin["properties"]["desired"]
    assert twin["tags"] == {"site": "roof"}


def test_send(run, provisioned):
    said = run(
        "send",
        "mydevice001",
        "grüße",
        *("--property", "colour=red & blue", "--property", "empty=", "--property", "a=b=c"),
        *("--message-id", "m-1", "--content-type", "text/plain", "--ack", "full"),
    )
    assert said.startswith("Message m-1 is queued for 'mydevice001'; it expires at 2")
    assert said.endswith(" UTC.\nnext: azureiot service events --device mydevice001\n")
    assert "is disconnected; messages that wait for it: 1." in run("twin", "mydevice001")
    with provisioned.on_hub(clean=False) as wire:
        message = subscribed(wire, DEVICEBOUND + "#").receive()
    assert message.payload == "grüße".encode()
    assert "%24.mid=m-1&" in message.topic
    assert message.topic.endswith("&%24.ct=text%2Fplain&iothub-ack=full&colour=red%20%26%20blue&empty=&a=b%3Dc")
    assert run("send", "mydevice001", "").startswith("Message no. 2 is queued")


def test_invoke(run, provisioned):
    with provisioned.on_hub() as wire, ThreadPoolExecutor(1) as commands:
        subscribed(wire, METHODS)
        for rid, arguments, sent in ((1, (), b"null"), (2, ('{"delay": 5}', "--timeout", "60"), b'{"delay":5}')):
            said = commands.submit(run, "invoke", "mydevice001", "reboot", *arguments)
            request = wire.receive()
            assert (request.topic, request.payload) == (f"$iothub/methods/POST/reboot/?$rid={rid}", sent)
            wire.send(publish(f"$iothub/methods/res/207/?$rid={rid}", '{"text":"ü"}'.encode(), qos=0))
            assert said.result() == '\'mydevice001\' answered with status 207: {"text": "ü"}\n'
    said = run("invoke", "mydevice001", "reboot", code=1)
    assert "Timed out waiting for device to connect. (error 404103" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("twin", "nobody"), "There is no device 'nobody'."),
        (("twin", "mydevice001", "--desired", "{a: 1}"), "--desired is not JSON: "),
        (("twin", "mydevice001", "--desired", "[1]"), "--desired must be a JSON object, not [1]."),
        (("twin", "mydevice001", "--tags", "[" * 100_000), "--tags is not JSON: "),
        (("twin", "mydevice001", "--desired", '{"a.b": 1}'), "the name 'a.b' is empty, or has"),
        (("twin", "mydevice001", "--desired", '{"a": NaN}'), "NaN is no JSON value"),
        (("send", "mydevice001", "x", "--property", "bare"), "'bare' is no property. Give NAME=VALUE"),
        (("send", "mydevice001", "x", "--property", "=x"), "'=x' is no property."),
        (("send", "mydevice001", "x", "--property", "a b=x"), "'a b=x' is no property."),
        (("send", "mydevice001", "x", "--property", "$.mid=x"), "'$.mid=x' is no property."),
        (("send", "mydevice001", "x", "--property", "ü=x"), "'ü=x' is no property."),
        (("send", "mydevice001", "x", "--property", "a=1\r\nHost: b"), "The value of 'a' cannot be sent."),
        (("send", "mydevice001", "x", "--message-id", "\udcff"), "The value of 'iothub-messageid' cannot be sent."),
        (("send", "mydevice001", "x" * 65537), "The message has 65537 bytes; at most 65536 are taken."),
        (("invoke", "mydevice001", "a b"), "'a b' cannot be a methodName"),
        (("invoke", "mydevice001", "reboot", "{"), "The payload is not JSON: "),
    ],
)
def test_every_mistake_is_one_line(run, arguments, says):
    assert says in run(*arguments, code=1)


def test_bytes_that_are_no_text_are_sent_as_they_are(run, provisioned):
    run("send", "mydevice001", "a\udcffb")
    (message,) = provisioned.emulator.registry.messages("localhost", "mydevice001")
    assert message.payload == b"a\xffb"
