"""Compare two states of a session, of which parts may be unknown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import InvalidData
from ..json_codec import json_equal
from ..merge import DocumentDifference, keys_of, pointer
from ..schema import as_object
from .timeline import StateAt, Timeline

#: Fields that every action changes.
ALWAYS_CHANGED = ("history", "statistics", "last_updated")


@dataclass(frozen=True)
class StateDifference(DocumentDifference):
    """How one state of a session differs from another, as far as that is known."""

    #: JSON pointers to what may differ: it is unknown in one of the states, or in both and may have changed.
    unknown: list[str] = field(default_factory=list)


def compare_states(
    timeline: Timeline, before: StateAt, after: StateAt, ignored: Collection[str] = ()
) -> StateDifference:
    """How a session differs between two of its moments, of which `before` may also be the later one.

    `ignored`: top-level fields that are not compared. Raises InvalidData if the states are nested too deeply.
    """
    first, second = heads = [
        {name: value for name, value in one.head.items() if name not in ignored} for one in (before, after)
    ]
    unknown_before, unknown_after = frozenset(before.unknown), frozenset(after.unknown)
    removed: list[str] = []
    replaced: list[str] = []

    def difference(old: dict[str, Any], new: dict[str, Any], path: str) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        for key in old.keys() - new.keys() if path not in unknown_after else ():
            if (place := pointer(path, key)) not in unknown_after:
                removed.append(place)
        for key, value in new.items():
            place = pointer(path, key)
            if key not in old:
                if path not in unknown_before and place not in unknown_before:
                    delta[key] = value
            elif isinstance(value, dict) and isinstance(old[key], dict):
                if inner := difference(old[key], value, place):
                    delta[key] = inner
            elif not json_equal(old[key], value):
                delta[key] = value
                replaced.append(place)
        return delta

    try:
        delta = difference(first, second, "")
    except RecursionError:
        raise InvalidData("the states are nested too deeply to be compared") from None
    actions = timeline.actions_between(*sorted((before.ordinal, after.ordinal)))
    deltas = None if actions is None else [as_object(as_object(one).get("delta")) for one in actions]
    unknown = [
        place
        for place in sorted(unknown_before | unknown_after)
        if place.partition("/")[2].partition("/")[0] not in ignored
        and not (place in unknown_before & unknown_after and deltas is not None and _is_same(place, deltas, heads))
        and not (place not in unknown_after and any(_is_in(place, one) for one in (*removed, *replaced)))
    ]
    return StateDifference(delta, sorted(removed), unknown)


def _is_in(place: str, outer: str) -> bool:
    return place == outer or place.startswith(f"{outer}/")


def _is_same(place: str, deltas: list[dict[str, Any]], heads: Sequence[dict[str, Any]]) -> bool:
    """Whether no action between two states has changed what is unknown in both at a JSON pointer."""
    keys = keys_of(place)
    return not (keys and keys[0] in ALWAYS_CHANGED) and not any(_touches(delta, keys, heads) for delta in deltas)


def _touches(delta: Any, keys: list[str], states: Sequence[Any]) -> bool:
    for key in keys:
        if not isinstance(delta, dict):
            return True
        if key not in delta:
            return False
        delta = delta[key]
        states = [as_object(one).get(key) for one in states]
    # in an object of which only other fields are unknown, those that are known are compared
    return not (isinstance(delta, dict) and all(isinstance(one, dict) and delta.keys() <= one.keys() for one in states))
