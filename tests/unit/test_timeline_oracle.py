"""The timeline knows all that can be known of a state, and nothing else: checked against all possible pasts."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from awictl.document.history.timeline import Timeline, steps_of
from awictl.document.json_codec import json_equal
from awictl.document.merge import merge

ABSENT: Any = object()
UNKNOWN: Any = object()

#: No delta has the key `z`: what is known of it is what is known of any key that no delta has.
DELTAS: list[Any] = [
    *(0, {}, {"b": 0}, {"b": 1}, {"c": 0}, {"b": 0, "c": 1}),
    *({"b": {}}, {"b": {"x": 0}}, {"c": {"x": 1}}, {"b": {"x": 0}, "c": 0}),
]
some_deltas = st.lists(st.sampled_from(DELTAS), min_size=1, max_size=3)
PLAIN: list[Any] = [ABSENT, 0, 1]


def objects(fields: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """All objects with one of these values in each field."""
    return [
        {name: value for name, value in zip(fields, values, strict=True) if value is not ABSENT}
        for values in product(*fields.values())
    ]


@cache
def pasts() -> list[Any]:
    """Values of a field before the first delta: with these, whatever is possible at all is possible."""
    inner = PLAIN + objects({"x": PLAIN, "z": [ABSENT, 9]})
    return PLAIN + objects({"b": inner, "c": inner, "z": [ABSENT, 9]})


def lives(deltas: list[Any]) -> list[list[list[Any]]]:
    """The values after each of the deltas, from each of the pasts; those that end equally are together."""
    by_end: dict[str, list[list[Any]]] = {}
    for past in pasts():
        states = []
        for delta in deltas:
            past = delta if past is ABSENT else merge(past, delta)
            states.append(past)
        by_end.setdefault(json.dumps(states[-1], sort_keys=True), []).append(states)
    return [*by_end.values()]


def common(values: list[Any], path: str, unknown: set[str]) -> Any:
    """What several values have in common; the JSON pointers to the rest are added to `unknown`."""
    if all(same(values[0], one) for one in values[1:]):
        return values[0]
    if not all(isinstance(one, dict) for one in values):
        unknown.add(path)
        return ABSENT
    is_open = len({"z" in one for one in values}) > 1
    if is_open:
        unknown.add(path)
    found = {}
    for key in sorted({key for one in values for key in one} - ({"z"} if is_open else set())):
        inner: set[str] = set()
        value = common([one.get(key, ABSENT) for one in values], f"{path}/{key}", inner)
        if value is not ABSENT:
            found[key] = value
        if not (is_open and value is ABSENT):  # what an object has is unknown anyway
            unknown |= inner
    return found


def same(first: Any, second: Any) -> bool:
    return first is second or (ABSENT not in (first, second) and json_equal(first, second))


def session(deltas: list[Any], end: Any, first: int) -> dict[str, Any]:
    """A session of which only the last actions are left, which changed the field `a`."""
    actions = [
        {"t": t, "action": "search", "input": {}, "delta": {"a": delta}, "success": True, "timestamp": f"{t}"}
        for t, delta in enumerate(deltas, first)
    ]
    return {"session_id": "sess_1", "a": end, "history": {"actions": actions, "last_action": actions[-1]}}


@given(st.lists(st.sampled_from(DELTAS), min_size=2, max_size=4))
def test_all_that_can_be_known_is_known_and_nothing_else(deltas: list[Any]) -> None:
    for possible in lives(deltas):
        timeline = Timeline(session(deltas, possible[0][-1], first=7))
        for index, found in enumerate(timeline.states()):
            unknown: set[str] = set()
            known = common([states[index] for states in possible], "/a", unknown)
            facts = deltas, possible[0][-1], index
            assert same(found.head.get("a", ABSENT), known), (facts, found.head.get("a", ABSENT), known)
            assert {*found.unknown} == unknown, (facts, found.unknown, unknown)


@given(some_deltas, some_deltas)
def test_a_gap_separates_what_is_known(before: list[Any], after: list[Any]) -> None:
    """Before it, only the earlier deltas say what is known; after it, only the later ones and the present state."""
    earlier = [states for possible in lives(before) for states in possible]
    for possible in lives(after):
        document = session([*before, 0, *after], possible[0][-1], first=7)
        steps = steps_of(document)
        del steps[len(before)]
        for index, found in enumerate(Timeline(document, steps).states()):
            unknown: set[str] = set()
            place = index - len(before)
            truths = [one[place] for one in possible] if place >= 0 else [one[index] for one in earlier]
            known = common(truths, "/a", unknown)
            facts = before, after, possible[0][-1], index
            assert same(found.head.get("a", ABSENT), known), (facts, found.head.get("a", ABSENT), known)
            # what the present state lacks may have been there before a gap
            assert {one for one in found.unknown if one != ""} == unknown, (facts, found.unknown, unknown)
