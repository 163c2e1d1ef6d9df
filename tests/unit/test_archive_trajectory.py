"""Putting trimmed actions back into a trajectory, from chunks with gaps, overlaps and contradictions."""

from __future__ import annotations

import copy
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import load, nested
from support.archives import chunk, session, trimmed
from support.documents import APP_FILES, action, assert_same

from awictl.archive.chunks import Chunk, chunks_of
from awictl.archive.trajectory import ActionCount, arranged, count_actions
from awictl.archive.trajectory import with_chunks as with_chunks_from
from awictl.document.action_numbers import first_ordinal, next_t_of


def with_chunks(document: dict[str, Any], chunks: list[Chunk]) -> dict[str, Any]:
    return with_chunks_from(document, first_ordinal(document), chunks)


def numbers(document: dict[str, Any]) -> list[int]:
    return [one["t"] for one in document["history"]["actions"]]


def pieces(actions: list[Any], cuts: list[int]) -> list[Chunk]:
    """Divide actions into chunks at these positions."""
    places = sorted({0, len(actions), *(cut for cut in cuts if cut < len(actions))})
    return [Chunk(start, actions[start:end]) for start, end in itertools.pairwise(places)]


@given(st.integers(1, 40), st.lists(st.integers(1, 39), max_size=5), st.randoms(use_true_random=False))
def test_all_chunks_restore_the_trajectory(left: int, cuts: list[int], chance: random.Random) -> None:
    document, gone = trimmed(40, left)
    chunks = pieces(gone, cuts)
    chance.shuffle(chunks)
    before = copy.deepcopy(document)
    whole = with_chunks(document, chunks)
    assert numbers(whole) == list(range(40))
    assert "trimmed_actions" not in whole["history"]
    assert_same({**whole, "history": 0}, {**document, "history": 0})
    assert whole["history"]["last_action"] == document["history"]["last_action"]
    assert document == before, "the argument is not changed"
    assert next_t_of(whole) == next_t_of(document)


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(1, 10)), max_size=8))
def test_gaps_and_overlaps(ranges: list[tuple[int, int]]) -> None:
    left = 20
    document, _ = trimmed(30, left)
    whole = with_chunks(document, [chunk(first, count) for first, count in ranges])
    there = {number for first, count in ranges for number in range(first, first + count)} - set(range(left, 30))
    assert numbers(whole) == sorted({*there, *range(left, 30)})
    if ranges:
        assert whole["history"].get("trimmed_actions", 0) == left - len(there - set(range(30, 40)))


def test_without_chunks_the_document_is_unchanged() -> None:
    document, _ = trimmed(5, 2)
    assert_same(with_chunks(document, []), document)


@pytest.mark.parametrize("count", [None, 0, -3, "4", True, 2.0, [1]])
def test_a_count_of_trimmed_actions_that_is_none_is_not_used(count: Any) -> None:
    document, gone = trimmed(5, 2)
    document["history"]["trimmed_actions"] = count
    assert numbers(with_chunks(document, [Chunk(0, gone)])) == [0, 1, 2, 3, 4]


def test_overwritten_actions_stand_before_the_action_that_took_their_place() -> None:
    document, gone = trimmed(8, 3)
    lost = [action(4) | {"observation": f"overwritten {n}"} for n in range(3)]
    for chunks in ([Chunk(4, lost, overwritten=True)], [Chunk(4, lost[:1], True), Chunk(4, lost, True)]):
        whole = with_chunks(document, [Chunk(0, gone), *chunks])
        expected = [*session(8)["history"]["actions"][:4], *lost, *session(8)["history"]["actions"][4:]]
        assert_same(whole["history"]["actions"], expected)
    [last] = lost[:1]
    whole = with_chunks(document, [Chunk(8, [last], overwritten=True)])
    assert_same(whole["history"]["actions"][-1], last)


def test_if_chunks_differ_both_actions_are_kept() -> None:
    document, gone = trimmed(5, 3)
    other = gone[1] | {"observation": "seen otherwise"}
    whole = with_chunks(document, [Chunk(0, gone), Chunk(1, [other])])
    assert numbers(whole) == [0, 1, 1, 2, 3, 4]
    assert other in whole["history"]["actions"] and "trimmed_actions" not in whole["history"]


def test_of_differing_actions_the_latest_counts_and_that_of_the_document_before_all() -> None:
    """The app wrote over an action that was archived, and what it wrote was trimmed: both are in chunks."""
    early, late = (action(1) | {"timestamp": f"2026-11-23T07:09:4{second}.000Z"} for second in (1, 2))
    for chunks in itertools.permutations([Chunk(0, [action(0), early]), Chunk(1, [late])]):
        assert [one[:3:2] for one in arranged([], 2, chunks)] == [(0, False), (1, True), (1, False)]
        assert arranged([], 2, chunks)[-1].action == late
        assert [one.action for one in arranged([early], 1, chunks) if not one.overwritten] == [action(0), early]


def test_the_same_json_is_the_same_action() -> None:
    document, gone = trimmed(5, 3)
    again = [{**dict(reversed(one.items())), "t": float(one["t"])} for one in gone]
    assert numbers(with_chunks(document, [Chunk(0, gone), Chunk(0, again)])) == [0, 1, 2, 3, 4]


def test_one_and_true_are_not_the_same_action() -> None:
    document, gone = trimmed(5, 1)
    other = gone[0] | {"success": 1}
    assert len(with_chunks(document, [Chunk(0, gone), Chunk(0, [other])])["history"]["actions"]) == 6


@pytest.mark.parametrize("odd", [None, 7, "x", [], nested(150)])
def test_actions_of_any_type_are_restored(odd: Any) -> None:
    document, gone = trimmed(5, 2)
    whole = with_chunks(document, [Chunk(0, [odd, gone[1]]), Chunk(0, [odd])])
    assert_same(whole["history"]["actions"][:2], [odd, gone[1]])


def test_deeply_nested_actions_are_restored() -> None:
    """awictl limits the nesting of inputs to 200 levels; the app does not."""
    document, gone = trimmed(5, 1)
    deep = gone[0] | {"input": nested(600)}
    assert len(with_chunks(document, [Chunk(0, [deep]), Chunk(0, [deep])])["history"]["actions"]) == 5


def test_a_document_of_the_app_whose_t_sticks_at_100() -> None:
    """Its actions are identified by their position, not by their `t`."""
    document = load("session_04_over_100_actions.json")
    actions = document["history"]["actions"]
    first = next_t_of(document) - len(actions)
    gone, kept = actions[:40], actions[40:]
    document["history"] = {"actions": kept, "last_action": kept[-1], "trimmed_actions": first + 40}
    whole = with_chunks(document, [Chunk(first, gone[:25]), Chunk(first + 20, gone[20:])])
    assert_same(whole["history"]["actions"], actions)
    assert whole["history"].get("trimmed_actions", 0) == first, "those that the app itself dropped are still missing"


def test_equal_actions_at_different_positions_are_all_kept() -> None:
    document, _ = trimmed(6, 4)
    stuck = action(100)
    whole = with_chunks(document, [Chunk(0, [stuck] * 4), Chunk(1, [stuck] * 2)])
    assert numbers(whole) == [100] * 4 + [4, 5]


# -- counts


def test_actions_are_counted_by_name() -> None:
    taken = [{"action": "search", "success": True}, {"action": "search", "success": False}, {"action": "search"}]
    taken += [{"action": "open", "success": None}, {"action": "session_start"}, {"action": "session_end"}]
    assert count_actions(taken) == {"search": ActionCount(3, 1), "open": ActionCount(1, 0)}


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, {"action": None}, {"action": 5}, {"action": ["a"]}])
def test_actions_without_a_name_are_not_counted(odd: Any) -> None:
    assert count_actions([odd]) == {}


def test_counted_names_are_valid_unicode() -> None:
    [name] = count_actions([{"action": "\ud800x"}])
    assert name.encode() == b"?x"


@pytest.mark.parametrize(
    ("total", "successful"), [(126, 107), (100_000, 107), (126, 100_000), (126, "many"), (0, 107), (126, 0)]
)
def test_overwritten_statistics_invent_no_gap(total: Any, successful: Any) -> None:
    """Of the 126 actions, and the start, the session has the last 100. A delta may have overwritten a count."""
    made = json.loads(APP_FILES[3].read_bytes())
    made["statistics"] |= {"total_actions": total, "successful_actions": successful}
    assert first_ordinal(made) == 27


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(0, 3)],
        [chunk(0, 3), chunk(6, 2)],
        [chunk(1, 1), chunk(8, 2)],
        [Chunk(3, [{"t": 3, "lost": 1}, {"t": 4, "lost": 1}], overwritten=True)],
        [Chunk(3, [{"t": 3, "lost": 1}], overwritten=True), Chunk(4, [{"t": 4, "lost": 1}], overwritten=True)],
        [chunk(0, 3), Chunk(5, [{"t": 5, "lost": 1}, {"t": 6, "lost": 1}], overwritten=True), chunk(6, 3)],
    ],
)
def test_chunks_of_a_trajectory_give_it_again(chunks: list[Chunk]) -> None:
    """Also if what the document has is between them: here, actions 3 to 5."""
    own = chunk(3, 3).actions
    steps = arranged(own, 3, chunks)
    archived = [(place, one) for place, one in enumerate(steps) if one.overwritten or one.action not in own]
    assert arranged(own, 3, chunks_of(archived)) == steps
    assert sum(len(one.actions) for one in chunks_of(archived)) == len(archived)
