"""Pins: registrations and hub identities are shown in Azure's JSON; a device can be blocked, allowed and deleted."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from azureiot_tools.emulator.records import DeviceIdentity, Registration

from .bench import NOW, Answer, Api, Pki, enroll_group, upload

VERSION = "api-version=2021-10-01"
SHA256 = "AB" * 32
REGISTRATION = Registration(
    "mydevice001",
    "mydevice001",
    "localhost",
    "group",
    "assigned",
    "initialAssignment",
    None,
    None,
    "CD" * 20,
    SHA256,
    NOW,
    NOW,
    '"tag"',
)
DEVICE = DeviceIdentity("localhost", "mydevice001", "638", True, (SHA256,), NOW, NOW)


def put(
    api: Api, id: str = "mydevice001", query: str = "", headers: dict[str, str] | None = None, **body: Any
) -> Answer:
    body = {"authentication": {"x509Thumbprint": {"primaryThumbprint": SHA256}}, **body}
    return api.request("PUT", f"/devices/{id}?{VERSION}{query}", body, headers)


def test_registrations(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    enroll_group(api.registry, "group", "root")
    api.registry.put_registration(REGISTRATION)
    api.registry.put_registration(replace(REGISTRATION, registration_id="single", enrollment_group_id=None))
    shown = api.request("GET", f"/registrations/MYDEVICE001?{VERSION}").json
    assert shown["assignedHub"] == "localhost"
    assert (shown["status"], shown["substatus"]) == ("assigned", "initialAssignment")
    assert shown["x509"] == {
        "enrollmentGroupId": "group",
        "certificateInfo": {"sha1Thumbprint": "CD" * 20, "sha256Thumbprint": SHA256},
    }
    assert api.request("POST", f"/registrations/group/query?{VERSION}").json == [shown]
    assert [one["registrationId"] for one in api.request("GET", "/registrations").json] == ["mydevice001", "single"]


def test_a_registration_is_deleted(api: Api) -> None:
    api.registry.put_registration(REGISTRATION)
    path = f"/registrations/mydevice001?{VERSION}"
    assert api.request("DELETE", path).status == 204
    assert api.request("GET", path).json["errorCode"] == 404202
    assert api.request("DELETE", path).status == 404


def test_registrations_of_an_unknown_group(api: Api) -> None:
    assert api.request("POST", f"/registrations/nobody/query?{VERSION}").json["errorCode"] == 404201


def test_devices_are_shown(api: Api) -> None:
    api.registry.put_device(DEVICE)
    shown = api.request("GET", f"/devices/mydevice001?{VERSION}").json
    assert (shown["deviceId"], shown["hub"], shown["status"]) == ("mydevice001", "localhost", "enabled")
    assert shown["authentication"] == {
        "type": "selfSigned",
        "symmetricKey": {"primaryKey": None, "secondaryKey": None},
        "x509Thumbprint": {"primaryThumbprint": SHA256, "secondaryThumbprint": None},
    }
    assert api.request("GET", f"/devices?{VERSION}").json == [shown]
    assert api.request("GET", f"/devices?{VERSION}&hub=second.local").json == []
    assert api.request("GET", f"/devices/MYDEVICE001?{VERSION}").json["errorCode"] == 404001


def test_a_device_is_disabled_and_keeps_the_rest(api: Api) -> None:
    api.registry.put_device(DEVICE)
    shown = api.request("GET", f"/devices/mydevice001?{VERSION}").json
    answer = api.request(
        "PUT", f"/devices/mydevice001?{VERSION}", shown | {"status": "disabled"}, {"If-Match": shown["etag"]}
    )
    assert (answer.status, answer.json["status"]) == (200, "disabled")
    assert api.registry.devices() == [replace(DEVICE, enabled=False)]
    assert put(api, headers={"If-Match": shown["etag"]}).status == 412


def test_a_device_is_made_by_hand(api: Api) -> None:
    secondary = ":".join(["cd"] * 32)
    answer = put(
        api,
        "Pump-7",
        authentication={
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": SHA256.lower(), "secondaryThumbprint": secondary},
        },
    )
    assert answer.status == 200
    (device,) = api.registry.devices()
    assert (device.hub, device.device_id, device.enabled) == ("localhost", "Pump-7", True)
    assert device.thumbprints == (SHA256, "CD" * 32)
    assert device.generation_id.isdecimal()


def test_a_device_on_two_hubs_needs_the_hubs_name(api: Api) -> None:
    put(api)
    assert put(api, query="&hub=second.local").json["hub"] == "second.local"
    answer = api.request("GET", f"/devices/mydevice001?{VERSION}")
    assert answer.status == 400
    assert "localhost, second.local" in answer.json["message"]
    path = f"/devices/mydevice001?{VERSION}&hub=second.local"
    assert api.request("DELETE", path).status == 204
    assert api.request("DELETE", path).json["errorCode"] == 404001
    assert [device.hub for device in api.registry.devices()] == ["localhost"]


KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))


def test_a_device_with_symmetric_keys(api: Api) -> None:
    keys = {"primaryKey": KEY, "secondaryKey": OTHER}
    answer = put(api, authentication={"type": "sas", "symmetricKey": keys})
    assert (answer.status, answer.json["authentication"]) == (
        200,
        {
            "type": "sas",
            "symmetricKey": keys,
            "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
        },
    )
    assert api.request("GET", f"/devices/mydevice001?{VERSION}").json == answer.json
    (device,) = api.registry.devices()
    assert (device.authentication, device.keys, device.thumbprints) == ("sas", (KEY, OTHER), ())
    back = api.request("PUT", f"/devices/mydevice001?{VERSION}", answer.json | {"status": "disabled"})
    assert back.json["authentication"] == answer.json["authentication"]


@pytest.mark.parametrize("authentication", [{}, {"type": "sas"}, None])
def test_a_device_of_which_nothing_is_said_gets_keys(api: Api, authentication: Any) -> None:
    shown = put(api, authentication=authentication).json["authentication"]
    keys = shown["symmetricKey"].values()
    assert shown["type"] == "sas"
    assert [len(base64.b64decode(key)) for key in keys] == [32, 32]
    assert put(api, authentication=authentication).json["authentication"] == shown, "and keeps them"


def test_a_device_that_gets_a_certificate_loses_its_keys(api: Api) -> None:
    put(api, authentication={"type": "sas"})
    shown = put(api).json["authentication"]
    assert (shown["type"], shown["symmetricKey"]["primaryKey"]) == ("selfSigned", None)
    assert api.registry.devices()[0].keys == ()


def test_a_registration_by_key(api: Api) -> None:
    api.registry.put_registration(replace(REGISTRATION, leaf_sha1="", leaf_sha256="", payload={"a": 1}))
    shown = api.request("GET", f"/registrations/mydevice001?{VERSION}").json
    assert shown["symmetricKey"] == {"enrollmentGroupId": "group"}
    assert "x509" not in shown
    assert shown["payload"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"status": "asleep"}, "status must be 'enabled' or 'disabled', not 'asleep'"),
        ({"deviceId": "other"}, "The body's deviceId 'other' is not the path's 'mydevice001'"),
        (
            {"authentication": {"type": "certificateAuthority"}},
            "or symmetric key ('sas'), not by 'certificateAuthority'",
        ),
        ({"authentication": {"type": "selfSigned"}}, "'authentication.x509Thumbprint.primaryThumbprint' is missing"),
        ({"authentication": {"symmetricKey": {"primaryKey": "secret"}}}, "must be base64 of 16 to 64 bytes"),
        ({"authentication": {"x509Thumbprint": {"primaryThumbprint": "AB" * 20}}}, "SHA-256 thumbprint, 64 hex digits"),
        ({"authentication": 5}, "'authentication' must be an object"),
    ],
)
def test_a_device_that_cannot_be_is_refused(api: Api, body: dict[str, Any], says: str) -> None:
    answer = put(api, **body)
    assert answer.status == 400
    assert says in answer.json["message"]
    assert api.registry.devices() == []


@pytest.mark.parametrize("id", ["a%20b", "a%2Fb", "%C3%A9", "x" * 129, "%00"])
def test_ids_that_no_hub_takes(api: Api, id: str) -> None:
    assert put(api, id).status == 400
    assert put(api, query="&hub=elsewhere").json["message"] == (
        "There is no hub 'elsewhere'; there are: localhost, second.local."
    )
