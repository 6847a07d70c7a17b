"""The twin that an enrollment, or a custom allocation, gives a device (docs/protocol.md §2.3, §2.4)."""

from __future__ import annotations

from typing import Any

from azureiot_tools.emulator.twin_document import BadTwin, check_patch, check_size
from azureiot_tools.emulator.twins import MAX_PROPERTIES_BYTES, MAX_TAGS_BYTES

Json = dict[str, Any]


def parts(initial_twin: Json) -> tuple[Json, Json]:
    """Tags and desired properties of `{"tags": …, "properties": {"desired": …}}`. Raises BadTwin for what is none."""
    properties = initial_twin.get("properties") or {}
    if not isinstance(properties, dict) or not initial_twin.keys() <= {"tags", "properties"}:
        raise BadTwin("an initial twin has tags and properties.desired, and nothing else")
    tags, desired = initial_twin.get("tags") or {}, properties.get("desired") or {}
    if not (isinstance(tags, dict) and isinstance(desired, dict) and properties.keys() <= {"desired"}):
        raise BadTwin("an initial twin has tags and properties.desired, which are objects")
    return tags, desired


def check(initial_twin: Json) -> None:
    """Whether a device's twin may begin so. Raises BadTwin."""
    for what, part, max_bytes in zip(
        ("tags", "desired properties"), parts(initial_twin), (MAX_TAGS_BYTES, MAX_PROPERTIES_BYTES), strict=True
    ):
        check_patch(part)
        check_size(what, part, max_bytes)
