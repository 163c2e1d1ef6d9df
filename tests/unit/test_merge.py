"""Deltas: the app's merge rule, and that a comparison is complete."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import load, stored_texts, stored_values

from awictl.document.json_codec import dumps, json_equal, loads
from awictl.document.merge import DocumentDifference, compare, keys_of, merge, value_at
from awictl.document.merge import pointer as pointer_to

objects = st.dictionaries(stored_texts | st.sampled_from(["a", "b", "a/b", "~", "~1"]), stored_values, max_size=4)


@st.composite
def edits(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """An object and another one that shares many fields with it."""
    before, other = draw(objects), draw(objects)
    kept = {key: value for key, value in before.items() if draw(st.booleans())}
    nested = {"same": {**before, **other}, "x": {"y": kept}}
    return {**before, "same": before, "x": {"y": before}}, {**kept, **other, **nested}


@pytest.mark.parametrize("vector", load("merge_vectors.json"))
def test_vectors_of_the_app(vector: dict[str, Any]) -> None:
    assert merge(vector["target"], vector["delta"]) == vector["result"]


@given(edits())
def test_merge_changes_neither_argument(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    originals = copy.deepcopy(pair)
    merge(*pair)
    assert json_equal(list(pair), list(originals))


@given(edits())
def test_nothing_is_deleted_and_the_result_contains_the_delta(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    target, delta = pair
    merged = merge(target, delta)
    assert merged.keys() == target.keys() | delta.keys()
    assert json_equal(merge(merged, delta), merged)
    for key, value in delta.items():
        if not isinstance(value, dict) or not isinstance(target.get(key), dict):
            assert json_equal(merged[key], value)


@pytest.mark.parametrize("replaced", [None, 1, "x", [1], True])
def test_an_object_replaces_a_value_of_another_type(replaced: Any) -> None:
    assert merge({"a": replaced}, {"a": {}}) == {"a": {}}


@given(edits())
def test_applying_a_comparison_to_the_first_document_gives_the_second(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, after = pair
    comparison = compare(before, after)
    # copied by way of JSON, so that parts shared in memory are not removed twice
    result = loads(dumps(merge(before, comparison.delta)))
    for pointer in comparison.removed:
        _remove(result, pointer)
    assert json_equal(result, after)
    assert bool(comparison) != json_equal(before, after)


def small_objects(depth: int) -> list[dict[str, Any]]:
    """All objects with at most two keys, and few values."""
    inner: list[Any] = [None, 1, 1.0, True, "1", [], [1], [{}], *(small_objects(depth - 1) if depth else [{}])]
    return [{}, *({"a": one} for one in inner), *({"b": one, "a": 1} for one in inner)]


def test_a_comparison_says_exactly_what_a_delta_cannot_express() -> None:
    for before, after in product(small_objects(1), repeat=2):
        comparison = compare(before, after)
        applied = merge(before, comparison.delta)
        expressible = json_equal(merge(before, after), after)  # no other delta gets nearer to it
        assert (not comparison.removed) is expressible
        assert json_equal(applied, after) is expressible
        result = loads(dumps(applied))
        for pointer in comparison.removed:
            _remove(result, pointer)
        assert json_equal(result, after)
        assert not compare(after, result) and compare(before, applied) == DocumentDifference(comparison.delta)


def test_a_comparison_is_minimal() -> None:
    before = {"same": {"a": 1}, "page": {"cursor": 1, "gone/~": 2}, "list": [1]}
    after = {"same": {"a": 1.0}, "page": {"cursor": 2}, "list": [1, 2], "new": None}
    comparison = compare(before, after)
    assert comparison.delta == {"page": {"cursor": 2}, "list": [1, 2], "new": None}
    assert comparison.removed == ["/page/gone~1~0"]


def test_true_is_not_one() -> None:
    assert compare({"a": 1}, {"a": True}).delta == {"a": True}


@given(st.lists(st.text()))
def test_pointers(keys: list[str]) -> None:
    place, value = "", object()
    nested: Any = value
    for key in keys:
        place = pointer_to(place, key)
    for key in reversed(keys):
        nested = {key: nested}
    assert keys_of(place) == keys and value_at(nested, place) is value
    assert value_at(nested, f"{place}/more", "none") == "none"


def _remove(document: Any, pointer: str) -> None:
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    for key in path:
        document = document[key]
    del document[last]
