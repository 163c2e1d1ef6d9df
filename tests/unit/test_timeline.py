"""The states of a session at any moment, checked against the states that it really went through."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, load

from awictl.document.byte_layout import encode
from awictl.document.history.partial_state import UNKNOWN, OpenObject, combine, known_part, redo, undo, unknown_pointers
from awictl.document.history.timeline import StateAt, Step, Timeline, steps_of
from awictl.document.json_codec import json_equal
from awictl.document.merge import merge
from awictl.document.schema import new_document
from awictl.document.splice import base_from_string
from awictl.document.timestamps import timestamp
from awictl.document.update import Update, apply_update, ending
from awictl.errors import NotFound

START = datetime(2026, 11, 23, 7, tzinfo=UTC)

names = st.sampled_from(["a", "b", "c/~"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.just("x") | st.just([1]),
    lambda inner: st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(names, values, max_size=2)
deltas = (
    objects | st.builds(lambda value: {"page_state": value}, objects) | st.just({"statistics": {"failed_actions": 7}})
)


def lived(updates: list[Update]) -> list[dict[str, Any]]:
    """The documents of a session after its creation and after each of some updates, each a second after the other."""
    documents = [new_document("sess_1", "agent", "Agent", "/posts", timestamp(START))]
    for second, update in enumerate(updates, 1):
        base = base_from_string(encode(documents[-1]))
        change = apply_update(base, update, timestamp(START + timedelta(seconds=second)))
        actions = [*documents[-1]["history"]["actions"], change.action]
        documents.append({**change.head, "history": {**change.head["history"], "actions": actions}})
    return documents


updates = st.builds(lambda delta, success: Update(delta=delta, success=success), deltas, st.booleans()) | st.builds(
    ending
)


def cut(document: dict[str, Any], count: int) -> dict[str, Any]:
    """A document without its first actions, as trimming leaves it."""
    history = document["history"]
    trimmed = {"trimmed_actions": count} if count else {}
    return {**document, "history": {**history, **trimmed, "actions": history["actions"][count:]}}


def at(document: Any, place: str) -> Any:
    """The value at a JSON pointer."""
    for part in place.split("/")[1:]:
        if not isinstance(document, dict):
            return UNKNOWN
        document = document.get(part.replace("~1", "/").replace("~0", "~"), UNKNOWN)
    return document


def check(found: StateAt, truth: dict[str, Any], *, complete: bool) -> None:
    """A state claims nothing that is not so. `complete`: whether the beginning is known."""
    expected = {**truth, "history": {name: value for name, value in truth["history"].items() if name != "actions"}}
    wrong = [
        place
        for place in differing(found.head, expected, "")
        if not any(place == unknown or place.startswith(f"{unknown}/") for unknown in found.unknown)
        and not place.startswith("/history/trimmed_actions")
    ]
    assert not wrong, (wrong, found, expected)
    assert not found.conflicts
    if complete:
        assert set(found.unknown) <= {"/agent_name", "/user_id", "/current_url", "/page_state/route"}, found.unknown


def differing(first: Any, second: Any, path: str) -> list[str]:
    """JSON pointers to where two documents differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        return [
            place
            for key in {*first, *second}
            for place in differing(
                first.get(key, UNKNOWN), second.get(key, UNKNOWN), f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            )
        ]
    same = first is second if UNKNOWN in (first, second) else json_equal(first, second)
    return [] if same else [path]


@given(st.lists(updates, max_size=8))
def test_every_state_of_a_whole_session_is_known(made: list[Update]) -> None:
    documents = lived(made)
    timeline = Timeline(documents[-1])
    assert timeline.beginning_known and not timeline.gaps
    for truth, found in zip(documents, timeline.states(), strict=True):
        check(found, truth, complete=True)
        assert json_equal(timeline.document_at(found)["history"], truth["history"])
        assert timeline.state_at(found.ordinal) == found


@given(st.lists(updates, min_size=1, max_size=8), st.data())
def test_nothing_is_claimed_that_is_not_so(made: list[Update], data: st.DataObject) -> None:
    documents = lived(made)
    count = data.draw(st.integers(1, len(documents) - 1))
    timeline = Timeline(cut(documents[-1], count))
    assert not timeline.beginning_known and timeline.first == count
    for ordinal, found in enumerate(timeline.states(), count):
        check(found, documents[ordinal], complete=False)
    assert json_equal(timeline.state_at(timeline.last).head["statistics"], documents[-1]["statistics"])


@given(st.lists(updates, min_size=3, max_size=8), st.data())
def test_nothing_is_carried_over_a_gap(made: list[Update], data: st.DataObject) -> None:
    documents = lived(made)
    first = data.draw(st.integers(1, len(documents) - 2))
    last = data.draw(st.integers(first, len(documents) - 2))
    steps = [one for one in steps_of(documents[-1]) if not first <= one.ordinal <= last]
    timeline = Timeline(documents[-1], steps)
    assert timeline.gaps == ((first, last),)
    for found in timeline.states():
        check(found, documents[found.ordinal], complete=False)
    with pytest.raises(NotFound, match=f"these are missing: {first}"):
        timeline.state_at(first)


@given(st.lists(deltas, max_size=5), values)
def test_redo_and_undo_agree_with_merge(made: list[dict[str, Any]], start: Any) -> None:
    states = [start if isinstance(start, dict) else {}]
    for delta in made:
        states.append(merge(states[-1], delta))
    forward: Any = OpenObject()
    backward: Any = states[-1]
    knowledge = [backward]
    for delta in reversed(made):
        backward = undo(backward, delta)
        knowledge.append(backward)
    for state, known, delta in zip(states, reversed(knowledge), [*made, None], strict=True):
        conflicts: list[str] = []
        both = combine(forward, known, conflicts)
        assert not conflicts
        hidden = [*unknown_pointers(both)]
        assert not [
            place
            for place in differing(known_part(both), state, "")
            if not any(place == one or place.startswith(f"{one}/") or one == "" for one in hidden)
        ]
        if delta is not None:
            forward = redo(both, delta)


@pytest.mark.parametrize("changed", [{"page_state": {"route": "/posts/2"}}, {"current_url": "/posts/2"}])
def test_a_session_starts_at_the_route_of_its_url(changed: dict[str, Any]) -> None:
    """A new session has one route in two fields, of which a delta usually changes one."""
    documents = lived([Update(delta=changed)])
    found = Timeline(documents[-1]).state_at(0)
    assert not found.unknown and found.head["page_state"] == documents[0]["page_state"]
    assert found.head["current_url"] == "/posts"
    both = Timeline(lived([Update(delta={"page_state": {"route": "/a"}, "current_url": "/a"})])[-1])
    assert {*both.state_at(0).unknown} == {"/page_state/route", "/current_url"}
    assert both.why_unknown == "because no action says"


def test_what_was_set_is_known_where_the_beginning_is_missing() -> None:
    made = [
        Update(delta={"page_state": {"route": f"/{n}"}, "note": {"n": n}} if n != 2 else {"other": 1})
        for n in range(1, 6)
    ]
    timeline = Timeline(cut(lived(made)[-1], 2))
    assert timeline.why_unknown == "because earlier actions are missing"
    found = {one.ordinal: one for one in timeline.states()}
    assert found[2].unknown == ("/current_url",) or "/page_state/route" in found[2].unknown
    assert found[2].head["other"] == 1 and found[2].head["permissions"] and "note" not in found[2].head
    assert found[3].head["page_state"]["route"] == "/3" and found[3].head["note"] == {"n": 3}
    assert not found[3].unknown, "if it had more before, it would have it still"


@pytest.mark.parametrize("name", SESSIONS[1:3])
def test_the_app_session_begins_as_the_app_created_it(name: str) -> None:
    timeline = Timeline(load(name))
    assert timeline.beginning_known and not timeline.beginning_conflicts
    check(timeline.state_at(0), load(SESSIONS[0]), complete=True)
    check(timeline.state_at(1), load(SESSIONS[1]), complete=True)


def test_ordinals_of_a_session_that_the_app_cut() -> None:
    document = load(SESSIONS[3])
    timeline = Timeline(document)
    assert (timeline.first, timeline.last) == (27, 126) and timeline.gaps == ((0, 26),)
    states = [*timeline.states()]
    for before, after in pairwise(states):
        cursor = after.step.action["delta"]["page_state"]["pagination"]["cursor"]
        assert after.head["page_state"]["pagination"]["cursor"] == cursor
        assert after.head["statistics"]["total_actions"] == before.head["statistics"]["total_actions"] + 1
    assert not states[0].conflicts and states[0].head["statistics"]["total_actions"] == 27
    assert states[0].row()["t"] == 27 and states[-1].row() == {
        "t": 100,
        "ordinal": 126,
        "timestamp": document["last_updated"],
        "unknown": [],
    }


@pytest.mark.parametrize("count", [101, 137, 220])
def test_every_state_of_a_session_that_the_app_cut(count: int) -> None:
    """The app keeps its last 100 actions, and numbers them by how many there are: 100, from then on."""
    chosen = random.Random(count)
    choices: list[dict[str, Any]] = [
        *({"a": n} for n in range(3)),
        *({"a": {"b": n}} for n in range(3)),
        *({"a": {"c": {"d": n}}, "b": n} for n in range(3)),
        *({"page_state": {"filters": {"tag": n}}} for n in range(3)),
    ]
    documents = lived(
        [Update(delta=chosen.choice(choices), success=chosen.random() < 0.8) for _ in range(count - 1)],
    )
    history = documents[-1]["history"]
    kept = [{**one, "t": min(one["t"], 100)} for one in history["actions"][-100:]]
    timeline = Timeline({**documents[-1], "history": {"actions": kept, "last_action": kept[-1]}})
    assert timeline.gaps == ((0, count - 101),) and timeline.last == count - 1
    for found in timeline.states():
        truth = documents[found.ordinal]
        last = {**truth["history"]["last_action"], "t": min(found.ordinal, 100)}
        check(found, {**truth, "history": {"last_action": last}}, complete=False)


@pytest.mark.parametrize("missing", [0, 9])
def test_states_of_a_long_session_in_any_order(missing: int) -> None:
    """Only some of the backward states are kept."""
    chosen = random.Random(missing)
    documents = lived([Update(delta={chosen.choice("abcdefgh"): n, "last": {"n": n}}) for n in range(1, 300)])
    timeline = Timeline(cut(documents[-1], missing))
    ordinals = [*range(missing, 300)]
    chosen.shuffle(ordinals)
    for ordinal in (missing, 299, *ordinals[:40]):
        found = timeline.state_at(ordinal)
        check(found, documents[ordinal], complete=not missing)
        assert found == next(Timeline(cut(documents[-1], missing)).states(ordinal, ordinal))


def test_overwritten_actions_are_skipped() -> None:
    documents = lived([Update(delta={"a": 1}), Update(delta={"a": 2})])
    steps = steps_of(documents[-1])
    lost = {**steps[1].action, "delta": {"a": 9, "b": 9}}
    timeline = Timeline(documents[-1], [steps[0], Step(1, lost, overwritten=True), *steps[1:]])
    assert [(one.ordinal, one.head.get("a"), one.head.get("b")) for one in timeline.states()] == [
        (0, None, None),
        (1, 1, None),
        (2, 2, None),
    ]


def test_a_session_that_began_otherwise_is_not_taken_for_a_new_one() -> None:
    document = lived([Update(delta={"page_state": {"filters": {"tag": "x"}}})])[-1]
    document["permissions"] = {**document["permissions"], "can_view_sensitive_info": True}
    timeline = Timeline(document)
    assert not timeline.beginning_known
    assert timeline.beginning_conflicts == ("/permissions/can_view_sensitive_info",)
    assert timeline.state_at(0).head["permissions"]["can_view_sensitive_info"] is True
    assert "/page_state/filters" in timeline.state_at(0).unknown


def test_the_moment_of_an_action() -> None:
    timeline = Timeline(lived([Update(delta={}), Update(delta={})])[-1])
    assert timeline.ordinal_at(START + timedelta(seconds=1.5)) == 1
    assert timeline.ordinal_at(START + timedelta(days=1)) == 2
    with pytest.raises(NotFound, match=r"the oldest action that is known is of 2026-11-23T07:00:00\.000Z"):
        timeline.ordinal_at(START - timedelta(seconds=1))
    with pytest.raises(NotFound, match="there is no action 3: the newest is 2"):
        timeline.state_at(3)


def test_a_count_that_is_too_low_says_nothing_of_earlier_ones() -> None:
    document = lived([Update(delta={}, success=False), Update(delta={}, success=False)])[-1]
    document["statistics"]["failed_actions"] = 1
    timeline = Timeline(cut(document, 1))
    assert [one.head["statistics"].get("failed_actions") for one in timeline.states()] == [0, 1]
    document["statistics"]["failed_actions"] = 0
    [first, _] = Timeline(cut(document, 1)).states()
    assert "failed_actions" not in first.head["statistics"] and "/statistics/failed_actions" in first.unknown


def test_a_document_with_a_part_of_the_state_says_nothing_of_the_rest() -> None:
    """As the app archives sessions: without deltas, and without most of the state."""
    documents = lived([Update(delta={"page_state": {"filters": {"tag": "x"}}})])
    document = {name: documents[-1][name] for name in ("session_id", "agent_id", "history", "statistics")}
    steps = [Step(one.ordinal, {**one.action}) for one in steps_of(document)]
    del steps[1].action["delta"]
    first, last = Timeline(document, steps, partial=True).states()
    assert set(last.unknown) == {"", "/statistics"} and last.head["statistics"] == document["statistics"]
    assert first.head["page_state"]["visible_items"] == [], "it began as a new session"
    check(first, documents[0], complete=False)
