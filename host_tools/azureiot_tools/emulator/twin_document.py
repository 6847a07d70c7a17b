"""What may stand in a twin, how a patch changes it, and what its metadata says: pure functions on JSON values.

The rules are those of docs/protocol.md §3.8.
"""

from __future__ import annotations

from typing import Any

from azureiot_tools.emulator.azure_json import read_json

Json = dict[str, Any]

MAX_DEPTH = 10
MAX_KEY_BYTES = 1024
MAX_STRING_BYTES = 4096
MIN_INTEGER, MAX_INTEGER = -(2**52), 2**52 - 1


class BadTwin(Exception):
    """A patch or a document that no twin takes. The message is a sentence without its full stop."""


def parse(payload: bytes) -> Json:
    """A device's JSON object. Raises BadTwin."""
    try:
        value = read_json(payload)
    except ValueError as error:
        raise BadTwin(f"it is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise BadTwin("it is not a JSON object")
    return value


def check_patch(patch: Json) -> None:
    """Whether names and values of a patch may stand in a twin. Raises BadTwin.

    Arrays are allowed, and what is in them counts as one level deeper (§3.8; how the service counts is not verified).
    """
    level: list[tuple[str, Any]] = [("", patch)]  # by level, not by recursion: how deep it goes is what is checked
    for depth in range(MAX_DEPTH + 1):
        inner: list[tuple[str, Any]] = []
        for path, container in level:
            named = container.items() if isinstance(container, dict) else enumerate(container)
            for name, value in named:
                where = f"{path}.{name}".lstrip(".")
                if isinstance(name, str):
                    _check_key(name, where)
                if isinstance(value, (dict, list)):
                    inner.append((where, value))
                else:
                    _check_value(value, where)
        if not inner:
            return
        if depth >= MAX_DEPTH:
            raise BadTwin(f"'{_short(inner[0][0])}' is deeper than {MAX_DEPTH} levels")
        level = inner


def check_size(what: str, document: Json, max_bytes: int) -> None:
    """Whether a whole part of a twin is small enough. Raises BadTwin."""
    size_bytes = _size_bytes(document)
    if size_bytes > max_bytes:
        raise BadTwin(f"the {what} would have {size_bytes} bytes; at most {max_bytes} are kept")


def merged(document: Json, patch: Json) -> Json:
    """The document after a JSON merge patch (RFC 7396): null removes, objects are merged, all else is replaced."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def stamped(metadata: Json, patch: Json, stamp: Json) -> Json:
    """The metadata after a merge patch: what the patch touched, and all above it, bears the stamp.

    stamp: "$lastUpdated" and, for desired properties, "$lastUpdatedVersion".
    """
    result = {**metadata, **stamp}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = stamped(result.get(name, {}), value, stamp) if isinstance(value, dict) else stamp
    return result


def _check_key(key: str, where: str) -> None:
    if not key or any(character in ".$ " or _is_control(character) for character in key):
        raise BadTwin(f"the name '{_short(where)}' is empty, or has '.', '$', a space or a control character in it")
    if len(_utf8(key, where)) > MAX_KEY_BYTES:
        raise BadTwin(f"the name '{_short(where)}' is longer than {MAX_KEY_BYTES} bytes")


def _check_value(value: Any, where: str) -> None:
    if isinstance(value, str) and len(_utf8(value, where)) > MAX_STRING_BYTES:
        raise BadTwin(f"the text of '{_short(where)}' is longer than {MAX_STRING_BYTES} bytes")
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise BadTwin(f"the number '{_short(where)}' is not between {MIN_INTEGER} and {MAX_INTEGER}")
    if isinstance(value, float) and abs(value) == float("inf"):  # 1e999 is JSON
        raise BadTwin(f"the number '{_short(where)}' is too large")


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadTwin(f"'{_short(where)}' has half of a surrogate pair in it") from None


def _size_bytes(value: Any) -> int:
    """As the service counts: text without control characters, numbers 8 bytes, true and false 4."""
    match value:
        case dict():
            return sum(_size_bytes(name) + _size_bytes(item) for name, item in value.items())
        case list():
            return sum(map(_size_bytes, value))
        case str():
            return len("".join(character for character in value if not _is_control(character)).encode())
        case bool():
            return 4
        case _:
            return 0 if value is None else 8


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
