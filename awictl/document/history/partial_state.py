"""What is known of a state when not all of the deltas that led to it are known.

A delta says what a field is afterwards, and not what it was before. So the state before a delta is known only in part,
and so is the state after a delta if nothing is known of what it was applied to:

    state                     delta                 known afterwards, or before
    UNKNOWN                   {"a": {"b": 1}}       redo: an object with a, which is an object with b = 1; both may have
                                                    more
    {"a": {"b": 1, "c": 2}}   {"a": {"b": 1}}       undo: {"a": {"b": UNKNOWN, "c": 2}}: a was an object, as it has c
    {"a": {"b": 1}}           {"a": {"b": 1}}       undo: {"a": MaybeObject({"b": UNKNOWN})}: a was an object without
                                                    other keys, or a number, or absent

UNKNOWN stands for any value or none. In an OpenObject, every key that is not in it is UNKNOWN. States are never
modified; results share unchanged parts with the states that they were made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..json_codec import json_equal
from ..merge import pointer


class Unknown:
    """The type of UNKNOWN."""

    def __repr__(self) -> str:
        return "UNKNOWN"


#: Any value, or none.
UNKNOWN: Final = Unknown()


class Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        return "ABSENT"


#: There certainly is no value. States do not contain it: it is for what is said of them.
ABSENT: Final = Absent()


class OpenObject(dict[str, Any]):
    """An object of which other keys are unknown."""


class MaybeObject:
    """An object with these fields, or a value that is not an object, or none."""

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __repr__(self) -> str:
        return f"MaybeObject({self.fields})"


def is_unknown(value: Any) -> bool:
    """Whether there may be no value at all."""
    return value is UNKNOWN or type(value) is MaybeObject


def redo(state: Any, delta: Any) -> Any:
    """What is known of a state after a delta was merged into it (see `merge`)."""
    if not isinstance(delta, dict):
        return delta
    if is_unknown(state):
        return OpenObject({key: redo(UNKNOWN, value) for key, value in delta.items()})
    if not isinstance(state, dict):
        return delta
    is_open = type(state) is OpenObject
    after: dict[str, Any] = OpenObject(state) if is_open else dict(state)
    for key, value in delta.items():
        if key in after:
            after[key] = redo(after[key], value)
        else:
            after[key] = redo(UNKNOWN, value) if is_open else value
    return after


def undo(state: Any, delta: dict[str, Any]) -> Any:
    """What is known of a state before a delta was merged into it, which made it `state`."""
    if type(state) is MaybeObject:
        state = state.fields  # the delta left an object
    if not isinstance(state, dict):
        return UNKNOWN
    before: dict[str, Any] = OpenObject(state) if type(state) is OpenObject else dict(state)
    for key, value in delta.items():
        known = before.get(key, UNKNOWN)
        before[key] = UNKNOWN
        if isinstance(value, dict) and known is not UNKNOWN:
            fields = undo(known, value)
            if fields is not UNKNOWN:
                before[key] = fields if _has_more(known, value) else MaybeObject(fields)
    return before


def _has_more(state: Any, delta: dict[str, Any]) -> bool:
    """Whether an object certainly has something that is not from the delta, so that it was an object before."""
    for key, value in (state.fields if type(state) is MaybeObject else state).items():
        if key not in delta:
            if not is_unknown(value):
                return True
        elif isinstance(value, (dict, MaybeObject)) and isinstance(delta[key], dict) and _has_more(value, delta[key]):
            return True
    return False


def combine(first: Any, second: Any, conflicts: list[str] | None = None, path: str = "") -> Any:
    """What is known of a state from two sources.

    If they contradict each other, what `first` says is the result, and the JSON pointer is added to `conflicts`.
    """
    if first is UNKNOWN or second is UNKNOWN or first is second:
        return second if first is UNKNOWN else first
    if type(second) is MaybeObject:
        if type(first) is MaybeObject:
            return MaybeObject(combine(first.fields, second.fields))
        return combine(first, second.fields, conflicts, path) if isinstance(first, dict) else first
    if type(first) is MaybeObject:
        return combine(first.fields, second, conflicts, path) if isinstance(second, dict) else second
    if isinstance(first, dict) and isinstance(second, dict):
        return _combined_objects(first, second, conflicts, path)
    if conflicts is not None and not json_equal(known_part(first), known_part(second)):
        conflicts.append(path)
    return first


def _combined_objects(
    first: dict[str, Any], second: dict[str, Any], conflicts: list[str] | None, path: str
) -> dict[str, Any]:
    first_open, second_open = type(first) is OpenObject, type(second) is OpenObject
    found: dict[str, Any] = OpenObject() if first_open and second_open else {}
    for key, value in first.items():
        if key in second:
            found[key] = combine(value, second[key], conflicts, pointer(path, key))
        elif second_open:
            found[key] = value
        elif not is_unknown(value):  # only `first` has it; an unknown one is absent, as `second` says
            found[key] = value
            if conflicts is not None:
                conflicts.append(pointer(path, key))
    for key, value in second.items():
        if key in first:
            continue
        if first_open:
            found[key] = value
        elif not is_unknown(value) and conflicts is not None:
            conflicts.append(pointer(path, key))
    if first_open and not second_open:
        return {key: found[key] for key in (*second, *found) if key in found}  # `second` knows their order
    return found


def unknown_pointers(state: Any, path: str = "") -> Iterator[str]:
    """JSON pointers to what is unknown: a value, or an object of which only the keys that are given are known."""
    if is_unknown(state):
        yield path
    elif isinstance(state, dict):
        if is_open := type(state) is OpenObject:
            yield path
        for key, value in state.items():
            if isinstance(value, dict) or (is_unknown(value) and not is_open):
                yield from unknown_pointers(value, pointer(path, key))


def known_part(state: Any) -> Any:
    """The state as plain JSON, without what is unknown; it is not copied where nothing is. UNKNOWN itself is null."""
    if is_unknown(state):
        return None
    if not isinstance(state, dict):
        return state
    known = {
        key: known_part(value) if isinstance(value, dict) else value
        for key, value in state.items()
        if not is_unknown(value)
    }
    unchanged = type(state) is dict and len(known) == len(state) and all(known[key] is state[key] for key in known)
    return state if unchanged else known
