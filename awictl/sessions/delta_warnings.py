"""Warn about deltas that are valid, but probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..document.json_codec import json_type
from ..document.merge import pointer
from ..document.schema import new_document
from ..util.nearest import nearest

#: The top-level fields of a session document.
KNOWN_FIELDS = frozenset(new_document("", "", "", "", ""))


def delta_warnings(before: Mapping[str, Any], delta: Mapping[str, Any]) -> list[str]:
    """What a delta does to a document `before` it that is probably not meant, in one sentence each.

    It replaces an object by something else, or adds a top-level field that no session document has.
    """
    added = [name for name in delta if name not in before and name not in KNOWN_FIELDS]
    warnings = [
        f"the delta adds the top-level field {name!r}, which session documents do not have{nearest(name, KNOWN_FIELDS)}"
        for name in added
    ]
    return warnings + [
        f"the delta replaces the object at {place} by {json_type(value)}"
        for place, value in _replaced(before, delta, "")
    ]


def _replaced(before: Mapping[str, Any], delta: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The JSON pointers to objects that a delta replaces by something else, each with that."""
    for key, value in delta.items():
        old = before.get(key)
        if isinstance(old, dict):
            if isinstance(value, dict):
                yield from _replaced(old, value, pointer(path, key))
            else:
                yield pointer(path, key), value
