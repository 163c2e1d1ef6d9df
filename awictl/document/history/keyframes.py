"""Keyframes of a session: what the browser needs besides the actions to compute each state.

The browser starts at a keyframe and applies one action after the other (`ui/static/document/replay.js`), as `applied`
does. That gives the states of a `Timeline` if the session's beginning is known and its present state is the outcome.
Otherwise later actions, and the present state, say more of earlier states than that, or something else: then there are
keyframes with what differs. The newest state is the stored document itself, and needs none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import InvalidData
from ..json_codec import json_equal
from ..merge import keys_of, pointer
from ..schema import PROTECTED_FIELDS, SESSION_END, SESSION_START, as_object
from .partial_state import UNKNOWN, OpenObject, known_part, unknown_pointers
from .partial_update import applied, counts_of, is_end, is_start, state_of
from .timeline import StateAt, Timeline

#: Maximum number of fields in all states together that are compared one by one. Each takes some 5 µs.
MAX_COMPARED = 400_000
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
        #: Whether more may be known of some states than the browser computes, and more of them have conflicts.
        "states_cut": False,
        #: Why the states before the newest cannot be computed; null if they can.
        "states_error": None,
    }
    try:
        found["keyframes"], _, found["states_cut"] = keyframes(timeline)
    except InvalidData as error:
        found["states_error"] = str(error)
    return found


class Keyframes(NamedTuple):
    """The keyframes of a timeline, as JSON values, oldest first.

    Each has the `index` of its step, and replaces the state:

    - either by `head`, the state without its history, as far as it is known;
    - or, after the action was applied, by what differs: `absent`, the JSON pointers to remove; `set`, pairs of a
      pointer and a value; `closed`, pointers to objects of which all keys are known.

    In both, `unknown` has pointers to what is unknown then: the other keys of the object there, or else the value.
    `conflicts` are those of the state and of the following ones, until another keyframe has others.
    """

    rows: list[dict[str, Any]]
    #: Whether a state that was not compared may differ.
    surprised: bool = False
    #: Whether there were too many states to compare: what is said of some is true, but more is known.
    cut: bool = False


def keyframes(timeline: Timeline, max_compared: int = MAX_COMPARED) -> Keyframes:
    """The keyframes of a timeline. Raises InvalidData if its states are nested too deeply."""
    try:
        found = _compared(timeline, max_compared)
        if found.surprised:
            found = _compared(timeline, max_compared, every=True)
    except RecursionError:
        raise InvalidData("the states are nested too deeply to be computed") from None
    return found


def _size(value: Any) -> int:
    """The number of fields in the objects of a value."""
    return len(value) + sum(map(_size, value.values())) if isinstance(value, dict) else 0


def _compared(timeline: Timeline, max_compared: int = MAX_COMPARED, *, every: bool = False) -> Keyframes:
    """The keyframes where the states differ from those of the replay.

    `every`: compare every state, which takes time in proportion to the size of all states. Otherwise, only those are
    compared for which the present state may say more than the replay: those after an action that changes what is
    unknown. That is enough if the present state is what the deltas say, which is checked at the end: then what it says
    of an earlier state is what the replay says.
    """
    indexes = [index for index, step in enumerate(timeline.steps) if not step.overwritten]
    found: list[dict[str, Any]] = []
    surprised = cut = False
    known_from = max((*(last + 1 for _, last in timeline.gaps), *timeline.breaks), default=0)
    size, compared = _size(timeline.head), 0
    replayed: Any = None
    conflicts: tuple[str, ...] = ()
    before = -1
    for index, (step, state_after) in zip(indexes[:-1], timeline.lazy_states(), strict=False):
        if step.ordinal != before + 1 or step.ordinal in timeline.breaks or replayed is None:
            state = state_after()
            found.append(_whole(index, state))
            replayed = _partial(state)
        else:
            is_expected = not _is_plain(replayed, step.action) or (
                step.ordinal >= known_from and _changes_unknown(replayed, step.action)
            )
            replayed = _replayed(replayed, step.action)
            is_wanted = every or is_expected
            if index != indexes[-2] and (compared > max_compared or not is_wanted):
                cut = cut or is_wanted
                before = step.ordinal
                continue
            state = state_after()
            agrees = _agrees(replayed, state)
            surprised = surprised or not (agrees or is_expected)
            if not agrees or state.conflicts != conflicts:
                truth = replayed if agrees else _partial(state)
                found.append({"index": index, **_changes(replayed, truth), **_conflicts(state, conflicts)})
                replayed = truth
        compared += size
        surprised = surprised or bool(state.conflicts)
        before, conflicts = step.ordinal, state.conflicts
    return Keyframes(found, surprised, cut)


def _is_plain(state: dict[str, Any], action: Any) -> bool:
    """Whether it is known what an action changed, and JavaScript counts it in the same way: it has no 1.0, only 1."""
    record = as_object(action)
    delta = record.get("delta", {} if record.get("action") in (SESSION_START, SESSION_END) else None)
    return (
        isinstance(record.get("timestamp"), str)
        and isinstance(delta, dict)
        and not any(name in delta for name in ("statistics", *FIXED_FIELDS))
        and not is_start(action)
        and not any(type(one) is float for one in _counts(state, action))
    )


def _counts(state: dict[str, Any], action: Any) -> list[Any]:
    """The counts in a state that an action increases."""
    statistics = as_object(state.get("statistics"))
    return [statistics.get(name) for name in counts_of(action)]


def _changes_unknown(state: dict[str, Any], action: Any) -> bool:
    """Whether an action changes what is unknown, so that more may be known of it afterwards than the action says."""
    if is_end(action):
        return True  # its time is not known to be that of the field if there was another end
    statistics = state.get("statistics")
    if statistics is UNKNOWN or type(statistics) is OpenObject or UNKNOWN in _counts(state, action):
        return True
    return _is_open(state, as_object(action).get("delta", {}))


def _is_open(state: Any, delta: dict[str, Any]) -> bool:
    """Whether a delta is merged into something unknown."""
    if state is UNKNOWN or type(state) is OpenObject:
        return True
    return isinstance(state, dict) and any(
        isinstance(value, dict) and key in state and _is_open(state[key], value) for key, value in delta.items()
    )


def _replayed(state: dict[str, Any], action: Any) -> dict[str, Any]:
    """The state after an action as JavaScript computes it, in which 1.0 is an integer."""
    after = applied(state, action)
    statistics = after.get("statistics")
    if isinstance(statistics, dict) and not is_start(action) and not is_end(action):
        for name in counts_of(action):
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
    tree: dict[str, Any] = {}
    for place in found.unknown:
        branch = tree
        for key in keys_of(place):
            branch = branch.setdefault(key, {})
        branch[_HERE] = True
    state: dict[str, Any] = _with_unknown(state_of(found.head), tree)
    return state


#: Marks the end of a JSON pointer in a tree of keys, of which all others are strings.
_HERE: Any = None


def _with_unknown(value: Any, tree: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return UNKNOWN
    copy: dict[str, Any] = OpenObject(value) if _HERE in tree else dict(value)
    for key, branch in tree.items():
        if key is not _HERE:
            copy[key] = _with_unknown(value.get(key, UNKNOWN), branch)
    return copy


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
            if before is not UNKNOWN or key not in old:
                found["unknown"].append(place)
        elif before is UNKNOWN or not json_equal(before, value):
            found["set"].append([place, known_part(value) if isinstance(value, dict) else value])
            if isinstance(value, dict):
                found["unknown"] += unknown_pointers(value, place)
