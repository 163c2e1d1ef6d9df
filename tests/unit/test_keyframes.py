"""The keyframes of a session. That a browser computes each state from them is in tests/browser."""

from __future__ import annotations

import pytest
from support.timelines import random_timeline

from awictl.document.history import keyframes as module
from awictl.document.history.keyframes import keyframes
from awictl.document.history.timeline import Timeline
from awictl.document.schema import new_document


@pytest.mark.parametrize("count", [250, pytest.param(4_000, marks=pytest.mark.soak)])
def test_an_ordinary_session_has_one_keyframe_and_needs_no_other(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = [seed for seed in range(count) if len(keyframes(random_timeline(seed))) == 1]
    assert count / 5 < len(ordinary) < count * 4 / 5
    monkeypatch.setattr(module, "_is_replayed", lambda *_: False)
    for seed in ordinary:
        assert len(keyframes(random_timeline(seed))) == 1, seed


def test_a_session_of_one_action_needs_no_keyframe() -> None:
    timeline = random_timeline(0)
    assert keyframes(Timeline(timeline.document_at(timeline.state_at(0)))) == []


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
    assert ["/statistics/total_actions", 1.0] in keyframes(timeline)[1]["set"]
