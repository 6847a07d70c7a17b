"""What Azure writes into topics: query strings at their end, property bags (docs/protocol.md §1.3, §3.5)."""

from __future__ import annotations

from urllib.parse import unquote


def split_query(text: str) -> dict[str, str | None]:
    """`key=value&…`: keys percent-decoded, values as they were sent; a key without "=" is None.

    The last of several equal keys counts.
    """
    pairs = (pair.partition("=") for pair in text.split("&"))
    return {unquote(key): value if equals else None for key, equals, value in pairs if key or equals}


def parse_query(text: str) -> dict[str, str | None]:
    """`split_query` with its values percent-decoded.

    "+" is a plus sign, not a space. Bytes that are not UTF-8 become U+FFFD.
    """
    return {key: None if value is None else unquote(value) for key, value in split_query(text).items()}
