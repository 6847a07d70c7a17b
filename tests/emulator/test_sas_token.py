"""Pins docs/protocol.md §1.6: every SDK's spelling of a SAS token is read, the HMAC is over what was sent, and each
fault is named without the key or the signature.
"""

import base64
import subprocess
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.emulator.sas import BadToken, SasToken, derived_key, is_key, new_key

from .key_bench import KEY, OTHER, token

# docs/protocol.md §1.6; the first derived key is Microsoft's own example.
GROUP_KEY = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
ID = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
DEVICE_KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
DPS_TOKEN = (
    f"SharedAccessSignature sr=0ne00000000%2Fregistrations%2F{ID}"
    "&sig=UcaBdA4L3Se7NlFQZcBFRndkqyymINWtRUmVT5QYWng%3D&se=1700000000&skn=registration"
)
LOWER_TOKEN = (
    f"SharedAccessSignature sr=0ne00000000%2fregistrations%2f{ID}"
    "&sig=zbIlOWEYoHGEP2MF6mr2reJR%2btoDRTIOMfzOZMhYfeQ%3d&se=1700000000"
)
HUB_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
HUB_TOKEN = (
    "SharedAccessSignature sr=contoso.azure-devices.net%2Fdevices%2Fdev-1"
    "&sig=%2Fa37QTBoqk%2BDuH495BsVETZ6NYq4ElmEapfyWA5BERE%3D&se=1700000000"
)


@pytest.mark.parametrize(
    ("text", "key", "resource"),
    [
        (DPS_TOKEN, DEVICE_KEY, f"0ne00000000/registrations/{ID}"),
        (LOWER_TOKEN, DEVICE_KEY, f"0ne00000000/registrations/{ID}"),
        (HUB_TOKEN, HUB_KEY, "contoso.azure-devices.net/devices/dev-1"),
    ],
)
def test_the_documented_vectors(text, key, resource):
    parsed = SasToken.parse(text.encode())
    assert (parsed.resource, parsed.expires_s) == (resource, 1_700_000_000)
    assert parsed.expires() == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert parsed.is_signed_with([OTHER, key])
    assert not parsed.is_signed_with([OTHER])
    assert not parsed.is_signed_with([])


def test_the_derived_key_of_the_documentation():
    assert derived_key(GROUP_KEY, ID) == DEVICE_KEY
    assert derived_key(GROUP_KEY, ID.upper()) != DEVICE_KEY


def test_openssl_derives_the_same_key(tmp_path):
    message = tmp_path / "id"
    message.write_text(ID)
    key = base64.b64decode(GROUP_KEY).hex()
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary", message],
        check=True,
        capture_output=True,
    ).stdout
    assert base64.b64encode(digest).decode() == derived_key(GROUP_KEY, ID)


def fields_of(text):
    head, _, fields = text.partition(" ")
    return head, fields.split("&")


def test_fields_in_any_order():
    head, fields = fields_of(DPS_TOKEN)
    for order in (fields[::-1], fields[1:] + fields[:1]):
        parsed = SasToken.parse(f"{head} {'&'.join(order)}".encode())
        assert parsed.is_signed_with([DEVICE_KEY])
        assert parsed.key_name == "registration"


@pytest.mark.parametrize("encode", [True, False])
def test_the_signature_is_of_the_text_as_it_was_sent(encode):
    """Some clients sign, and send, the resource without percent-encoding (§1.6)."""
    parsed = SasToken.parse(token("scope/registrations/a", KEY, encode=encode))
    assert parsed.resource == "scope/registrations/a"
    assert parsed.is_signed_with([KEY])


def test_an_unencoded_signature_is_read_too():
    raw = DPS_TOKEN.replace("%3D", "=")
    assert SasToken.parse(raw.encode()).is_signed_with([DEVICE_KEY])


def test_an_empty_skn_is_none():
    assert SasToken.parse(token("h/devices/d", KEY, tail="&skn=")).key_name == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with 'SharedAccessSignature sr='"),
        ("secret", "begins with 'SharedAccessSignature sr='"),
        ("sharedaccesssignature sr=a&sig=b&se=1", "begins with 'SharedAccessSignature sr='"),
        (KEY, "looks like the key itself"),
        ("SharedAccessSignature ", "has no 'sr'"),
        ("SharedAccessSignature sr=&sig=b&se=1", "has no 'sr'"),
        ("SharedAccessSignature sr=a&se=1", "has no 'sig'"),
        ("SharedAccessSignature sr=a&sig=b", "has no 'se'"),
        ("SharedAccessSignature sr=a&sr=b&sig=c&se=1", "has a field twice"),
        (HUB_TOKEN.replace("se=1700000000", "se=soon"), "'se' is no whole number of seconds"),
        (HUB_TOKEN.replace("se=1700000000", "se=1.7e9"), "'se' is no whole number of seconds"),
        (HUB_TOKEN.replace("se=1700000000", "se=-1"), "'se' is no whole number of seconds"),
        (HUB_TOKEN.replace("se=1700000000", "se=" + "9" * 16), "'se' is no whole number of seconds"),
        (HUB_TOKEN.replace("%3D", ""), "'sig' is not the base64"),
        ("SharedAccessSignature sr=a&sig=AAAA&se=1", "'sig' is not the base64"),
        ("SharedAccessSignature sr=a&sig=%FF&se=1", "'sig' is not the base64"),
    ],
)
def test_what_is_no_token_is_named(text, says):
    with pytest.raises(BadToken) as caught:
        SasToken.parse(text.encode())
    assert says in str(caught.value)
    assert KEY not in str(caught.value)


def test_bytes_that_are_no_text():
    with pytest.raises(BadToken, match="not ASCII"):
        SasToken.parse(b"SharedAccessSignature sr=\xff")


def test_expiry_and_skew():
    parsed = SasToken.parse(HUB_TOKEN.encode())
    parsed.check_time(datetime.fromtimestamp(1_700_000_300, UTC), skew_s=300)
    with pytest.raises(BadToken, match="expired at 2023-11-14 22:13:20 UTC, and it is 2023-11-14 22:18:21") as caught:
        parsed.check_time(datetime.fromtimestamp(1_700_000_301, UTC), skew_s=300)
    assert "946684800" not in str(caught.value)


def test_a_clock_that_counts_from_2000_is_recognized():
    """docs/protocol.md §7.8: MicroPython's time() on most ports."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    late = SasToken.parse(token("h/devices/d", KEY, now.timestamp() - 946_684_800 + 3600))
    with pytest.raises(BadToken, match="lacks 946684800"):
        late.check_time(now, 300)


def test_a_time_beyond_pythons_calendar_is_no_fault():
    far = SasToken.parse(token("h/devices/d", KEY, 999_999_999_999_999))
    far.check_time(datetime(2026, 1, 2, tzinfo=UTC), 300)
    assert far.expires(600).year == 9999


@pytest.mark.parametrize(("length", "good"), [(15, False), (16, True), (64, True), (65, False)])
def test_keys_have_16_to_64_bytes(length, good):
    assert is_key(base64.b64encode(b"x" * length).decode()) == good


@pytest.mark.parametrize("text", ["", "no base64", "ü" * 32, "A" * 31])
def test_what_is_no_key(text):
    assert not is_key(text)


def test_new_keys_are_keys_and_differ():
    keys = {new_key(64) for _ in range(10)}
    assert len(keys) == 10
    assert all(is_key(key) and len(base64.b64decode(key)) == 64 for key in keys)


def test_nothing_shows_the_signature():
    shown = repr(SasToken.parse(DPS_TOKEN.encode()))
    assert "Uca" not in shown
    assert "sig" not in shown


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: b"SharedAccessSignature " + text.encode()))
def test_whatever_comes_is_a_token_or_a_bad_one(password):
    """Neither fields of such shapes nor anything else is another exception."""
    with suppress(BadToken):
        assert SasToken.parse(password).signature


FIELD = st.sampled_from(
    ["sr=a%2Fb", "sr=", "sig=AAAA", f"sig={'A' * 43}%3D", "se=1", "se=x", "skn=", "skn=%", "x", "="]
)


@given(st.lists(FIELD, max_size=5))
def test_whatever_fields_come_in_whatever_order(fields):
    try:
        parsed = SasToken.parse(b"SharedAccessSignature " + "&".join(fields).encode())
    except BadToken:
        return
    assert not parsed.is_signed_with([KEY])
    assert {"sr=a%2Fb", "se=1"} <= set(fields)
