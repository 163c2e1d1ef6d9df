"""What the page `compare` shows of sessions with unusual trajectories."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.documents import document

from awictl import InvalidData, NotFound
from awictl.document.history.timeline import Step
from awictl.sessions.whole_session import WholeSession
from awictl.ui.results import comparison
from awictl.ui.results.comparison import SideBySide, Wanted, opened


def whole(*steps: Step, **fields: Any) -> WholeSession:
    return WholeSession("sess_one", document([0], "sess_one", **fields), steps)


def did(ordinal: int, name: str, *, overwritten: bool = False) -> Step:
    return Step(ordinal, {"action": name, "input": {"n": name}, "success": True}, overwritten)


def test_actions_that_were_overwritten_have_names_of_their_own() -> None:
    """Several actions may have one ordinal; each of them can be opened."""
    start = did(0, "start")
    first = whole(start, did(1, "a", overwritten=True), did(1, "b", overwritten=True), did(1, "c"), did(2, "end"))
    second = whole(did(0, "start"), did(1, "c"), did(2, "end"))
    lines = SideBySide(first, second, None).part(None)["lines"]
    assert [one["first"]["name"] for one in lines] == ["0", "1.0", "1.1", "1", "2"]
    assert [one["first"]["overwritten"] for one in lines] == [False, True, True, False, False]
    assert [one["relation"] for one in lines] == ["equal", "only first", "only first", "equal", "equal"]
    for name, action in (("1.0", "a"), ("1.1", "b"), ("1", "c")):
        shown = opened(first, second, Wanted(first=name))
        assert shown["parts"][0]["first"]["text"] == f'{{"n":"{action}"}}'
    with pytest.raises(NotFound, match=r"no action 1\.2"):
        opened(first, second, Wanted(first="1.2"))


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever the parts are, they have all lines in order, and name the differences before and after them."""
    chosen = random.Random(seed)
    monkeypatch.setattr(comparison, "MAX_LINES", chosen.randint(1, 9))
    monkeypatch.setattr(comparison, "LINES_BEFORE", chosen.randint(0, comparison.MAX_LINES - 1))
    runs = [[did(at, chosen.choice("aab")) for at in range(chosen.randint(0, 40))] for _ in range(2)]
    view = SideBySide(whole(*runs[0]), whole(*runs[1]), chosen.choice([None, 3]))
    lines: list[dict[str, Any]] = []
    parts = []
    while not parts or len(lines) < parts[-1]["total"]:
        parts.append(view.part(len(lines)))
        lines += parts[-1]["lines"]
    assert len(lines) == parts[0]["total"]
    for side, steps in enumerate(runs):
        name = ("first", "second")[side]
        shown = [one for one in lines if one[name] is not None]
        assert sum(one.get("actions", 1) for one in shown) == len(steps)
    starts = [
        at
        for at, one in enumerate(lines)
        if one["relation"] != "equal" and (not at or lines[at - 1]["block"] != one["block"])
    ]
    for part in parts:
        begin, end = part["offset"], part["offset"] + len(part["lines"])
        before, after = [at for at in starts if at < begin], [at for at in starts if at >= end]
        assert (part["previous"] or {}).get("line") == (before[-1] if before else None)
        assert (part["next"] or {}).get("line") == (after[0] if after else None)
    for name in ("first", "second"):
        for at, line in enumerate(lines):
            if line[name] is not None:
                found = view.part(None, Wanted(**{name: line[name]["name"]}))
                assert 0 <= at - found["offset"] < len(found["lines"])


def test_actions_that_are_no_objects_and_sessions_without_actions() -> None:
    odd = whole(
        Step(0, "text"), Step(1, None), Step(2, {"action": {"a": 1}, "input": [1]}), agent_id={"a": "x" * 9_999}
    )
    shown = SideBySide(odd, whole(), None).part(None)
    assert [one["first"]["action"] for one in shown["lines"]] == ["text", "null", '{"a":1}']
    assert shown["lines"][2]["first"]["input"] == "[1]"
    assert shown["states_at_end"] is None
    assert len(shown["first"]["agent_id"]["a"]) < 3_000
    assert opened(odd, odd, Wanted("0", "1")) == {"parts": [], "changes": {"fields": [], "total": 0}}
    nothing = SideBySide(whole(), whole(), None).part(None)
    assert (nothing["lines"], nothing["total"], nothing["divergence"]) == ([], 0, None)


def test_states_that_are_nested_too_deeply() -> None:
    """An error that can be reported, whatever the recursion limit is where it happens."""
    deep: dict[str, Any] = {}
    other: dict[str, Any] = {"x": 1}
    for _ in range(100_000):
        deep, other = {"a": deep}, {"a": other}
    steps = did(0, "start"), did(1, "a")
    with pytest.raises(InvalidData, match="nested too deeply"):
        SideBySide(whole(*steps, page_state=deep), whole(*steps, page_state=other), None).part(None)
