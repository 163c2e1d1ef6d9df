"""How a session differs between two moments: only what is known to differ, and all that is known to differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from test_timeline import cut, lived, updates
from test_timeline_oracle import DELTAS, lives, session

from awictl.document.history.state_difference import ALWAYS_CHANGED, StateDifference, compare_states
from awictl.document.history.timeline import Timeline, steps_of
from awictl.document.json_codec import json_equal
from awictl.document.merge import compare
from awictl.document.update import Update


@given(st.lists(updates, max_size=6), st.data())
def test_whole_sessions_are_compared_like_documents(made: list[Update], data: st.DataObject) -> None:
    documents = lived(made)
    timeline = Timeline(documents[-1])
    first, second = (data.draw(st.integers(0, len(documents) - 1)) for _ in range(2))
    found = compare_states(timeline, timeline.state_at(first), timeline.state_at(second), ("history",))
    heads = [{**documents[one], "history": {}} for one in (first, second)]
    expected = compare(*heads)
    assert not found.unknown and json_equal(found.delta, expected.delta)
    assert found.removed == sorted(expected.removed)


@given(st.lists(st.sampled_from(DELTAS), min_size=2, max_size=4), st.data())
def test_what_is_unknown_is_no_difference(deltas: list[Any], data: st.DataObject) -> None:
    """Of all pasts that are possible, each gives the same difference if nothing is said to be unknown."""
    first, second = (data.draw(st.integers(0, len(deltas) - 1)) for _ in range(2))
    for possible in lives(deltas):
        timeline = Timeline(session(deltas, possible[0][-1], first=7))
        states = timeline.state_at(7 + first), timeline.state_at(7 + second)
        found = compare_states(timeline, *states, ("history", "last_updated"))
        results = [compare({"a": states[first]}, {"a": states[second]}) for states in possible]
        agree = all(
            one.removed == results[0].removed and json_equal(one.delta, results[0].delta) for one in results[1:]
        )
        assert agree is not bool(found.unknown), (deltas, possible[0][-1], first, second, found)
        if agree:
            assert json_equal(found.delta, results[0].delta) and found.removed == sorted(results[0].removed)
        for one in results:
            wrong = {*leaves(found.delta, ""), *found.removed} ^ {*leaves(one.delta, ""), *one.removed}
            assert all(is_below(place, found.unknown) for place in wrong), (deltas, possible[0][-1], found, one)


def leaves(delta: Any, path: str) -> Iterator[str]:
    """Where a delta sets something."""
    if not isinstance(delta, dict) or (not delta and path):
        yield path
        return
    for key, value in delta.items():
        yield from leaves(value, f"{path}/{key}")


def is_below(place: str, others: list[str]) -> bool:
    return any(place == one or place.startswith(f"{one}/") for one in others)


def test_an_unknown_field_that_changed_is_listed_and_one_that_did_not_is_not() -> None:
    made = [Update(delta=one) for one in ({"a": 1}, {"b": 1}, {"c": 1}, {"a": 2, "b": 2}, {})]
    timeline = Timeline(cut(lived(made)[-1], 3))
    ignored = ("history", "statistics", "last_updated")

    def between(first: int, second: int) -> StateDifference:
        return compare_states(timeline, timeline.state_at(first), timeline.state_at(second), ignored)

    assert timeline.state_at(3).unknown == ("/a", "/b")
    assert between(3, 4) == StateDifference({}, [], ["/a", "/b"])
    assert between(4, 5) == StateDifference({}, [], [])
    assert between(4, 3) == StateDifference({}, [], ["/a", "/b"])
    whole = Timeline(lived(made)[-1])
    assert compare_states(whole, whole.state_at(1), whole.state_at(4), ignored) == StateDifference(
        {"a": 2, "b": 2, "c": 1}, [], []
    )
    assert compare_states(whole, whole.state_at(4), whole.state_at(1), ignored) == StateDifference(
        {"a": 1}, ["/b", "/c"], []
    )


def test_states_of_which_any_field_may_be_unknown() -> None:
    """Between two gaps, an object has only the fields that the deltas there set: the document itself, too."""
    document = lived([Update(delta={"a": n}) for n in range(6)])[-1]
    steps = steps_of(document)
    timeline = Timeline(document, [*steps[1:3], *steps[5:]])
    first, second = timeline.state_at(1), timeline.state_at(2)
    assert "" in first.unknown and "" in second.unknown
    found = compare_states(timeline, first, second, ALWAYS_CHANGED)
    assert (found.delta, found.removed, found.unknown) == ({"a": 1}, [], [])
    assert "" in compare_states(timeline, second, timeline.state_at(5), ALWAYS_CHANGED).unknown, "a gap is between them"
