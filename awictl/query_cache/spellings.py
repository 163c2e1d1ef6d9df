"""Other ways to ask for the same, or nearly the same: the queries that a cold cache may be warm under.

A cache key is the hash of a text, so whatever is spelled otherwise is another key: the same filters in another order, 2
and "2", a sort order that one caller names and another leaves out. Since a hash cannot be turned round, the way to find
out is to spell the query in those ways, and to look whether one of the keys is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice, permutations, product
from typing import Any, NamedTuple

from ..document.json_codec import json_equal
from ..document.merge import pointer
from .cache_key import cache_key, stringify

#: Cache keys that are made of one query at the most. Of a long query there are fewer, and of one with more characters
#: (as JSON) none: it takes a second or so to hash so many in all.
MAX_VARIANTS = 5_000
MAX_CHARACTERS = 10_000
_ALL_CHARACTERS = 2_000_000
#: Orders of the keys of one object.
_MAX_ORDERS = 720

#: The sort order of a new session: what the app sorts by where nobody says otherwise.
DEFAULT_SORT = {"key": "createdAt", "order": "desc"}
_FLIPPED: dict[Any, Any] = {"asc": "desc", "desc": "asc", "ascending": "descending", "descending": "ascending"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", re.ASCII)


class Difference(StrEnum):
    """In what a query differs from the one that was asked for, the most alike first."""

    ORDER = "order"
    TYPE = "type"
    TEXT = "text"
    ARRAY = "array"
    SORT = "sort"
    FILTER = "filter"


class Variant(NamedTuple):
    """Another query, and in what it differs, also in words."""

    filters: Any
    sort: Any
    difference: Difference
    words: str


class _Change(NamedTuple):
    """Another value in the place of one."""

    value: Any
    difference: Difference
    words: str


def variants(filters: Any, sort: Any) -> dict[str, Variant]:
    """The variants of a query by their cache keys, the most alike first; the query itself is not among them.

    At most MAX_VARIANTS, and none of a query that is longer than MAX_CHARACTERS.
    """
    found: dict[str, Variant] = {}
    characters = len(stringify([filters, sort]))
    if characters > MAX_CHARACTERS:
        return found
    most = min(MAX_VARIANTS, _ALL_CHARACTERS // characters)
    own = cache_key(filters, sort)
    for one in islice(_variants(filters, sort, most), 4 * most):
        key = cache_key(one.filters, one.sort)
        if key != own and key not in found:
            found[key] = one
            if len(found) == most:
                break
    return found


def difference(filters: Any, sort: Any, other_filters: Any, other_sort: Any) -> tuple[int, Difference, str]:
    """How far another query is from this one (the keys in which they differ), in what, and in words."""
    filters, sort, other_filters, other_sort = (one or {} for one in (filters, sort, other_filters, other_sort))
    words: list[str] = []
    if isinstance(filters, dict) and isinstance(other_filters, dict):
        for key in {**filters, **other_filters}:
            if key not in other_filters:
                words.append(f"without the filter {_shown(key)}")
            elif key not in filters:
                words.append(f"with a further filter, {_shown(key)}: {_shown(other_filters[key])}")
            elif not json_equal(filters[key], other_filters[key]):
                words.append(f"{_shown(key)} is {_shown(other_filters[key])} there, not {_shown(filters[key])}")
    elif not json_equal(filters, other_filters):
        words.append(f"the filters are {_shown(other_filters)} there")
    what = Difference.FILTER if words else Difference.SORT
    if not json_equal(sort, other_sort):
        words.append(f"sorted by {_shown(other_sort)}")
    return (len(words), what, "; ".join(words)) if words else (0, Difference.ORDER, _ANOTHER_ORDER)


def alike(filters: Any, sort: Any, other_filters: Any, other_sort: Any) -> bool:
    """Whether two queries have something in common: a filter, or, where one of them has none, the sort order."""
    if not filters or not other_filters:
        return json_equal(sort or {}, other_sort or {}) or not (filters or other_filters)
    if isinstance(filters, dict) and isinstance(other_filters, dict):
        return not filters.keys().isdisjoint(other_filters)
    return json_equal(filters, other_filters)


_ANOTHER_ORDER = "the same keys in another order"


def _variants(filters: Any, sort: Any, most: int) -> Iterator[Variant]:
    """The other orders of its own keys, then every single change, then each of those in every order."""
    changes = [*_changed_sort(filters, sort), *islice(_changed_filters(filters, sort), most)]
    changes.sort(key=lambda one: list(Difference).index(one.difference))
    yield from _in_every_order(Variant(filters, sort, Difference.ORDER, _ANOTHER_ORDER))
    yield from changes
    for change in changes:
        yield from _in_every_order(change._replace(words=f"{change.words}, and its keys in another order"))


def _in_every_order(one: Variant) -> Iterator[Variant]:
    for filters in _orders(one.filters):
        for sort in _orders(one.sort):
            yield one._replace(filters=filters, sort=sort)


def _orders(value: Any) -> Iterator[Any]:
    """A value with the keys of all its objects in every order, but not more than _MAX_ORDERS."""
    if isinstance(value, dict):
        # where there are too many, these two are the likely ones
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
        yield Variant(change.value, sort, change.difference, change.words)
    for convert, words in ((_as_text, "every value as text"), (_as_typed, "every value without quotation marks")):
        converted = _each_leaf(filters, convert)
        if not json_equal(converted, filters):
            yield Variant(converted, _each_leaf(sort, convert), Difference.TYPE, words)
            yield Variant(converted, sort, Difference.TYPE, f"{words} in the filters")
    if isinstance(filters, dict):
        for key in filters:
            fewer = {name: item for name, item in filters.items() if name != key}
            yield Variant(fewer, sort, Difference.FILTER, f"without the filter {_shown(key)}")


def _changed_sort(filters: Any, sort: Any) -> Iterator[Variant]:
    for other in _other_sorts(sort):
        words = f"sorted by {_shown(other)}" if other else "without a sort order"
        yield Variant(filters, other, Difference.SORT, words)
    for change in _changes(sort, ""):
        yield Variant(filters, change.value, Difference.SORT, f"in the sort order: {change.words}")


def _other_sorts(sort: Any) -> Iterator[Any]:
    """Other ways to say by what to sort, then no order, then the app's own one."""
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
    """Every way to change one thing in a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            place = pointer(path, key)
            for change in _changes(item, place):
                yield change._replace(value={**value, key: change.value})
            if path and item in (None, "", [], {}):  # those of the first level are left out one by one anyway
                yield _Change({k: v for k, v in value.items() if k != key}, Difference.FILTER, f"without {place}")
        return
    if isinstance(value, list):
        for i, item in enumerate(value):
            for change in _changes(item, f"{path}/{i}"):
                yield change._replace(value=[*value[:i], change.value, *value[i + 1 :]])
    if path:
        for other, difference in _other_spellings(value):
            yield _Change(other, difference, f"{path} as {_shown(other)} instead of {_shown(value)}")


def _other_spellings(value: Any) -> Iterator[tuple[Any, Difference]]:
    """Other values that one caller may give where another one gives this."""
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            yield sorted(value), Difference.ARRAY
            yield ",".join(value), Difference.ARRAY
        yield value[::-1], Difference.ARRAY
        if len(value) == 1:
            yield value[0], Difference.ARRAY
        return
    for convert in (_as_text, _as_typed):
        if not json_equal(converted := convert(value), value):
            yield converted, Difference.TYPE
    if isinstance(value, bool):
        yield int(value), Difference.TYPE
    if isinstance(value, str):
        for spelled in dict.fromkeys((value.strip(), value.lower(), value.strip().lower(), value.upper())):
            if spelled != value:
                yield spelled, Difference.TEXT
        if "," in value:
            yield [part.strip() for part in value.split(",")], Difference.ARRAY
    yield [value], Difference.ARRAY


def _each_leaf(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _each_leaf(item, convert) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_leaf(item, convert) for item in value]
    return convert(value)


def _as_text(value: Any) -> Any:
    """As it stands in the query of a URL."""
    return value if isinstance(value, (str, dict, list)) or value is None else stringify(value)


def _as_typed(value: Any) -> Any:
    """The number or truth value that a text spells."""
    if value in ("true", "false", "null") and isinstance(value, str):
        return {"true": True, "false": False, "null": None}[value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value


def _shown(value: Any) -> str:
    text = stringify(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
