"""Other spellings of a query: which are generated, in which order, and how many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awictl import cache_key
from awictl.query_cache.differences import DifferenceKind, compare
from awictl.query_cache.spellings import DEFAULT_SORT, MAX_VARIANTS, variants

BY_DATE = {"key": "date", "order": "desc"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)

#: Filters and sort order of a query, those of the cached query, and the kind of the difference.
OTHERS: list[tuple[Any, Any, Any, Any, DifferenceKind]] = [
    ({"a": 1, "b": 2}, {}, {"b": 2, "a": 1}, {}, DifferenceKind.ORDER),
    ({"a": 1}, BY_DATE, {"a": 1}, {"order": "desc", "key": "date"}, DifferenceKind.ORDER),
    ({"a": {"x": 1, "y": 2}, "b": 1}, {}, {"b": 1, "a": {"y": 2, "x": 1}}, {}, DifferenceKind.ORDER),
    ({"a": [{"x": 1, "y": 2}]}, {}, {"a": [{"y": 2, "x": 1}]}, {}, DifferenceKind.ORDER),
    ({"page": 2}, {}, {"page": "2"}, {}, DifferenceKind.TYPE),
    ({"page": "2"}, {}, {"page": 2}, {}, DifferenceKind.TYPE),
    ({"p": "2.50"}, {}, {"p": 2.5}, {}, DifferenceKind.TYPE),
    ({"on": True}, {}, {"on": "true"}, {}, DifferenceKind.TYPE),
    ({"on": True}, {}, {"on": 1}, {}, DifferenceKind.TYPE),
    ({"on": "false"}, {}, {"on": False}, {}, DifferenceKind.TYPE),
    ({"a": 1, "b": 2, "c": True}, {}, {"a": "1", "b": "2", "c": "true"}, {}, DifferenceKind.TYPE),
    ({"a": 1, "b": "x"}, {}, {"b": "x", "a": "1"}, {}, DifferenceKind.TYPE),
    ({"tag": " AWI "}, {}, {"tag": "awi"}, {}, DifferenceKind.TEXT),
    ({"tags": ["b", "a"]}, {}, {"tags": ["a", "b"]}, {}, DifferenceKind.ARRAY),
    ({"tags": ["a", "b"]}, {}, {"tags": "a,b"}, {}, DifferenceKind.ARRAY),
    ({"tags": "a,b"}, {}, {"tags": ["a", "b"]}, {}, DifferenceKind.ARRAY),
    ({"tag": "a"}, {}, {"tag": ["a"]}, {}, DifferenceKind.ARRAY),
    ({"tag": ["a"]}, {}, {"tag": "a"}, {}, DifferenceKind.ARRAY),
    ({"a": 1}, BY_DATE, {"a": 1}, {}, DifferenceKind.SORT),
    ({"a": 1}, {}, {"a": 1}, DEFAULT_SORT, DifferenceKind.SORT),
    ({"a": 1}, None, {"a": 1}, DEFAULT_SORT, DifferenceKind.SORT),
    ({"a": 1}, BY_DATE, {"a": 1}, {"key": "date", "order": "asc"}, DifferenceKind.SORT),
    ({"a": 1}, BY_DATE, {"a": 1}, {"date": -1}, DifferenceKind.SORT),
    ({"a": 1}, {"date": -1}, {"a": 1}, BY_DATE, DifferenceKind.SORT),
    ({"a": 1}, "-date", {"a": 1}, BY_DATE, DifferenceKind.SORT),
    ({"a": 1, "b": None}, {}, {"a": 1}, {}, DifferenceKind.FILTER),
    ({"a": {"x": 1, "y": None}}, {}, {"a": {"x": 1}}, {}, DifferenceKind.FILTER),
]


@pytest.mark.parametrize(("filters", "sort", "cached", "cached_sort", "expected"), OTHERS)
def test_other_spellings(filters: Any, sort: Any, cached: Any, cached_sort: Any, expected: DifferenceKind) -> None:
    found = variants(filters, sort)
    assert found[cache_key(cached, cached_sort)].difference is expected


def test_descriptions() -> None:
    found = variants({"page": "2", "tag": "awi"}, BY_DATE)
    assert found[cache_key({"page": 2, "tag": "awi"}, BY_DATE)].description == '/page as 2 instead of "2"'
    both = found[cache_key({"tag": "awi", "page": 2}, BY_DATE)]
    assert both.description == '/page as 2 instead of "2", with the keys in another order'
    assert found[cache_key({"page": "2", "tag": "awi"}, {})].description == "without a sort order"


def test_seven_keys_in_every_order() -> None:
    filters = dict.fromkeys("abcdef", 1)
    found = variants(filters, {})
    assert cache_key(dict.fromkeys("fdbeca", 1), {}) in found


def test_many_keys_in_the_likely_orders() -> None:
    names = [f"k{number:02}" for number in range(40)]
    filters = dict.fromkeys(names[20:] + names[:20], 1)
    found = variants(filters, {})
    assert found[cache_key(dict.fromkeys(names, 1), {})].difference is DifferenceKind.ORDER
    assert found[cache_key(dict.fromkeys(reversed(names), 1), {})].difference is DifferenceKind.ORDER
    assert len(found) <= MAX_VARIANTS


@settings(max_examples=8)
@given(JSON, JSON)
def test_every_variant_has_its_own_key_and_the_query_itself_is_excluded(filters: Any, sort: Any) -> None:
    assert_variants(filters, sort)


@pytest.mark.soak
@settings(max_examples=300, deadline=None)
@given(JSON, JSON)
def test_every_variant_of_many_queries_has_its_own_key(filters: Any, sort: Any) -> None:
    assert_variants(filters, sort)


def assert_variants(filters: Any, sort: Any) -> None:
    found = variants(filters, sort)
    assert cache_key(filters, sort) not in found
    assert len(found) <= MAX_VARIANTS
    assert all(cache_key(one.filters, one.sort) == key and one.description for key, one in found.items())


@pytest.mark.parametrize(
    "filters",
    [
        {"ids": list(range(1_900))},
        {"text": "x" * 9_000},
        {f"k{i}": {"a": 1, "b": 2, "text": "x" * 70} for i in range(80)},
        pytest.param({f"k{i}": {"a": 1, "b": 2} for i in range(400)}, marks=pytest.mark.soak),
    ],
)
def test_a_long_query_has_at_most_the_maximum_of_variants(filters: dict[str, Any]) -> None:
    assert 0 < len(variants(filters, {})) <= MAX_VARIANTS
    assert variants({"more": [filters, "x" * 10_000]}, {}) == {}, "too long: no variants"


def test_compare() -> None:
    asked = {"tag": "awi", "page": 2}
    assert compare(asked, {}, {"page": 2, "tag": "awi"}, {})[:2] == (0, DifferenceKind.ORDER)
    assert compare(asked, None, {"tag": "ai", "page": 2}, {}) == (
        1,
        DifferenceKind.FILTER,
        '"tag" is "ai" instead of "awi"',
    )
    assert compare(asked, {}, {"tag": "awi"}, BY_DATE) == (
        2,
        DifferenceKind.FILTER,
        'without the filter "page"; sorted by {"key":"date","order":"desc"}',
    )
    assert compare(asked, {}, asked, BY_DATE)[:2] == (1, DifferenceKind.SORT)
    assert compare(asked, {}, {**asked, "x": None}, {})[2] == 'with the additional filter "x": null'
    assert compare(asked, {}, ["x"], {})[2] == 'the filters are ["x"]'
