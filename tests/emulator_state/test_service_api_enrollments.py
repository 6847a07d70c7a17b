"""Pins docs/protocol.md §2.1, §2.6: what may be enrolled, in Azure's JSON, and every refusal in one clear sentence."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .bench import NOW, Answer, Api, Pki, der, pem, upload
from .forged import forge

VERSION = "api-version=2021-10-01"


def put_group(api: Api, id: str = "group", x509: Any = None, **more: Any) -> Answer:
    attestation = {"type": "x509", "x509": {"caReferences": {"primary": "root"}} if x509 is None else x509}
    return api.request(
        "PUT", f"/enrollmentGroups/{id}?{VERSION}", {"enrollmentGroupId": id, "attestation": attestation, **more}
    )


def put_enrollment(api: Api, certificate: Any, id: str = "mydevice001", **more: Any) -> Answer:
    x509 = {"clientCertificates": {"primary": {"certificate": certificate}}}
    return api.request(
        "PUT",
        f"/enrollments/{id}?{VERSION}",
        {"registrationId": id, "attestation": {"type": "x509", "x509": x509}, **more},
    )


def message(answer: Answer) -> str:
    assert answer.status == 400
    return answer.json["message"]


def test_a_group_over_a_verified_ca(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    answer = put_group(api, iotHubs=["second.local"])
    assert answer.status == 200
    assert answer.json["enrollmentGroupId"] == "group"
    assert answer.json["attestation"] == {"type": "x509", "x509": {"caReferences": {"primary": "root"}}}
    assert answer.json["provisioningStatus"] == "enabled"
    assert answer.json["iotHubs"] == ["second.local"]
    assert answer.json["createdDateTimeUtc"] == NOW.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    assert api.request("GET", f"/enrollmentGroups/group?{VERSION}").json == answer.json
    assert api.request("POST", f"/enrollmentGroups/query?{VERSION}").json == [answer.json]
    (group,) = api.registry.groups()
    assert (group.ca_names, group.hubs, group.enabled) == (("root",), ("second.local",), True)


def test_a_group_over_an_unverified_ca_is_refused_and_says_how_to_verify(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root, verified=False)
    assert "azureiot service cert code root" in message(put_group(api))
    assert api.registry.groups() == []


def test_a_group_over_an_unknown_ca_is_refused(api: Api) -> None:
    assert "No CA certificate 'root' is uploaded" in message(put_group(api))


def test_both_cas_of_a_group_are_checked(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    upload(api.registry, "next", pki.other_root, verified=False)
    references = {"caReferences": {"primary": "root", "secondary": "next"}}
    assert "'next' is not verified" in message(put_group(api, x509=references))
    upload(api.registry, "next", pki.other_root)
    assert put_group(api, x509=references).json["attestation"]["x509"] == references


def test_inline_signing_certificates(api: Api, pki: Pki) -> None:
    certificate = base64.b64encode(der(pki.intermediate)).decode()
    answer = put_group(api, x509={"signingCertificates": {"primary": {"certificate": certificate}}})
    info = answer.json["attestation"]["x509"]["signingCertificates"]["primary"]["info"]
    assert (info["subjectName"], info["issuerName"], info["version"]) == ("CN=Test Issuing CA", "CN=Test Root", 3)
    (group,) = api.registry.groups()
    assert group.signing_certificates == (der(pki.intermediate),)


@pytest.mark.parametrize(
    "x509",
    [
        {},
        [],
        "text",
        {"caReferences": {}},
        {"caReferences": None},
        {"caReferences": []},
        {"caReferences": {"secondary": "root"}},
        {"caReferences": {"primary": 5}},
        {"signingCertificates": {"primary": {"certificate": "AAAA"}}},
        {"signingCertificates": {"primary": "AAAA"}},
    ],
)
def test_a_group_without_sound_attestation_is_refused(api: Api, pki: Pki, x509: Any) -> None:
    upload(api.registry, "root", pki.root)
    assert message(put_group(api, x509=x509))
    assert api.registry.groups() == []


def test_a_leaf_cannot_carry_a_group(api: Api, pki: Pki) -> None:
    x509 = {"signingCertificates": {"primary": {"certificate": pem(pki.device)}}}
    assert "is not a CA certificate" in message(put_group(api, x509=x509))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("provisioningStatus", "paused", "must be 'enabled' or 'disabled', not 'paused'"),
        ("provisioningStatus", True, "'provisioningStatus' must be text"),
        ("iotHubs", ["elsewhere"], "'elsewhere' in iotHubs is not linked; linked are: localhost, second.local"),
        ("iotHubs", [{}], "is not linked"),
        ("iotHubs", "localhost", "'iotHubs' must be a list"),
        ("initialTwin", {"tags": {"a.b": 1}}, "initialTwin: the name 'a.b' is empty, or has '.'"),
        ("initialTwin", {"tags": 5}, "tags and properties.desired, which are objects"),
        ("initialTwin", {"properties": {"reported": {}}}, "tags and properties.desired, which are objects"),
        ("initialTwin", {"reported": {}}, "tags and properties.desired, and nothing else"),
        ("initialTwin", [], "'initialTwin' must be an object"),
        ("initialTwin", {"tags": {"a": "x" * 4096, "b": "x" * 4096}}, "initialTwin: the tags would have 8194 bytes"),
        ("reprovisionPolicy", {"updateHubAssignment": "no"}, "'reprovisionPolicy.updateHubAssignment' must be true or"),
        ("reprovisionPolicy", {"never": True}, "knows no 'reprovisionPolicy.never' here; it knows migrateDeviceData"),
        ("provisioningstatus", "disabled", "knows no 'provisioningstatus' here"),
        ("attestation", {"type": "x509", "x509": {"caReference": {}}}, "knows no 'attestation.x509.caReference' here"),
        ("allocationPolicy", "custom", "was started without a custom allocation policy"),
        ("allocationPolicy", "nearest", "must be one of hashed, geoLatency, static, custom, not 'nearest'"),
        ("allocationPolicy", "static", "'static' needs exactly one hub in iotHubs"),
        ("customAllocationDefinition", {"webhookUrl": "http://x"}, "knows no 'customAllocationDefinition' here"),
        ("attestation", {"type": "tpm"}, "by x509 or symmetricKey, not by 'tpm'"),
        ("attestation", {"type": "x509", "symmetricKey": {"primaryKey": "x"}}, "is 'x509', and it has 'symmetricKey'"),
        ("attestation", {"type": "symmetricKey", "x509": {"caReferences": {"primary": "root"}}}, "and it has 'x509'"),
        (
            "attestation",
            {"type": "symmetricKey", "symmetricKey": {"primaryKey": "c2hvcnQ="}},
            "base64 of 16 to 64 bytes",
        ),
        ("attestation", {"type": "symmetricKey", "symmetricKey": {"tertiaryKey": "x"}}, "symmetricKey.tertiaryKey"),
        ("attestation", None, "needs attestation.x509"),
        ("enrollmentGroupId", "other", "The body's enrollmentGroupId 'other' is not the path's 'group'"),
    ],
)
def test_a_field_that_cannot_be_is_named(api: Api, pki: Pki, field: str, value: Any, says: str) -> None:
    upload(api.registry, "root", pki.root)
    assert says in message(put_group(api, **{field: value}))
    assert api.registry.groups() == []


@pytest.mark.parametrize("id", ["a%20b", "ends.", "-x", ".x", "_x", "%2F", "x" * 129, "%C3%A9", "%0A"])
def test_ids_are_dps_ids(api: Api, pki: Pki, id: str) -> None:
    """docs/protocol.md §1.2."""
    assert "cannot be a" in message(put_group(api, id))
    assert "cannot be a" in message(put_enrollment(api, pem(pki.device), id))


def test_a_group_is_replaced_and_deleted(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    first = put_group(api).json
    api.clock.advance(minutes=1)
    second = put_group(api, provisioningStatus="disabled").json
    assert second["provisioningStatus"] == "disabled"
    assert second["createdDateTimeUtc"] == first["createdDateTimeUtc"] < second["lastUpdatedDateTimeUtc"]
    path = f"/enrollmentGroups/group?{VERSION}"
    assert api.request("DELETE", path, headers={"If-Match": first["etag"]}).status == 412
    assert api.request("DELETE", path, headers={"If-Match": second["etag"]}).status == 204
    assert api.request("GET", path).json["errorCode"] == 404201
    assert api.request("DELETE", path).status == 404


def test_what_was_shown_can_be_sent_back(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    group = put_group(api).json
    assert api.request("PUT", f"/enrollmentGroups/group?{VERSION}", group).status == 200


def test_a_common_name_that_only_looks_alike_is_refused(api: Api) -> None:
    """KELVIN SIGN: its lower case in Unicode is k."""
    assert "must be the registration id 'k1'" in message(put_enrollment(api, pem(forge(None, "\u212a1")), "k1"))
    assert put_enrollment(api, pem(forge(None, "K1")), "k1").status == 200


def test_an_individual_enrollment(api: Api, pki: Pki) -> None:
    answer = put_enrollment(api, pem(pki.device), deviceId="Pump-7")
    assert answer.status == 200
    assert (answer.json["registrationId"], answer.json["deviceId"]) == ("mydevice001", "Pump-7")
    info = answer.json["attestation"]["x509"]["clientCertificates"]["primary"]["info"]
    assert info["subjectName"] == "CN=mydevice001"
    assert api.request("GET", f"/enrollments/MyDevice001?{VERSION}").json == answer.json
    found = api.request("POST", f"/enrollments/query?{VERSION}", {"query": "select * from enrollments"})
    assert found.json == [answer.json]
    assert api.registry.enrollments()[0].certificates == (der(pki.device),)
    assert api.request("DELETE", f"/enrollments/mydevice001?{VERSION}").status == 204
    assert api.request("GET", f"/enrollments/mydevice001?{VERSION}").json["errorCode"] == 404201


def test_of_a_file_with_leaf_and_chain_the_leaf_is_taken(api: Api, pki: Pki) -> None:
    put_enrollment(api, pem(pki.device) + pem(pki.intermediate))
    assert api.registry.enrollments()[0].certificates == (der(pki.device),)


def test_a_certificate_of_another_device_is_refused(api: Api, pki: Pki) -> None:
    """§2.1 rule 5 would refuse the device for ever; better now."""
    says = message(put_enrollment(api, pem(pki.device), "mydevice002"))
    assert "'CN=mydevice001'" in says
    assert "must be the registration id 'mydevice002'" in says


@pytest.mark.parametrize("certificate", [None, "", "AAAA", 5])
def test_an_enrollment_without_a_certificate_is_refused(api: Api, certificate: Any) -> None:
    assert message(put_enrollment(api, certificate))
    assert api.registry.enrollments() == []


@pytest.mark.parametrize("query", ["SELECT * FROM devices", "SELECT registrationId FROM enrollments", "", "DROP"])
def test_a_query_that_is_not_understood_is_refused(api: Api, query: str) -> None:
    answer = api.request("POST", f"/enrollments/query?{VERSION}", {"query": query})
    assert "SELECT * FROM enrollments" in message(answer)


def test_100_groups_and_no_more(api: Api, pki: Pki) -> None:
    upload(api.registry, "root", pki.root)
    for number in range(100):
        assert put_group(api, f"g{number}").status == 200
    assert put_group(api, "g100").json["errorCode"] == 403002
    assert put_group(api, "g99").status == 200


KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))
BY_KEYS = {"type": "symmetricKey"}


def keys_of(answer: Answer) -> tuple[str, str]:
    assert answer.status == 200, answer.json
    keys = answer.json["attestation"]["symmetricKey"]
    return keys["primaryKey"], keys["secondaryKey"]


def put_keyed(api: Api, kind: str, id: str = "d1", attestation: Any = None, **more: Any) -> Answer:
    name = "registrationId" if kind == "enrollments" else "enrollmentGroupId"
    return api.request("PUT", f"/{kind}/{id}?{VERSION}", {name: id, "attestation": attestation or BY_KEYS, **more})


@pytest.mark.parametrize("kind", ["enrollments", "enrollmentGroups"])
def test_symmetric_keys_are_made_when_none_are_given(api: Api, kind: str) -> None:
    """docs/protocol.md §1.6: they have 64 bytes."""
    primary, secondary = keys_of(put_keyed(api, kind))
    assert primary != secondary
    assert {len(base64.b64decode(key)) for key in (primary, secondary)} == {64}
    (record,) = api.registry.enrollments() or api.registry.groups()
    assert record.keys == (primary, secondary)


@pytest.mark.parametrize("kind", ["enrollments", "enrollmentGroups"])
def test_symmetric_keys_are_told_to_whoever_asks_for_them_and_to_nobody_else(api: Api, kind: str) -> None:
    given = {"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY, "secondaryKey": OTHER}}
    assert keys_of(put_keyed(api, kind, attestation=given)) == (KEY, OTHER)
    shown = api.request("GET", f"/{kind}/d1?{VERSION}")
    assert shown.json["attestation"] == BY_KEYS
    listed = api.request("POST", f"/{kind}/query?{VERSION}")
    assert listed.json == [shown.json]
    assert KEY.encode() not in shown.body + listed.body
    asked = api.request("POST", f"/{kind}/d1/attestationmechanism?{VERSION}")
    assert (asked.status, asked.json) == (200, given)
    assert api.request("POST", f"/{kind}/nobody/attestationmechanism?{VERSION}").json["errorCode"] == 404201


@pytest.mark.parametrize("kind", ["enrollments", "enrollmentGroups"])
def test_what_was_shown_can_be_sent_back_and_the_keys_stay(api: Api, kind: str) -> None:
    keys = keys_of(put_keyed(api, kind))
    shown = api.request("GET", f"/{kind}/d1?{VERSION}").json
    changed = api.request("PUT", f"/{kind}/d1?{VERSION}", shown | {"provisioningStatus": "disabled"})
    assert keys_of(changed) == keys
    rolled = put_keyed(api, kind, attestation={"type": "symmetricKey", "symmetricKey": {"secondaryKey": OTHER}})
    assert keys_of(rolled) == (keys[0], OTHER)
    assert rolled.json["etag"] != changed.json["etag"]


def test_an_attestation_by_certificate_is_shown_as_it_is(api: Api, pki: Pki) -> None:
    shown = put_enrollment(api, pem(pki.device)).json["attestation"]
    assert api.request("POST", f"/enrollments/mydevice001/attestationmechanism?{VERSION}").json == shown


def test_an_enrollment_may_change_its_attestation(api: Api, pki: Pki) -> None:
    put_keyed(api, "enrollments", "mydevice001")
    assert put_enrollment(api, pem(pki.device)).json["attestation"]["type"] == "x509"
    assert api.registry.enrollments()[0].keys == ()


def test_policies_are_kept_and_shown(api: Api) -> None:
    twin = {"tags": {"site": "Bern"}, "properties": {"desired": {"interval": 5}}}
    policies = {
        "allocationPolicy": "static",
        "iotHubs": ["second.local"],
        "reprovisionPolicy": {"updateHubAssignment": False, "migrateDeviceData": False},
        "initialTwin": twin,
    }
    answer = put_keyed(api, "enrollments", **policies)
    assert {name: answer.json[name] for name in policies} == policies
    (record,) = api.registry.enrollments()
    assert (record.allocation, record.updates_hub, record.migrates_data) == ("static", False, False)
    assert record.initial_twin == twin
    plain = put_keyed(api, "enrollmentGroups").json
    assert (plain["allocationPolicy"], plain["initialTwin"]) == ("hashed", None)
    assert plain["reprovisionPolicy"] == {"updateHubAssignment": True, "migrateDeviceData": True}


def test_a_key_that_is_none_is_not_repeated(api: Api) -> None:
    given = {"type": "symmetricKey", "symmetricKey": {"primaryKey": "almost+a+secret"}}
    answer = put_keyed(api, "enrollments", attestation=given)
    assert answer.status == 400
    assert b"secret" not in answer.body


def test_symmetric_key_groups_have_a_limit_of_their_own(api: Api, pki: Pki) -> None:
    """docs/protocol.md §2.1 rule 8."""
    upload(api.registry, "root", pki.root)
    for number in range(100):
        assert put_keyed(api, "enrollmentGroups", f"k{number}").status == 200
    assert put_keyed(api, "enrollmentGroups", "k100").json["message"].startswith("DPS holds 100 symmetric-key")
    assert put_group(api).status == 200
