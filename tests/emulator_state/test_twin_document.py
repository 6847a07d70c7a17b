"""Pins what may stand in a twin, merge patches (RFC 7396), sizes as the service counts them, and metadata."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.emulator.twin_document import BadTwin, check_patch, check_size, merged, parse, stamped

NAMES = st.text("abc", min_size=1, max_size=2)
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("xyü", max_size=3)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [  # RFC 7396, appendix A, as far as it is about objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_of_the_rfc(document: dict, patch: dict, result: dict) -> None:
    before = deepcopy((document, patch))
    assert merged(document, patch) == result
    assert (document, patch) == before, "neither is changed"


def reference(target: Any, patch: Any) -> Any:
    """RFC 7396 §2, word for word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    target = dict(target)
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = reference(target.get(name), value)
    return target


@given(OBJECTS, OBJECTS)
def test_merging_is_the_rfcs(document: dict, patch: dict) -> None:
    assert merged(document, patch) == reference(document, patch)
    assert merged(merged(document, patch), patch) == merged(document, patch), "twice is once"


@given(OBJECTS, OBJECTS)
def test_metadata_has_the_shape_of_the_document(document: dict, patch: dict) -> None:
    """One entry for each property that is there, none for one that is gone."""
    metadata = stamped(stamped({}, document, {"$lastUpdated": "1"}), patch, {"$lastUpdated": "2"})

    def check(part: Any, described: Any) -> None:
        assert described["$lastUpdated"] in ("1", "2")
        named = part if isinstance(part, dict) else {}
        assert described.keys() - {"$lastUpdated"} == named.keys()
        for name, value in named.items():
            check(value, described[name])

    check(merged(merged({}, document), patch), metadata)


def test_metadata_says_what_was_touched_last() -> None:
    first = stamped({}, {"a": {"b": 1, "c": 2}, "d": 3}, {"$lastUpdated": "1", "$lastUpdatedVersion": 2})
    second = stamped(first, {"a": {"b": 5}, "d": None}, {"$lastUpdated": "2", "$lastUpdatedVersion": 3})
    old, new = {"$lastUpdated": "1", "$lastUpdatedVersion": 2}, {"$lastUpdated": "2", "$lastUpdatedVersion": 3}
    assert second == {**new, "a": {**new, "b": new, "c": old}}


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"a": None},
        {"a": True, "b": 1.5, "c": -(2**52), "d": 2**52 - 1},
        {"ü-_:/": "any text. $ \x00 is fine"},
        {"k" * 1024: "v" * 4096},
        {"a": [1, [2, {"b": None}]]},
        nested(11),  # ten objects inside the document's own
    ],
)
def test_what_a_twin_takes(patch: dict) -> None:
    check_patch(patch)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"": 1}, "the name '' is empty"),
        ({"a.b": 1}, "the name 'a.b' is empty, or has '.', '$', a space or a control character in it"),
        ({"a": {"b c": 1}}, "the name 'a.b c'"),
        ({"a": [{"$b": 1}]}, "the name 'a.0.$b'"),
        ({"$version": 1}, "the name '$version'"),
        ({"a\n": 1}, "the name"),
        ({"a\x85": 1}, "the name"),
        ({"ü" * 513: 1}, "is longer than 1024 bytes"),
        ({"a": "ü" * 2049}, "the text of 'a' is longer than 4096 bytes"),
        ({"a": ["x" * 4097]}, "the text of 'a.0' is longer than 4096 bytes"),
        ({"a": 2**52}, "the number 'a' is not between -4503599627370496 and 4503599627370495"),
        ({"a": -(2**52) - 1}, "the number 'a' is not between"),
        ({"a": 10**400}, "the number 'a' is not between"),
        ({"a": float("inf")}, "the number 'a' is too large"),
        ({"a": "\ud800"}, "'a' has half of a surrogate pair in it"),
        ({"\udfff": 1}, "has half of a surrogate pair in it"),
        (nested(12), "'a.a.a.a.a.a.a.a.a.a.a' is deeper than 10 levels"),
        ({"a": [[[[[[[[[[[]]]]]]]]]]]}, "is deeper than 10 levels"),
    ],
)
def test_what_no_twin_takes(patch: dict, why: str) -> None:
    with pytest.raises(BadTwin) as caught:
        check_patch(patch)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 300, "names may be long; what is said of them is not"


def test_depth_is_checked_without_recursion() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(BadTwin, match="deeper"):
        check_patch(deep)


@pytest.mark.parametrize(
    ("document", "size_bytes"),
    [
        ({}, 0),
        ({"ab": 1}, 10),
        ({"ab": 1.5}, 10),
        ({"ab": True}, 6),
        ({"ü": "üx"}, 5),
        ({"a": "x\ny\x80z"}, 4),  # control characters are not counted
        ({"a": {"b": {}}}, 2),
        ({"a": [1, "xy", False]}, 15),
        ({"a": [None]}, 1),
    ],
)
def test_sizes_as_the_service_counts(document: dict, size_bytes: int) -> None:
    check_size("tags", document, size_bytes)
    if size_bytes:
        with pytest.raises(BadTwin, match=f"the tags would have {size_bytes} bytes; at most {size_bytes - 1} are kept"):
            check_size("tags", document, size_bytes - 1)


@given(st.binary(max_size=40) | VALUES.map(json.dumps).map(str.encode))
def test_any_payload_is_an_object_or_a_sentence(payload: bytes) -> None:
    try:
        said = ""
        value = parse(payload)
    except BadTwin as error:
        said, value = str(error), {}
    assert isinstance(value, dict)
    assert said == "" or said.startswith("it is not ")
