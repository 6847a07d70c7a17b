"""Pins docs/protocol.md §2.6: upload of a CA and proof of possession, with every proof that proves nothing."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from azureiot_tools.certificates.authority import issue_verification
from azureiot_tools.certificates.credential import key_to_pem

from .bench import Answer, Api, Pki, der, enroll_group, pem
from .forged import forge

VERSION = "api-version=2021-10-01"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def put(api: Api, certificate: str, name: str = "root", *, verified: bool = False, etag: str = "") -> Answer:
    return api.request(
        "PUT",
        f"/certificates/{name}?{VERSION}",
        {"properties": {"certificate": certificate, "isVerified": verified}},
        {"If-Match": etag} if etag else {},
    )


def code_for(api: Api, name: str = "root") -> str:
    answer = api.request("POST", f"/certificates/{name}/generateVerificationCode?{VERSION}")
    assert answer.status == 200
    return answer.json["properties"]["verificationCode"]


def verify(api: Api, certificate: Any, name: str = "root") -> Answer:
    return api.request("POST", f"/certificates/{name}/verify?{VERSION}", {"certificate": certificate})


@pytest.mark.parametrize("form", ["der", "pem", "pem with text around it"])
def test_upload_as_der_or_pem(api: Api, pki: Pki, form: str) -> None:
    text = {"der": b64(der(pki.root)), "pem": pem(pki.root)}.get(form, f"Bag Attributes\n{pem(pki.root)}\n# end")
    answer = put(api, text)
    assert answer.status == 201
    assert answer.json["name"] == "root"
    assert answer.json["properties"]["subject"] == "CN=Test Root"
    assert answer.json["properties"]["isVerified"] is False
    assert base64.b64decode(answer.json["properties"]["certificate"]) == der(pki.root)
    assert api.request("GET", f"/certificates/root?{VERSION}").json == answer.json
    assert api.request("GET", f"/certificates?{VERSION}").json == {"value": [answer.json]}


def test_verified_on_upload(api: Api, pki: Pki) -> None:
    assert put(api, pem(pki.root), verified=True).json["properties"]["isVerified"] is True


def test_proof_of_possession(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root))
    code = code_for(api)
    assert re.fullmatch(r"[0-9A-F]{48}", code)
    answer = verify(api, pem(issue_verification(pki.root, code)))
    assert answer.status == 200
    assert answer.json["properties"]["isVerified"] is True
    assert answer.json["properties"]["verificationCode"] is None
    (event,) = api.events.recent()
    assert (event.kind, event.section) == ("emulator", "docs/protocol.md §2.6")


def test_openssl_can_make_the_proof(api: Api, pki: Pki, tmp_path: Path) -> None:
    """Independent of our own CA code: the certificate that a reader of Azure's documentation would make."""
    put(api, pem(pki.root))
    (tmp_path / "root.crt").write_text(pem(pki.root))
    (tmp_path / "root.key").write_bytes(key_to_pem(pki.root.key))

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl(
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "proof.key",
        "-subj",
        f"/CN={code_for(api)}",
        "-out",
        "proof.csr",
    )
    openssl(
        "x509",
        "-req",
        "-in",
        "proof.csr",
        "-CA",
        "root.crt",
        "-CAkey",
        "root.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-out",
        "proof.crt",
    )
    api.clock.advance(hours=1)  # openssl has the real time, which has gone on
    assert verify(api, (tmp_path / "proof.crt").read_text()).status == 200


def test_a_proof_by_another_ca_is_refused(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root))
    code = code_for(api)
    for forger in (pki.other_root, pki.intermediate):
        answer = verify(api, pem(issue_verification(forger, code)))
        assert answer.status == 400
        assert "was not signed by the key of 'root'" in answer.json["message"]
    assert api.request("GET", f"/certificates/root?{VERSION}").json["properties"]["isVerified"] is False


def test_a_proof_with_another_code_is_refused(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root))
    first, second = code_for(api), code_for(api)
    assert first != second
    answer = verify(api, pem(issue_verification(pki.root, first)))
    assert answer.status == 400
    assert second in answer.json["message"]


def test_a_proof_out_of_date_is_refused(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root))
    proof = pem(issue_verification(pki.root, code_for(api), days=2))
    api.clock.advance(days=3)
    assert "is valid from" in verify(api, proof).json["message"]


def test_a_code_is_good_once(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root))
    proof = pem(issue_verification(pki.root, code_for(api)))
    assert verify(api, proof).status == 200
    answer = verify(api, proof)
    assert answer.status == 400
    assert "No verification code was asked for" in answer.json["message"]


@pytest.mark.parametrize("certificate", [None, "", 7, "not base64!", "ü", "AAAA", ["list"]])
def test_what_is_no_certificate_is_refused(api: Api, pki: Pki, certificate: Any) -> None:
    assert put(api, certificate).status == 400
    assert api.registry.certificates() == []
    put(api, pem(pki.root))
    code_for(api)
    assert verify(api, certificate).status == 400


def test_a_leaf_is_no_ca(api: Api, pki: Pki) -> None:
    answer = put(api, pem(pki.device))
    assert answer.status == 400
    assert "'CN=mydevice001' is not a CA certificate" in answer.json["message"]


def test_a_ca_that_dps_would_not_heed_is_refused_now(api: Api) -> None:
    ca = forge(None, "Short", ca=True, key=rsa.generate_private_key(65537, 1024))
    answer = put(api, pem(ca))
    assert answer.status == 400
    assert "has an RSA key of only 1024 bits. No device could register with it." in answer.json["message"]


def test_a_field_that_would_be_ignored_is_refused(api: Api, pki: Pki) -> None:
    body = {"properties": {"certificate": pem(pki.root), "verified": True}}
    answer = api.request("PUT", f"/certificates/root?{VERSION}", body)
    assert answer.status == 400
    assert "knows no 'properties.verified' here; it knows certificate, created," in answer.json["message"]


def test_what_was_shown_can_be_sent_back(api: Api, pki: Pki) -> None:
    shown = put(api, pem(pki.root)).json
    assert api.request("PUT", f"/certificates/root?{VERSION}", shown).status == 200


@pytest.mark.parametrize("name", ["a%2Fb", "..%2Fx", "a b", "x" * 65, "é"])
def test_names_are_plain(api: Api, pki: Pki, name: str) -> None:
    answer = put(api, pem(pki.root), name.replace(" ", "%20").replace("é", "%C3%A9"))
    assert answer.status in (400, 404)
    assert api.registry.certificates() == []


def test_the_same_certificate_again_stays_verified_another_does_not(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root), verified=True)
    again = put(api, pem(pki.root))
    assert (again.status, again.json["properties"]["isVerified"]) == (200, True)
    assert put(api, pem(pki.other_root)).json["properties"]["isVerified"] is False


def test_a_ca_in_use_is_not_deleted(api: Api, pki: Pki) -> None:
    put(api, pem(pki.root), verified=True)
    enroll_group(api.registry, "group", "root")
    answer = api.request("DELETE", f"/certificates/root?{VERSION}")
    assert answer.status == 409
    assert "stand on 'root': group" in answer.json["message"]
    api.registry.delete_group("group")
    assert api.request("DELETE", f"/certificates/root?{VERSION}").status == 204
    assert api.request("DELETE", f"/certificates/root?{VERSION}").status == 404


def test_25_certificates_and_no_more(api: Api, pki: Pki) -> None:
    for number in range(25):
        assert put(api, pem(pki.root), f"ca{number}").status == 201
    assert put(api, pem(pki.root), "ca25").status == 403
    assert put(api, pem(pki.root), "ca24").status == 200


def test_if_match_protects_a_change(api: Api, pki: Pki) -> None:
    etag = put(api, pem(pki.root)).json["etag"]
    assert put(api, pem(pki.root), etag='"stale"').status == 412
    assert put(api, pem(pki.root), verified=True, etag=etag).status == 200
    assert put(api, pem(pki.root), etag=etag).status == 412
    assert put(api, pem(pki.root), etag="*").status == 200
    assert put(api, pem(pki.root), "new", etag="*").status == 412
    stale = {"If-Match": etag}
    assert api.request("DELETE", f"/certificates/root?{VERSION}", headers=stale).status == 412
