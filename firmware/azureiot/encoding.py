"""Percent-encoding and property bags: text in, text out."""

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
