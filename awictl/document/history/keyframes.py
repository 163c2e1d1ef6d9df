"""Keyframes of a session: what the browser needs besides the actions to compute each state.

The browser starts at a keyframe and applies one action after the other (`ui/static/replay.js`), as `applied` does. That
gives the states of a `Timeline` if the session's beginning is known and its present state is the outcome. Otherwise
later actions, and the present state, say more of earlier states than that, or something else: then there are keyframes
with what differs. The newest state is the stored document itself, and needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import InvalidData
from ..json_codec import json_equal
from ..merge import keys_of, pointer
from ..schema import PROTECTED_FIELDS, SESSION_END, SESSION_START, as_object
from .partial_state import UNKNOWN, OpenObject, known_part, unknown_pointers
from .partial_update import applied, copied, is_end, is_start, state_of
from .timeline import StateAt, Step, Timeline

#: Fields that no delta changes, which are known where nothing else is.
FIXED_FIELDS = tuple(name for name in PROTECTED_FIELDS if name != "history")


def replay_data(timeline: Timeline) -> dict[str, Any]:
    """All that the browser needs to compute the states of a session, as JSON values."""
    newest = timeline.state_at(timeline.last) if any(not one.overwritten for one in timeline.steps) else None
    found: dict[str, Any] = {
        "head": timeline.head,
        #: JSON pointers to what is unknown of the head.
        "unknown": list(newest.unknown) if newest is not None else [],
        "fixed": list(FIXED_FIELDS),
        "steps": [
            {"ordinal": one.ordinal, "action": one.action, **({"overwritten": True} if one.overwritten else {})}
            for one in timeline.steps
        ],
        "gaps": [list(gap) for gap in timeline.gaps],
        "breaks": sorted(timeline.breaks),
        "keyframes": [],
        #: Why the states before the newest cannot be computed; null if they can.
        "states_error": None,
    }
    try:
        found["keyframes"] = keyframes(timeline)
    except InvalidData as error:
        found["states_error"] = str(error)
    return found


def keyframes(timeline: Timeline) -> list[dict[str, Any]]:
    """The keyframes of a timeline as JSON values, oldest first. Raises InvalidData if its states are nested too deeply.

    Each has the `index` of its step, and replaces the state:

    - either by `head`, the state without its history, as far as it is known;
    - or, after the action was applied, by what differs: `absent`, the JSON pointers to remove; `set`, pairs of a
      pointer and a value; `closed`, pointers to objects of which all keys are known.

    In both, `unknown` has pointers to what is unknown then: the other keys of the object there, or else the value.
    `conflicts` are those of the state and of the following ones, until another keyframe has others.
    """
    kept = [(index, step) for index, step in enumerate(timeline.steps) if not step.overwritten]
    if len(kept) < 2:
        return []
    first = timeline.state_at(kept[0][1].ordinal)
    if _is_replayed(timeline, first, [step for _, step in kept]):
        return [_whole(kept[0][0], first)]
    return [*_compared(timeline, kept)]


def _is_replayed(timeline: Timeline, first: StateAt, steps: list[Step]) -> bool:
    """Whether each state but the newest is the first one with the actions applied.

    What the present state says of an earlier one holds if the deltas were merged into it. So if that of the last state
    before it agrees with what the beginning and the deltas say, that of all others does, and adds nothing.
    """
    actions = [step.action for step in steps[:-1]]
    if not timeline.beginning_known or timeline.gaps or timeline.breaks or first.conflicts:
        return False
    if not all(_is_plain(action) for action in actions) or any(map(is_start, actions[1:])):
        return False
    state = _partial(first)
    for action in actions[1:]:
        state = applied(state, action)
    last = timeline.state_at(steps[-2].ordinal)
    return not last.conflicts and _agrees(state, last)


def _is_plain(action: Any) -> bool:
    """Whether it is known what an action changed, and JavaScript counts it in the same way: it has no 1.0, only 1."""
    record = as_object(action)
    delta = record.get("delta", {} if record.get("action") in (SESSION_START, SESSION_END) else None)
    return isinstance(record.get("timestamp"), str) and isinstance(delta, dict) and "statistics" not in delta


def _compared(timeline: Timeline, kept: list[tuple[int, Step]]) -> Iterator[dict[str, Any]]:
    """The keyframes where the states differ from those of the replay."""
    states = timeline.states(kept[0][1].ordinal, kept[-2][1].ordinal)
    replayed: Any = None
    conflicts: tuple[str, ...] = ()
    before = -1
    for (index, step), found in zip(kept, states, strict=False):
        if step.ordinal != before + 1 or step.ordinal in timeline.breaks or replayed is None:
            yield _whole(index, found)
            replayed = _partial(found)
        else:
            replayed = _replayed(replayed, step.action)
            if not _agrees(replayed, found):
                truth = _partial(found)
                yield {"index": index, **_changes(replayed, truth), **_conflicts(found, conflicts)}
                replayed = truth
            elif found.conflicts != conflicts:
                yield {"index": index, **_changes(replayed, replayed), **_conflicts(found, conflicts)}
        before, conflicts = step.ordinal, found.conflicts


def _replayed(state: dict[str, Any], action: Any) -> dict[str, Any]:
    """The state after an action as JavaScript computes it, in which 1.0 is an integer."""
    after = applied(state, action)
    statistics = after.get("statistics")
    if isinstance(statistics, dict) and not is_start(action) and not is_end(action):
        outcome = "failed_actions" if as_object(action).get("success") is False else "successful_actions"
        for name in ("total_actions", outcome):
            if isinstance(count := statistics.get(name), float) and count.is_integer():
                statistics[name] = count + 1  # `applied` has made a copy
    return after


def _whole(index: int, state: StateAt) -> dict[str, Any]:
    head = state_of(state.head)
    return {"index": index, "head": head, "unknown": list(state.unknown), "conflicts": list(state.conflicts)}


def _conflicts(state: StateAt, before: tuple[str, ...]) -> dict[str, list[str]]:
    return {"conflicts": list(state.conflicts)} if state.conflicts != before else {}


def _agrees(replayed: dict[str, Any], found: StateAt) -> bool:
    """Whether a replayed state is the same as another one."""
    known = json_equal(known_part(replayed), state_of(found.head))
    return known and {*unknown_pointers(replayed)} == {*found.unknown}


def _partial(found: StateAt) -> dict[str, Any]:
    """The state from what is known of it, with what else is unknown."""
    state: Any = state_of(found.head)
    for place in found.unknown:
        state = _with_unknown(state, keys_of(place))
    partial: dict[str, Any] = state
    return partial


def _with_unknown(value: Any, keys: list[str]) -> Any:
    if keys:
        copy = copied(value)
        copy[keys[0]] = _with_unknown(value.get(keys[0], UNKNOWN), keys[1:])
        return copy
    return OpenObject(value) if isinstance(value, dict) else UNKNOWN


def _changes(replayed: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    """How to make one state of another, as a keyframe has it."""
    found: dict[str, list[Any]] = {"absent": [], "set": [], "closed": [], "unknown": []}
    _compare_objects(replayed, truth, "", found)
    return found


def _compare_objects(old: dict[str, Any], new: dict[str, Any], path: str, found: dict[str, list[Any]]) -> None:
    if type(old) is not type(new):
        found["closed" if type(old) is OpenObject else "unknown"].append(path)
    found["absent"] += [pointer(path, key) for key in old if key not in new]
    for key, value in new.items():
        place = pointer(path, key)
        before = old.get(key, UNKNOWN)
        if key in old and isinstance(before, dict) and isinstance(value, dict):
            _compare_objects(before, value, place, found)
        elif value is UNKNOWN:
            if before is not UNKNOWN:
                found["absent"].append(place)
            found["unknown"].append(place)
        elif before is UNKNOWN or not json_equal(before, value):
            found["set"].append([place, known_part(value) if isinstance(value, dict) else value])
            if isinstance(value, dict):
                found["unknown"] += unknown_pointers(value, place)
