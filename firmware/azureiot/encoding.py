"""Percent-encoding, property bags, PEM and DER: bytes and text in, bytes and text out."""

import binascii

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"  # RFC 3986 §2.3


def quote(text: "str | int | float") -> str:
    """Percent-encode all but RFC 3986's unreserved characters; a space is %20, never + (docs/protocol.md §3.5)."""
    out = bytearray()
    for byte in str(text).encode():
        if byte in _UNRESERVED:
            out.append(byte)
        else:
            out.extend(b"%%%02X" % byte)
    return str(out, "utf8")


def bag(properties) -> str:
    """`key=value&…`, percent-encoded: a property bag as telemetry topics carry it. properties: (key, value) pairs."""
    return "&".join("%s=%s" % (quote(key), quote(value)) for key, value in properties)


def query(text: str) -> "dict[str, str | None]":
    """The `key=value&…` of a response topic as a dict; a key without = has the value None (docs/protocol.md §3.5)."""
    fields = {}
    for field in text.split("&"):
        key, equals, value = field.partition("=")
        fields[key] = value if equals else None
    return fields


def certificates(data: bytes) -> "list[bytes]":
    """The certificates in `data` as a list of DERs: PEM text, or DER with one certificate after another.

    Raises ValueError, with a sentence that says what was found instead.
    """
    if data[:1] == b"\x30":
        return _split_der(data)
    found = [der for label, der in pem_blocks(data) if label == "CERTIFICATE"]
    if not found:
        raise ValueError("no certificate in it")
    return found


def private_key(data: bytes) -> bytes:
    """The private key in `data` (PEM or DER) as DER. Raises ValueError when there is none or it is encrypted."""
    if data[:1] == b"\x30":
        return _split_der(data)[0]
    for label, der in pem_blocks(data):
        if label == "ENCRYPTED PRIVATE KEY":
            raise ValueError("the private key is encrypted; decrypt it on the host (azureiot pfx convert)")
        if label.endswith("PRIVATE KEY"):
            return der
    raise ValueError("no private key in it")


def pem_blocks(data: bytes) -> "list[tuple[str, bytes]]":
    """All PEM blocks of `data` (bytes) as (label, DER) pairs. Raises ValueError when one is broken."""
    blocks = []
    end = 0
    while True:
        start = data.find(b"-----BEGIN ", end)
        if start < 0:
            return blocks
        body = data.find(b"-----", start + 11)
        label = data[start + 11 : body]
        end = data.find(b"-----END " + label + b"-----", body)
        if body < 0 or end < 0:
            raise ValueError("a PEM block that does not end")
        text = data[body + 5 : end]
        if b":" in text:  # RFC 1421 headers: "Proc-Type: 4,ENCRYPTED"
            raise ValueError("the private key is encrypted; decrypt it on the host (azureiot pfx convert)")
        blocks.append((str(label, "utf8"), binascii.a2b_base64(text)))


def _split_der(data):
    """DERs that follow one another, cut apart by their ASN.1 lengths."""
    found = []
    start = 0
    while start < len(data):
        if data[start] != 0x30 or start + 2 > len(data):
            raise ValueError("not DER from byte %d on" % start)
        length = data[start + 1]
        end = start + 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[end : end + octets], "big")
            end += octets
        end += length
        if end > len(data):
            raise ValueError("DER that is cut off")
        found.append(data[start:end])
        start = end
    return found
