"""The frames of a replay: what each action changed, gaps, and overwritten actions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, load
from test_timeline import at, cut, lived, updates

from awictl.document.history.frames import ChangeKind, FieldChange, Frame, Frames, frames
from awictl.document.history.partial_state import ABSENT, UNKNOWN
from awictl.document.history.timeline import StateAt, Step, Timeline, steps_of
from awictl.document.json_codec import json_equal
from awictl.document.update import Update, ending

START = datetime(2026, 11, 23, 7, tzinfo=UTC)


def shown(change: FieldChange) -> tuple[str, str, Any, Any]:
    return change.field, change.kind.value, change.before, change.after


def changes(first: dict[str, Any], second: dict[str, Any], unknown: tuple[tuple[str, ...], ...] = ((), ())) -> Any:
    before, after = (
        StateAt(Step(number, {}), {**head, "history": {"last_action": number}}, places)
        for number, (head, places) in enumerate(zip((first, second), unknown, strict=True))
    )
    return [shown(one) for one in Frame(after.step, before, after).changes()]


def test_changed_new_and_removed_fields() -> None:
    first = {"a": {"b": 1, "c": [1], "x/~": True}, "gone": 1, "same": 1}
    second = {"a": {"b": 1.0, "c": [1, 2], "x/~": 1}, "same": 1, "new": {"d": 1}}
    assert changes(first, second) == [
        ("/a/c", "changed", [1], [1, 2]),
        ("/a/x~1~0", "changed", True, 1),
        ("/new", "new", ABSENT, {"d": 1}),
        ("/gone", "removed", 1, ABSENT),
    ]


def test_what_each_action_changes_is_left_out_unless_its_delta_sets_it() -> None:
    made = [
        Update(delta={"a": 1}),
        Update(delta={"statistics": {"failed_actions": 7}}),
        Update(delta={"last_updated": 1}),
    ]
    found = [frame.row()["changed"] for frame in frames(Timeline(lived([*made, ending()])[-1]))]
    assert found[:2] == [[], ["/a"]]
    assert {"/statistics/failed_actions", "/statistics/total_actions"} <= {*found[2]}
    assert "/last_updated" in found[3] and "/statistics/total_actions" not in found[3]
    assert found[4] == ["/statistics/session_end"]


def test_what_is_unknown_is_not_invented() -> None:
    places = ("/a", "/o")
    assert changes({"o": {"k": 1}, "b": 1}, {"o": {"k": 2, "n": 1}, "a": 5, "b": 1}, (places, ())) == [
        ("/o/k", "changed", 1, 2),
        ("/o/n", "unknown", UNKNOWN, 1),  # the object may have had it before
        ("/a", "unknown", UNKNOWN, 5),
    ]
    assert changes({"a": 5, "o": {"k": 1}}, {"o": {}}, ((), places)) == [
        ("/o/k", "unknown", 1, UNKNOWN),
        ("/a", "unknown", 5, UNKNOWN),
    ]
    assert changes({}, {}, (places, places)) == []


@given(st.lists(updates, max_size=6))
def test_the_changes_of_a_whole_session_are_those_that_it_went_through(made: list[Update]) -> None:
    documents = lived(made)
    found = [*frames(Timeline(documents[-1]))]
    assert [one.step for one in found] == steps_of(documents[-1])
    for frame, before, after in zip(found[1:], documents, documents[1:], strict=False):
        assert frame.gap is None
        kinds = {one.field: one.kind for one in frame.changes() if one.kind is not ChangeKind.UNKNOWN}
        for field, kind in kinds.items():
            old, new = at(before, field), at(after, field)
            assert not json_equal(old, new) if UNKNOWN not in (old, new) else kind is ChangeKind.NEW
        for field in ("/a", "/b", "/page_state/a"):
            if UNKNOWN not in (old := at(before, field), new := at(after, field)) and not json_equal(old, new):
                assert any(field == one or one.startswith(f"{field}/") for one in kinds)


def test_the_first_known_action_shows_what_it_set() -> None:
    made = [Update(delta={"page_state": {"route": f"/{n}"}, "note": {"n": n}}) for n in range(1, 5)]
    [first, second] = frames(Timeline(cut(lived(made)[-1], 3)))
    assert first.before is None and first.gap == (0, 2)
    assert [shown(one) for one in first.changes()] == [
        ("/page_state/route", "unknown", UNKNOWN, "/3"),
        ("/note/n", "unknown", UNKNOWN, 3),
    ]
    assert ("/page_state/route", "changed", "/3", "/4") in [shown(one) for one in second.changes()]
    assert second.gap is None


def test_gaps_and_overwritten_actions() -> None:
    documents = lived([Update(delta={"a": n}) for n in range(1, 6)])
    steps = steps_of(documents[-1])
    lost = Step(2, {**steps[2].action, "action": "lost", "delta": {"b": 9}}, overwritten=True)
    timeline = Timeline(documents[-1], [*steps[:2], lost, steps[2], steps[5]])
    found = [*frames(timeline)]
    assert [(one.step.ordinal, one.step.overwritten, one.gap, one.state.get("a")) for one in found] == [
        (0, False, None, None),
        (1, False, None, 1),
        (2, True, None, 1),
        (2, False, None, 2),
        (5, False, (3, 4), 5),
    ]
    assert found[2].changes() == [] and found[2].row()["overwritten"] is True and found[2].row()["action"] == "lost"
    assert found[4].row()["gap"] == {"from": 3, "to": 4, "count": 2} and "/a" in found[4].row()["changed"]
    [_, _, frame] = frames(Timeline(documents[-1], [steps[0], steps[1], steps[2]], {2}))
    assert frame.gap == (2, None) and frame.row()["gap"] == {"from": 2, "to": None, "count": None}
    for start in range(5):
        for stop in range(start, 6):
            assert [*frames(timeline, start, stop)] == found[start:stop], (start, stop)


def test_a_row_has_the_state_and_what_is_unknown() -> None:
    document = load(SESSIONS[3])
    rows = [one.row() for one in frames(Timeline(document))]
    assert [one["ordinal"] for one in rows] == [*range(27, 127)]
    assert rows[0]["gap"] == {
        "from": 0,
        "to": 26,
        "count": 27,
    }
    last = document["history"]["actions"][-1]
    assert {**rows[-1], "state": None} == {
        "t": 100,
        "ordinal": 126,
        "timestamp": last["timestamp"],
        "action": last["action"],
        "input": last["input"],
        "success": last["success"],
        "observation": last["observation"],
        "overwritten": False,
        "gap": None,
        "changed": rows[-1]["changed"],
        "unknown": [],
        "state": None,
    }
    assert rows[-1]["state"] == {name: value for name, value in document.items() if name != "history"}
    assert "/page_state/pagination/cursor" in rows[-1]["changed"]


def test_frames_by_index_are_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = lived([Update(delta={"n": n}) for n in range(300)])
    timeline = Timeline(documents[-1])
    passes = []
    states = timeline.states
    monkeypatch.setattr(timeline, "states", lambda *args: passes.append(args) or states(*args))
    found = Frames(timeline)
    assert len(found) == 301
    assert [found[at] for at in range(300, 130, -1)] == [*frames(Timeline(documents[-1]), 131)][::-1]
    assert len(passes) == 2, "a step back is not computed from the beginning"
    assert found[0].step.ordinal == 0 and found[300].state["n"] == 299


def test_sessions_without_actions_and_with_strange_ones() -> None:
    document = lived([])[0] | {"history": {"actions": [], "last_action": None}}
    assert [*frames(Timeline(document))] == [] and len(Frames(Timeline(document))) == 0
    document["history"]["actions"] = ["text", {"delta": 5}, None]
    rows = [one.row() for one in frames(Timeline(document))]
    assert [one["action"] for one in rows] == ["text", None, None] and [one["ordinal"] for one in rows] == [0, 1, 2]


def test_only_overwritten_actions() -> None:
    document = lived([])[0] | {"history": {"actions": [], "last_action": None}}
    step = Step(0, {"action": "lost", "timestamp": (START + timedelta(1)).isoformat()}, overwritten=True)
    [frame] = frames(Timeline(document, [step]))
    assert frame.after is None and frame.unknown == ("",) and frame.changes() == []
