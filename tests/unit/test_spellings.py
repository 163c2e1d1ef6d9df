"""Other spellings of a query: which of them are looked for, in which order, and that there is an end to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awictl import cache_key
from awictl.query_cache.spellings import DEFAULT_SORT, MAX_VARIANTS, Difference, difference, variants

BY_DATE = {"key": "date", "order": "desc"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)

#: What was asked for, what is cached instead, and in what the two differ.
OTHERS: list[tuple[Any, Any, Any, Any, Difference]] = [
    ({"a": 1, "b": 2}, {}, {"b": 2, "a": 1}, {}, Difference.ORDER),
    ({"a": 1}, BY_DATE, {"a": 1}, {"order": "desc", "key": "date"}, Difference.ORDER),
    ({"a": {"x": 1, "y": 2}, "b": 1}, {}, {"b": 1, "a": {"y": 2, "x": 1}}, {}, Difference.ORDER),
    ({"a": [{"x": 1, "y": 2}]}, {}, {"a": [{"y": 2, "x": 1}]}, {}, Difference.ORDER),
    ({"page": 2}, {}, {"page": "2"}, {}, Difference.TYPE),
    ({"page": "2"}, {}, {"page": 2}, {}, Difference.TYPE),
    ({"p": "2.50"}, {}, {"p": 2.5}, {}, Difference.TYPE),
    ({"on": True}, {}, {"on": "true"}, {}, Difference.TYPE),
    ({"on": True}, {}, {"on": 1}, {}, Difference.TYPE),
    ({"on": "false"}, {}, {"on": False}, {}, Difference.TYPE),
    ({"a": 1, "b": 2, "c": True}, {}, {"a": "1", "b": "2", "c": "true"}, {}, Difference.TYPE),
    ({"a": 1, "b": "x"}, {}, {"b": "x", "a": "1"}, {}, Difference.TYPE),
    ({"tag": " AWI "}, {}, {"tag": "awi"}, {}, Difference.TEXT),
    ({"tags": ["b", "a"]}, {}, {"tags": ["a", "b"]}, {}, Difference.ARRAY),
    ({"tags": ["a", "b"]}, {}, {"tags": "a,b"}, {}, Difference.ARRAY),
    ({"tags": "a,b"}, {}, {"tags": ["a", "b"]}, {}, Difference.ARRAY),
    ({"tag": "a"}, {}, {"tag": ["a"]}, {}, Difference.ARRAY),
    ({"tag": ["a"]}, {}, {"tag": "a"}, {}, Difference.ARRAY),
    ({"a": 1}, BY_DATE, {"a": 1}, {}, Difference.SORT),
    ({"a": 1}, {}, {"a": 1}, DEFAULT_SORT, Difference.SORT),
    ({"a": 1}, None, {"a": 1}, DEFAULT_SORT, Difference.SORT),
    ({"a": 1}, BY_DATE, {"a": 1}, {"key": "date", "order": "asc"}, Difference.SORT),
    ({"a": 1}, BY_DATE, {"a": 1}, {"date": -1}, Difference.SORT),
    ({"a": 1}, {"date": -1}, {"a": 1}, BY_DATE, Difference.SORT),
    ({"a": 1}, "-date", {"a": 1}, BY_DATE, Difference.SORT),
    ({"a": 1, "b": None}, {}, {"a": 1}, {}, Difference.FILTER),
    ({"a": {"x": 1, "y": None}}, {}, {"a": {"x": 1}}, {}, Difference.FILTER),
]


@pytest.mark.parametrize(("filters", "sort", "cached", "cached_sort", "expected"), OTHERS)
def test_another_spelling_is_looked_for(
    filters: Any, sort: Any, cached: Any, cached_sort: Any, expected: Difference
) -> None:
    found = variants(filters, sort)
    assert found[cache_key(cached, cached_sort)].difference is expected


def test_the_words_say_what_is_there_instead() -> None:
    found = variants({"page": "2", "tag": "awi"}, BY_DATE)
    assert found[cache_key({"page": 2, "tag": "awi"}, BY_DATE)].words == '/page as 2 instead of "2"'
    both = found[cache_key({"tag": "awi", "page": 2}, BY_DATE)]
    assert both.words == '/page as 2 instead of "2", and its keys in another order'
    assert found[cache_key({"page": "2", "tag": "awi"}, {})].words == "without a sort order"


def test_seven_keys_are_looked_for_in_any_order() -> None:
    filters = dict.fromkeys("abcdef", 1)
    found = variants(filters, {})
    assert cache_key(dict.fromkeys("fdbeca", 1), {}) in found


def test_many_keys_are_looked_for_in_the_likely_orders() -> None:
    names = [f"k{number:02}" for number in range(40)]
    filters = dict.fromkeys(names[20:] + names[:20], 1)
    found = variants(filters, {})
    assert found[cache_key(dict.fromkeys(names, 1), {})].difference is Difference.ORDER
    assert found[cache_key(dict.fromkeys(reversed(names), 1), {})].difference is Difference.ORDER
    assert len(found) <= MAX_VARIANTS


@settings(max_examples=30)
@given(JSON, JSON)
def test_every_variant_has_its_own_key_and_the_query_itself_is_none(filters: Any, sort: Any) -> None:
    found = variants(filters, sort)
    assert cache_key(filters, sort) not in found
    assert len(found) <= MAX_VARIANTS
    assert all(cache_key(one.filters, one.sort) == key and one.words for key, one in found.items())


@pytest.mark.parametrize(
    "filters", [{"ids": list(range(1_900))}, {"text": "x" * 9_000}, {f"k{i}": {"a": 1, "b": 2} for i in range(400)}]
)
def test_a_long_query_is_spelled_in_as_many_ways_as_any(filters: dict[str, Any]) -> None:
    assert 0 < len(variants(filters, {})) <= MAX_VARIANTS
    assert variants({"more": [filters, "x" * 10_000]}, {}) == {}, "one that is too long in none"


def test_difference_tells_near_queries_apart() -> None:
    asked = {"tag": "awi", "page": 2}
    assert difference(asked, {}, {"page": 2, "tag": "awi"}, {})[:2] == (0, Difference.ORDER)
    assert difference(asked, None, {"tag": "ai", "page": 2}, {}) == (
        1,
        Difference.FILTER,
        '"tag" is "ai" there, not "awi"',
    )
    assert difference(asked, {}, {"tag": "awi"}, BY_DATE) == (
        2,
        Difference.FILTER,
        'without the filter "page"; sorted by {"key":"date","order":"desc"}',
    )
    assert difference(asked, {}, asked, BY_DATE)[:2] == (1, Difference.SORT)
    assert difference(asked, {}, {**asked, "x": None}, {})[2] == 'with a further filter, "x": null'
    assert difference(asked, {}, ["x"], {})[2] == 'the filters are ["x"] there'
