"""Other spellings of a query: the cache keys under which the same results may be cached.

A cache key is the hash of a text, so every other spelling of a query has another key: the same filters in another
order, 2 and "2", a sort order that one caller names and another leaves out. A hash cannot be inverted. So this module
generates the likely spellings, and the caller looks all of their keys up at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice, permutations, product
from typing import Any, NamedTuple

from ..document.json_codec import json_equal
from ..document.merge import pointer
from .cache_key import cache_key, stringify
from .differences import SAME_KEYS_REORDERED, DifferenceKind, format_value

#: Maximum number of variants of one query; fewer for a long query, and none for one with more than MAX_CHARACTERS (as
#: JSON). Hashing the maximum takes about a second.
MAX_VARIANTS = 5_000
MAX_CHARACTERS = 10_000
#: Maximum number of characters of all variants together.
_MAX_TOTAL_CHARACTERS = 2_000_000
#: Maximum number of key orders of one object.
_MAX_ORDERS = 720

#: The sort order of a new session: the app's default.
DEFAULT_SORT = {"key": "createdAt", "order": "desc"}
_FLIPPED: dict[Any, Any] = {"asc": "desc", "desc": "asc", "ascending": "descending", "descending": "ascending"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", re.ASCII)


class Variant(NamedTuple):
    """Another query, the kind of its difference, and a description of it."""

    filters: Any
    sort: Any
    difference: DifferenceKind
    description: str


class _Change(NamedTuple):
    """A replacement of one value."""

    value: Any
    difference: DifferenceKind
    description: str


def variants(filters: Any, sort: Any) -> dict[str, Variant]:
    """Return variants of a query by cache key, the smallest differences first, without the query itself.

    At most MAX_VARIANTS; none if the query is longer than MAX_CHARACTERS.
    """
    found: dict[str, Variant] = {}
    characters = len(stringify([filters, sort]))
    if characters > MAX_CHARACTERS:
        return found
    limit = min(MAX_VARIANTS, _MAX_TOTAL_CHARACTERS // characters)
    own_key = cache_key(filters, sort)
    for variant in islice(_variants(filters, sort, limit), 4 * limit):
        key = cache_key(variant.filters, variant.sort)
        if key != own_key and key not in found:
            found[key] = variant
            if len(found) == limit:
                break
    return found


def _variants(filters: Any, sort: Any, limit: int) -> Iterator[Variant]:
    """Yield reorderings of the query's own keys, then every single change, then reorderings of each change."""
    changes = [*_changed_sort(filters, sort), *islice(_changed_filters(filters, sort), limit)]
    changes.sort(key=lambda one: list(DifferenceKind).index(one.difference))
    yield from _reordered(Variant(filters, sort, DifferenceKind.ORDER, SAME_KEYS_REORDERED))
    yield from changes
    for change in changes:
        yield from _reordered(change._replace(description=f"{change.description}, with the keys in another order"))


def _reordered(variant: Variant) -> Iterator[Variant]:
    for filters in _orders(variant.filters):
        for sort in _orders(variant.sort):
            yield variant._replace(filters=filters, sort=sort)


def _orders(value: Any) -> Iterator[Any]:
    """Yield a value with the keys of all its objects in every order; at most _MAX_ORDERS."""
    if isinstance(value, dict):
        # first the orders that are likely, in case there are too many
        likely = [tuple(sorted(value)), tuple(sorted(value, reverse=True))] if len(value) > 1 else []
        inner = {key: list(_orders(item)) for key, item in value.items()}
        orders = (
            dict(zip(keys, items, strict=True))
            for keys in (*likely, *islice(permutations(value), _MAX_ORDERS))
            for items in product(*(inner[key] for key in keys))
        )
        yield from islice(orders, _MAX_ORDERS)
    elif isinstance(value, list):
        yield from (list(items) for items in islice(product(*map(list, map(_orders, value))), _MAX_ORDERS))
    else:
        yield value


def _changed_filters(filters: Any, sort: Any) -> Iterator[Variant]:
    for change in _changes(filters, ""):
        yield Variant(change.value, sort, change.difference, change.description)
    for convert, description in (
        (_as_text, "every value as a string"),
        (_as_typed, "every string as the number or boolean in it"),
    ):
        converted = _each_leaf(filters, convert)
        if not json_equal(converted, filters):
            yield Variant(converted, _each_leaf(sort, convert), DifferenceKind.TYPE, description)
            yield Variant(converted, sort, DifferenceKind.TYPE, f"{description} in the filters")
    if isinstance(filters, dict):
        for key in filters:
            fewer = {name: item for name, item in filters.items() if name != key}
            yield Variant(fewer, sort, DifferenceKind.FILTER, f"without the filter {format_value(key)}")


def _changed_sort(filters: Any, sort: Any) -> Iterator[Variant]:
    for other in _other_sorts(sort):
        description = f"sorted by {format_value(other)}" if other else "without a sort order"
        yield Variant(filters, other, DifferenceKind.SORT, description)
    for change in _changes(sort, ""):
        yield Variant(filters, change.value, DifferenceKind.SORT, f"in the sort order: {change.description}")


def _other_sorts(sort: Any) -> Iterator[Any]:
    """Yield other spellings of the sort order, then none, then the app's default."""
    key, order = _sorted_by(sort)
    if key is not None:
        for direction in dict.fromkeys((order, _FLIPPED.get(order, order))):
            sign = -1 if direction in ("desc", "descending") else 1
            yield {"key": key, "order": direction}
            yield {key: direction}
            yield {key: sign}
            yield {"key": key, "order": sign}
            yield f"-{key}" if sign < 0 else key
    if sort:
        yield {}
    yield DEFAULT_SORT


def _sorted_by(sort: Any) -> tuple[str | None, Any]:
    if isinstance(sort, str) and sort:
        return sort.removeprefix("-"), "desc" if sort.startswith("-") else "asc"
    if isinstance(sort, dict) and isinstance(sort.get("key"), str):
        order = sort.get("order")
        return sort["key"], _direction(order)
    if isinstance(sort, dict) and len(sort) == 1:
        [(key, order)] = sort.items()
        return key, _direction(order)
    return None, None


def _direction(order: Any) -> str:
    if isinstance(order, str):
        return order
    return "desc" if isinstance(order, (int, float)) and order < 0 else "asc"


def _changes(value: Any, path: str) -> Iterator[_Change]:
    """Yield every change of one value inside a value. `path`: JSON pointer of the value."""
    if isinstance(value, dict):
        for key, item in value.items():
            place = pointer(path, key)
            for change in _changes(item, place):
                yield change._replace(value={**value, key: change.value})
            if path and item in (None, "", [], {}):  # top-level filters: see _changed_filters
                yield _Change({k: v for k, v in value.items() if k != key}, DifferenceKind.FILTER, f"without {place}")
        return
    if isinstance(value, list):
        for i, item in enumerate(value):
            for change in _changes(item, f"{path}/{i}"):
                yield change._replace(value=[*value[:i], change.value, *value[i + 1 :]])
    if path:
        for other, difference in _other_spellings(value):
            yield _Change(other, difference, f"{path} as {format_value(other)} instead of {format_value(value)}")


def _other_spellings(value: Any) -> Iterator[tuple[Any, DifferenceKind]]:
    """Yield other values that another caller may use for the same thing."""
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            yield sorted(value), DifferenceKind.ARRAY
            yield ",".join(value), DifferenceKind.ARRAY
        yield value[::-1], DifferenceKind.ARRAY
        if len(value) == 1:
            yield value[0], DifferenceKind.ARRAY
        return
    for convert in (_as_text, _as_typed):
        if not json_equal(converted := convert(value), value):
            yield converted, DifferenceKind.TYPE
    if isinstance(value, bool):
        yield int(value), DifferenceKind.TYPE
    if isinstance(value, str):
        for spelled in dict.fromkeys((value.strip(), value.lower(), value.strip().lower(), value.upper())):
            if spelled != value:
                yield spelled, DifferenceKind.TEXT
        if "," in value:
            yield [part.strip() for part in value.split(",")], DifferenceKind.ARRAY
    yield [value], DifferenceKind.ARRAY


def _each_leaf(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _each_leaf(item, convert) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_leaf(item, convert) for item in value]
    return convert(value)


def _as_text(value: Any) -> Any:
    """Convert a scalar to a string, as in the query string of a URL."""
    return value if isinstance(value, (str, dict, list)) or value is None else stringify(value)


def _as_typed(value: Any) -> Any:
    """Convert a string to the number, boolean or null that it spells."""
    if value in ("true", "false", "null") and isinstance(value, str):
        return {"true": True, "false": False, "null": None}[value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value
