"""The keyframes of a session. That a browser computes each state from them is in tests/browser."""

from __future__ import annotations

import pytest
from support.timelines import random_timeline

from awictl.document.history.keyframes import _compared, keyframes
from awictl.document.history.timeline import Timeline
from awictl.document.schema import new_document


@pytest.mark.parametrize("count", [100, pytest.param(4_000, marks=pytest.mark.soak)])
def test_states_that_are_not_compared_are_those_of_the_replay(count: int) -> None:
    """Of most sessions, few states are compared, or even none but the first and the last."""
    few = 0
    for seed in range(count):
        timeline = random_timeline(seed)
        found = _compared(timeline)
        if not found.surprised:
            few += 1
            assert found == _compared(timeline, every=True), seed
    assert few > count / 2


def test_a_session_of_one_action_needs_no_keyframe() -> None:
    timeline = random_timeline(0)
    assert keyframes(Timeline(timeline.document_at(timeline.state_at(0)))).rows == []


def test_counts_that_only_javascript_takes_for_integers() -> None:
    """JSON.parse makes the same number of 1.0 and 1, and a later delta hides what came of it."""
    document = new_document("sess_1", "agent", "Agent", "/", "2026-11-27T07:00:00.000Z")
    for t, total in enumerate((1.0, 7), 1):
        action = {"t": t, "action": "search", "delta": {"statistics": {"total_actions": total}}, "success": True}
        document["history"]["actions"].append(action | {"timestamp": "2026-11-27T08:00:00.000Z"})
    document["history"]["actions"].append({"t": 3, "action": "session_end", "timestamp": "2026-11-27T09:00:00.000Z"})
    document["statistics"] |= {"total_actions": 8, "successful_actions": 2, "last_activity": "2026-11-27T08:00:00.000Z"}
    timeline = Timeline(document)
    assert timeline.state_at(1).head["statistics"]["total_actions"] == 1.0
    assert ["/statistics/total_actions", 1.0] in keyframes(timeline).rows[1]["set"]


def test_the_number_of_comparisons_is_bounded() -> None:
    """Each action makes another part known, of a state that grows: to compare all states takes quadratic time."""
    actions = [
        {"t": t, "action": "search", "delta": {"items": {f"k{t}": {"n": t}}}, "timestamp": "x", "success": True}
        for t in range(300)
    ]
    document = {
        "session_id": "sess_1",
        "items": {f"k{t}": {"n": t} for t in range(300)},
        "history": {"actions": actions[5:], "last_action": actions[-1], "trimmed_actions": 5},
    }
    timeline = Timeline(document)
    assert len(keyframes(timeline).rows) == 294 and not keyframes(timeline).cut
    some = keyframes(timeline, max_compared=60_000)
    assert some.cut and 90 < len(some.rows) < 110


def test_the_time_of_an_end_before_another_one() -> None:
    """The library does not say what `session_end` was then if the beginning is missing, so neither does the page."""
    actions = [
        {"t": t, "action": name, "delta": {}, "timestamp": f"2026-11-27T08:00:0{t}.000Z"}
        for t, name in enumerate(["search", "session_end", "search", "search", "session_end", "search"], 3)
    ]
    actions = [one if one["action"] == "session_end" else one | {"success": True} for one in actions]
    statistics = {"total_actions": 6, "successful_actions": 6, "failed_actions": 0, "session_start": "x"}
    statistics |= {"last_activity": actions[-1]["timestamp"], "session_end": actions[-2]["timestamp"]}
    history = {"actions": actions, "last_action": actions[-1], "trimmed_actions": 3}
    timeline = Timeline({"session_id": "sess_1", "statistics": statistics, "history": history})
    assert "/statistics/session_end" in timeline.state_at(4).unknown
    assert [one["index"] for one in keyframes(timeline).rows if "/statistics/session_end" in one["unknown"]] == [0, 1]
