"""Compare two queries and describe how they differ."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from ..document.json_codec import json_equal
from .cache_key import stringify

#: Characters of a value in a description.
_MAX_SHOWN = 80
SAME_KEYS_REORDERED = "the same keys in another order"


class DifferenceKind(StrEnum):
    """What differs between two queries, from the smallest difference to the largest."""

    #: The order of keys.
    ORDER = "order"
    #: The type of a value: 2 and "2".
    TYPE = "type"
    #: Case or surrounding spaces of a string.
    TEXT = "text"
    #: An array: its order, or a string or a single value in its place.
    ARRAY = "array"
    #: The sort order.
    SORT = "sort"
    #: The filters.
    FILTER = "filter"


class QueryDifference(NamedTuple):
    """The difference between two queries."""

    #: Number of filters that differ, plus one if the sort order differs.
    distance: int
    kind: DifferenceKind
    description: str


def compare(filters: Any, sort: Any, other_filters: Any, other_sort: Any) -> QueryDifference:
    """Describe how another query differs from this one."""
    filters, sort, other_filters, other_sort = (one or {} for one in (filters, sort, other_filters, other_sort))
    parts: list[str] = []
    if isinstance(filters, dict) and isinstance(other_filters, dict):
        for key in {**filters, **other_filters}:
            if key not in other_filters:
                parts.append(f"without the filter {format_value(key)}")
            elif key not in filters:
                parts.append(f"with the additional filter {format_value(key)}: {format_value(other_filters[key])}")
            elif not json_equal(filters[key], other_filters[key]):
                other, own = format_value(other_filters[key]), format_value(filters[key])
                parts.append(f"{format_value(key)} is {other} instead of {own}")
    elif not json_equal(filters, other_filters):
        parts.append(f"the filters are {format_value(other_filters)}")
    kind = DifferenceKind.FILTER if parts else DifferenceKind.SORT
    if not json_equal(sort, other_sort):
        parts.append(f"sorted by {format_value(other_sort)}")
    if not parts:
        return QueryDifference(0, DifferenceKind.ORDER, SAME_KEYS_REORDERED)
    return QueryDifference(len(parts), kind, "; ".join(parts))


def are_similar(filters: Any, sort: Any, other_filters: Any, other_sort: Any) -> bool:
    """Return whether two queries share a filter or, if one of them has no filters, the sort order."""
    if not filters or not other_filters:
        return json_equal(sort or {}, other_sort or {}) or not (filters or other_filters)
    if isinstance(filters, dict) and isinstance(other_filters, dict):
        return not filters.keys().isdisjoint(other_filters)
    return json_equal(filters, other_filters)


def format_value(value: Any) -> str:
    """Format a JSON value for a description, truncated to 80 characters."""
    text = stringify(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
