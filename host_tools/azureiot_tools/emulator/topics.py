"""What Azure writes into topics: query strings at their end, property bags (docs/protocol.md §1.3, §3.5)."""

from __future__ import annotations

from urllib.parse import unquote


def parse_query(text: str) -> dict[str, str | None]:
    """`key=value&…`, percent-decoded; a key without "=" is None, the last of several equal keys counts.

    "+" is a plus sign, not a space. Bytes that are not UTF-8 become U+FFFD.
    """
    properties: dict[str, str | None] = {}
    for pair in text.split("&"):
        key, equals, value = pair.partition("=")
        if key or equals:
            properties[unquote(key)] = unquote(value) if equals else None
    return properties
