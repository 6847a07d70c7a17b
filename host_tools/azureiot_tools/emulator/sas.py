"""Symmetric keys and the tokens that are signed with them (docs/protocol.md §1.6, §3.1). Pure: no state, no clock.

A key is base64 text, as Azure shows it and devices are given it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

PREFIX = "SharedAccessSignature "
SHORTEST_KEY_BYTES, LONGEST_KEY_BYTES = 16, 64  # docs/protocol.md §1.6
_SIGNATURE_BYTES = 32
_LATEST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_EPOCH_2000_S = 946_684_800  # docs/protocol.md §7.8
_LONGEST_LIFE_S = 366 * 86_400  # of a token that anybody makes


@dataclass(frozen=True, kw_only=True, slots=True)
class SasRules:
    """What Azure does not say exactly, and this emulator lets one choose.

    skew_s: so long after its end a token is still taken at CONNECT, as the clocks may differ (docs/protocol.md §3.9;
    that DPS does the same is not verified).  grace_s: so long after its end a hub cuts the connection it opened (§3.9).
    lower_case_ids: whether DPS derives a device's key from the registration id in lower case; else as it is sent, of
    which SDKs know no other way (§9.6: not verified).
    """

    skew_s: float = 300.0
    grace_s: float = 600.0
    lower_case_ids: bool = False


class BadToken(Exception):
    """What is wrong with a token, for the developer; never with a key or a signature in it."""


@dataclass(frozen=True, slots=True)
class SasToken:
    """A token as it was sent; nothing of it has been checked.

    resource: sr, percent-decoded.  expires_s: Unix time.  key_name: skn, "" without.  signed: what the signature is of.
    """

    resource: str
    expires_s: int
    key_name: str
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, password: bytes) -> SasToken:
        """`SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`, its fields in any order. Raises BadToken."""
        try:
            text = password.decode("ascii")
        except UnicodeDecodeError:
            raise BadToken("the password is no SAS token: it is not ASCII text") from None
        if not text.startswith(PREFIX):
            also = "; it looks like the key itself, with which the token must be signed" if is_key(text) else ""
            raise BadToken(f"the password is no SAS token, which begins with '{PREFIX}sr='{also}")
        pairs = [pair.partition("=") for pair in text.removeprefix(PREFIX).split("&")]
        fields = {name: value for name, _, value in pairs}
        if len(fields) < len(pairs):
            raise BadToken("the SAS token has a field twice")
        for name in ("sr", "sig", "se"):
            if not fields.get(name):
                raise BadToken(f"the SAS token has no '{name}'")
        if not re.fullmatch(r"[0-9]{1,15}", fields["se"]):
            raise BadToken("the SAS token's 'se' is no whole number of seconds")
        try:
            signature = base64.b64decode(unquote(fields["sig"]), validate=True)
        except (binascii.Error, ValueError):
            signature = b""
        if len(signature) != _SIGNATURE_BYTES:
            raise BadToken("the SAS token's 'sig' is not the base64, percent-encoded, of an HMAC-SHA256")
        # The text as it was sent: SDKs differ in how they encode it, and sign what they send (docs/protocol.md §1.6).
        signed = f"{fields['sr']}\n{fields['se']}".encode()
        return cls(unquote(fields["sr"]), int(fields["se"]), unquote(fields.get("skn", "")), signed, signature)

    def check_time(self, now: datetime, skew_s: float) -> None:
        """Raises BadToken when it has expired, more than skew_s ago."""
        if now.timestamp() <= self.expires_s + skew_s:
            return
        since_2000 = 0 <= self.expires_s + _EPOCH_2000_S + skew_s - now.timestamp() <= _LONGEST_LIFE_S
        hint = "; a clock that counts from 2000 lacks 946684800 (docs/protocol.md §7.8)" if since_2000 else ""
        raise BadToken(
            f"the SAS token expired at {self.expires():%Y-%m-%d %H:%M:%S} UTC, and it is {now:%Y-%m-%d %H:%M:%S}{hint}"
        )

    def expires(self, grace_s: float = 0) -> datetime:
        """When it ends, or ends for good; no later than Python can say."""
        return datetime.fromtimestamp(min(self.expires_s + grace_s, _LATEST_S), UTC)

    def is_signed_with(self, keys: Iterable[str]) -> bool:
        """Whether one of these keys made the signature. How long it takes says nothing of them."""
        return sum(hmac.compare_digest(_hmac(key, self.signed), self.signature) for key in keys) > 0


def is_key(text: str) -> bool:
    """Whether this is a key: base64 of 16 to 64 bytes (docs/protocol.md §1.6)."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return SHORTEST_KEY_BYTES <= len(key) <= LONGEST_KEY_BYTES


def new_key(length_bytes: int) -> str:
    """A random key."""
    return base64.b64encode(secrets.token_bytes(length_bytes)).decode()


def derived_key(group_key: str, registration_id: str) -> str:
    """The key of one device of an enrollment group (docs/protocol.md §1.6)."""
    return base64.b64encode(_hmac(group_key, registration_id.encode())).decode()


def _hmac(key: str, message: bytes) -> bytes:
    return hmac.new(base64.b64decode(key), message, hashlib.sha256).digest()
