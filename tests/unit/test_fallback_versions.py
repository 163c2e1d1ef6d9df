"""Versions of a journaled session: which actions they have, how they are numbered, and how they are put together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awictl.document.action_numbers import are_consecutive
from awictl.document.byte_layout import decode, encode
from awictl.document.schema import new_document
from awictl.document.splice import Base, base_from_string
from awictl.document.update import Update, apply_update
from awictl.fallback.progress import is_newer, progress_of
from awictl.fallback.versions import (
    rebased,
    replaced_older,
    restored,
    runs_of,
    spliced,
    trajectory,
    with_actions,
    with_later,
)

START = "2026-11-23T07:00:00.000Z"


def action(t: int, op_id: str | None = None) -> dict[str, Any]:
    """An action as it is recorded, with an op_id made of its number unless it is given."""
    return {"t": t, "action": "filter", "delta": {}, "timestamp": START, "success": True, "op_id": op_id or f"op_{t}"}


def session(count: int, name: str = "op") -> Base:
    """A session with this number of updates."""
    raw = encode(new_document("sess_1", "agent", "Agent", "/", START))
    for number in range(1, count + 1):
        base = base_from_string(raw)
        raw = spliced(raw, apply_update(base, Update({"n": number}, op_id=f"{name}_{number}"), START))
    return base_from_string(raw)


def updated(base: Base, *op_ids: str) -> Base:
    """A session after further updates."""
    raw = encode(base.document)
    for op_id in op_ids:
        raw = spliced(raw, apply_update(base_from_string(raw), Update({"n": op_id}, op_id=op_id), START))
    return base_from_string(raw)


def ids(raw: bytes) -> list[Any]:
    """The op_ids of a string's actions, after its numbers were checked."""
    document = decode(raw)
    actions = document["history"]["actions"]
    assert all(before["t"] < after["t"] for before, after in pairwise(actions))
    assert are_consecutive(document)
    return [one.get("op_id") for one in actions[1:]]


def numbers(actions: list[Any]) -> list[int]:
    return [one["t"] for one in actions]


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_actions_are_inserted_by_their_numbers(mine: set[int], others: set[int]) -> None:
    actions = [action(t) for t in [0, *sorted(mine)]]
    result = with_later(actions, [action(t) for t in sorted(others, reverse=True)])
    assert numbers(result) == [0, *sorted(mine | others)]


def test_an_action_that_is_there_under_another_number_is_not_inserted_again() -> None:
    assert numbers(with_later([action(0), action(5, "op_x")], [action(3, "op_x")])) == [0, 5]
    assert numbers(with_later([action(0), action(5)], [action(5, "op_x")])) == [0, 5]
    assert numbers(with_later([action(4)], [action(2), {"t": None}, None, "x"])) == [4]
    assert numbers(with_later([action(4)], [action(2)], earlier=True)) == [2, 4]


@given(st.sets(st.integers(0, 30), min_size=1))
def test_groups_without_gaps(found: set[int]) -> None:
    runs = runs_of([action(t) for t in sorted(found)])
    assert [one["t"] for run in runs for one in run] == sorted(found)
    assert all(numbers(run) == list(range(run[0]["t"], run[0]["t"] + len(run))) for run in runs)
    assert all(before[-1]["t"] + 1 < after[0]["t"] for before, after in pairwise(runs))


def test_repeated_numbers_of_the_app_are_one_group() -> None:
    assert len(runs_of([action(99), action(100), action(100), action(250)])) == 1


@given(st.lists(st.integers(1, 12), unique=True), st.integers(0, 12))
def test_missing_actions_count_as_trimmed(kept: list[int], count: int) -> None:
    base = session(count)
    actions = [one for one in trajectory(base) if one["t"] not in kept]
    document = with_actions(base.head, actions)
    assert are_consecutive(document) or not actions
    again = with_actions(base_from_string(encode(document)).head, trajectory(base))
    assert again["history"].get("trimmed_actions", 0) == 0
    assert apply_update(base_from_string(encode(document)), Update({}), START).action["t"] == count + 1


def test_rebasing_puts_journaled_actions_on_a_newer_version() -> None:
    record = updated(session(2), "a", "b")
    newer = updated(session(2), "x")
    found = rebased(record, 3, newer.head, [])
    assert found is not None and found[1] == 4
    assert ids(found[0]) == ["op_1", "op_2", "x", "a", "b"]
    assert decode(found[0])["n"] == "b"
    assert decode(found[0])["statistics"]["total_actions"] == 5


def test_rebasing_drops_a_journaled_action_that_redis_has_applied_too() -> None:
    record, newer = updated(session(2), "a", "b"), updated(session(2), "a")
    found = rebased(record, 3, newer.head, [])
    assert found is not None and ids(found[0]) == ["op_1", "op_2", "a", "b"]
    assert decode(found[0])["statistics"]["total_actions"] == 4


def test_rebasing_on_what_is_not_newer_only_adds_actions() -> None:
    whole = session(4)
    gap = base_from_string(encode(with_actions(whole.head, [one for one in trajectory(whole) if one["t"] != 3])))
    record = updated(gap, "a")
    found = rebased(record, 4, None, [trajectory(whole)[3]])
    assert found is not None and ids(found[0]) == ["op_1", "op_2", "op_3", "op_4", "a"] and found[1] == 5
    assert rebased(record, 4, None, []) is None


def test_an_older_version_is_replaced() -> None:
    record = updated(session(4), "a")
    base = session(2)
    change = replaced_older(base, record, 5, (), persist=True)
    assert change is not None
    assert ids(spliced(encode(base.document), change)) == ["op_1", "op_2", "op_3", "op_4", "a"]
    for other in (session(4), updated(session(2), "x"), updated(session(4), "a"), updated(session(4), "x")):
        assert replaced_older(other, record, 5, (), persist=True) is None
    assert replaced_older(base, record, 5, ("op_3", "op_4"), persist=True) is None


def test_a_session_that_redis_has_lost_is_completed_from_the_archive() -> None:
    whole = session(6)
    kept = [one for one in trajectory(whole) if one["t"] in (0, 1, 5, 6)]
    record = updated(base_from_string(encode(with_actions(whole.head, kept))), "a")
    earlier, raw = restored(record, 4, trajectory(whole)[:5])
    assert earlier == [] and ids(raw) == ["op_1", "op_2", "op_3", "op_4", "op_5", "op_6", "a"]


def test_what_is_before_a_gap_that_nobody_can_fill_leaves_the_string() -> None:
    whole = session(6)
    kept = [one for one in trajectory(whole) if one["t"] in (0, 1, 3, 5, 6)]
    record = updated(base_from_string(encode(with_actions(whole.head, kept))), "a")
    earlier, raw = restored(record, 5, [])
    assert [numbers(run) for run in earlier] == [[0, 1], [3]]
    document = decode(raw)
    assert numbers(document["history"]["actions"]) == [5, 6, 7]
    assert document["history"]["trimmed_actions"] == 5 and are_consecutive(document)


@pytest.mark.parametrize(("earlier", "later"), [(0, 1), (3, 4), (3, 30)])
def test_which_version_is_newer(earlier: int, later: int) -> None:
    assert is_newer(session(later).head, session(earlier).head)
    assert not is_newer(session(earlier).head, session(later).head)
    assert not is_newer(session(later).head, session(later).head)
    assert progress_of({}) == (0, 1, 0)
