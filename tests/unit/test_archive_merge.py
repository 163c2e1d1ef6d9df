"""Merging snapshots: no archived action is lost, none is doubled, and gaps are what no snapshot had."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from material import load
from support.documents import action, document

from awictl.archive.chunks import Chunk
from awictl.archive.merge import Gap, Merge, append_merge, first_merge, merge, missing
from awictl.archive.trajectory import ActionCount, with_chunks
from awictl.document.action_keys import digest_of_actions, key_of
from awictl.document.action_numbers import first_ordinal

#: Number of actions that the writer in these tests keeps, as the app keeps 100.
KEPT = 6


class Session:
    """A session as the app keeps it, and an archive that merges snapshots of it."""

    def __init__(self, *, same: bool = False) -> None:
        self.document = document([0])
        self._same = same
        self._made = 1
        #: By the archive: the latest document, the ordinal of its first action, chunks and gaps.
        self.archived: dict[str, Any] | None = None
        self.first = 0
        self.chunks: list[Chunk] = []
        self.gaps: tuple[Gap, ...] = ()
        self.counts: dict[str, ActionCount] = {}
        #: Ordinals that a snapshot had; actions of all snapshots, each once.
        self.seen: set[int] = set()
        self.snapshots: list[list[Any]] = []

    @property
    def actions(self) -> list[Any]:
        found: list[Any] = self.document["history"]["actions"]
        return found

    def update(self, count: int = 1) -> None:
        """Append actions, and keep only the last ones."""
        made = json.loads(json.dumps(self.document))
        for _ in range(count):
            one = action(1 if self._same else self._made)
            self._made += 1
            made["history"]["actions"] = [*made["history"]["actions"], one][-KEPT:]
            for name in ("total_actions", "successful_actions"):
                made["statistics"][name] += 1
        self.document = made

    def snapshot(self) -> None:
        """Archive the session as it is."""
        actions = self.actions
        if self.archived is None:
            merged = first_merge(self.document)
        else:
            before = self.archived["history"]["actions"]
            merged = merge(actions, first_ordinal(self.document), Chunk(self.first, before))
            if merged.without_chunks:
                merged = merge(actions, first_ordinal(self.document), Chunk(self.first, before), self.chunks)
            appended = append_merge(
                actions, first_ordinal(self.document), self.first, len(before), digest_of_actions(before)
            )
            assert appended in (None, merged), "the fast way has the same result"
        self.gaps = merged.gaps(self.gaps, len(actions), ())
        self.counts = merged.counts(self.counts, ())
        self.chunks += merged.chunks
        self.archived, self.first = self.document, merged.first
        self.seen |= set(range(merged.first, merged.first + len(actions)))
        self.snapshots.append(actions)

    @property
    def trajectory(self) -> list[Any]:
        """The actions that the archive has."""
        assert self.archived is not None
        found: list[Any] = with_chunks(self.archived, self.first, self.chunks)["history"]["actions"]
        return found


def is_subsequence(part: list[Any], whole: list[Any]) -> bool:
    left = iter(whole)
    return all(any(one == other for other in left) for one in part)


def test_what_the_app_cut_stays_and_the_gap_is_recorded() -> None:
    made = Session()
    made.update(3)
    made.snapshot()
    made.update(4)  # it keeps the last 6 of 8
    made.snapshot()
    assert [one["t"] for one in made.trajectory] == list(range(8)) and made.gaps == ()
    made.update(9)  # 8 to 16; it keeps those from 11 on
    made.snapshot()
    assert [one["t"] for one in made.trajectory] == [*range(8), *range(11, 17)]
    assert made.gaps == (Gap(8, 10),) and made.gaps[0].row() == {"from": 8, "to": 10, "count": 3}
    assert made.counts == {"next_page": ActionCount(13, 0)}


steps = st.lists(st.integers(0, 3 * KEPT), max_size=8)


@given(steps, st.booleans())
@example([100, 5], True)
@example([2, 14, 0, 3], False)
def test_gaps_are_exactly_what_no_snapshot_had(updates: list[int], same: bool) -> None:
    """Also if all actions are equal, byte for byte."""
    made = Session(same=same)
    for count in updates:
        made.update(count)
        made.snapshot()
    made.snapshot()
    end = 1 + sum(updates)
    assert made.seen <= set(range(end))
    missing_ordinals = {one for gap in made.gaps for one in range(gap.first, (gap.last or 0) + 1)}
    assert missing_ordinals == set(range(end)) - made.seen
    assert len(made.trajectory) == len(made.seen)
    if not same:
        assert [one["t"] for one in made.trajectory] == sorted(made.seen)


operations = st.lists(st.one_of(st.integers(0, 2 * KEPT), st.sampled_from(["read", "overwrite", "snapshot"])))


@settings(max_examples=200)
@given(operations)
@example(["snapshot", KEPT, "snapshot", 1, "snapshot", "overwrite"])
@example([5, "read", "snapshot", 2, "snapshot", "overwrite"])
def test_what_was_overwritten_stays_too(operations: list[Any]) -> None:
    """The app reads, updates and writes without comparing: what others wrote in between is gone from Redis."""
    made = Session()
    stale = made.document
    for operation in operations:
        if operation == "read":
            stale = made.document
        elif operation == "overwrite":
            made.document = stale
            made.update()
        elif operation == "snapshot":
            made.snapshot()
        else:
            made.update(operation)
    made.snapshot()
    trajectory = made.trajectory
    numbers = [one["t"] for one in trajectory]
    assert len(numbers) == len(set(numbers)), "each action once"
    assert {one["t"] for actions in made.snapshots for one in actions} == set(numbers)
    for actions in made.snapshots:
        assert is_subsequence(actions, trajectory), "in the order of each snapshot"
    counted = sum(one.count for one in made.counts.values())
    assert counted == len(numbers) - (0 in numbers), "all are counted but the start"


def test_overwritten_actions_are_marked() -> None:
    made = Session()
    made.update()
    stale = made.document
    made.update(2)
    made.snapshot()
    made.document = stale
    made.update(2)
    made.snapshot()
    assert [one["t"] for one in made.trajectory] == [0, 1, 2, 3, 4, 5] and made.gaps == ()
    [chunk] = made.chunks
    assert (chunk.first, chunk.overwritten, len(chunk.actions)) == (2, True, 2)


def test_statistics_that_a_delta_has_overwritten_are_corrected_by_the_actions() -> None:
    for total in (0, 3, 10_000, None, "many", -1):
        made = Session()
        made.update(4)
        made.snapshot()
        made.update(4)
        made.document["statistics"]["total_actions"] = total
        made.snapshot()
        assert [one["t"] for one in made.trajectory] == list(range(9)) and made.gaps == (), total


def test_a_gap_of_unknown_size_is_said_to_be_one() -> None:
    made = Session()
    made.update(4)
    made.snapshot()
    made.update(20)
    made.document["statistics"]["total_actions"] = 0
    for one in made.document["history"]["actions"]:
        one["t"] = 0
    made.snapshot()
    assert made.gaps == (Gap(5, None),) and made.gaps[0].row() == {"from": 5, "to": None, "count": None}
    assert len(made.trajectory) == 5 + KEPT


def test_an_older_copy_of_the_session_removes_nothing() -> None:
    """As after a restart of Redis from an old dump."""
    made = Session()
    made.update(2)
    older = made.document
    made.update(3)
    made.snapshot()
    made.document = older
    made.snapshot()
    assert [one["t"] for one in made.trajectory] == list(range(6))
    made.update(3 * KEPT)
    made.snapshot()
    made.document = older
    made.snapshot()
    assert [one["t"] for one in made.trajectory] == [*range(3), *range(3, 6), *range(18, 24)]
    made.document = document([])
    made.snapshot()
    assert len(made.trajectory) == 12


def test_what_fills_a_gap_is_no_longer_missing() -> None:
    gaps = first_merge(load("session_04_over_100_actions.json")).gaps((), 100, [Chunk(3, [1, 2]), Chunk(20, [0] * 50)])
    assert gaps == (Gap(0, 2), Gap(5, 19))
    assert merge([0] * 5, 3, Chunk(8, [1])).gaps([Gap(0, 5), Gap(7, 9)], 4, ()) != ()
    assert missing(range(5, 5), []) == ()
    assert missing(range(5, 9), [Chunk(0, [0] * 30, overwritten=True)]) == (Gap(5, 8),)


def test_the_ordinal_of_the_first_action() -> None:
    cut = load("session_04_over_100_actions.json")
    assert first_ordinal(cut) == cut["history"]["actions"][0]["t"] == 27
    assert first_ordinal(load("session_03_many.json")) == 0
    for odd in ({}, {"history": 5}, {"history": {"actions": [5, {"action": ["x"]}]}, "statistics": 7}):
        assert first_ordinal(odd) == 0
    assert first_ordinal({"history": {"actions": [], "trimmed_actions": 2**60}}) == 0


@pytest.mark.parametrize(
    ("mine", "as_the_app_writes_it"),
    [
        ({"n": 1.0}, {"n": 1}),
        ({"n": 2**60 + 1}, {"n": 2**60}),
        ({"b": 1, "2": {"x": [1]}, "1": 0}, {"1": 0, "2": {"x": [1.0]}, "b": 1}),
    ],
)
def test_an_action_that_the_app_wrote_back_is_the_same(mine: Any, as_the_app_writes_it: Any) -> None:
    assert key_of({"input": mine}) == key_of({"input": as_the_app_writes_it})


def test_other_actions_are_not_the_same() -> None:
    kinds: list[Any] = [1, True, "1", None, [1], {"1": 1}, [], {}, "", 0, False, ["{"], ["["], {"b": True}, ["b", True]]
    assert len({key_of(one) for one in kinds}) == len(kinds)


def test_numbers_that_count_on_are_ordinals_whatever_the_statistics_say() -> None:
    """A delta may overwrite the statistics."""
    made = document([0] * 5)
    for total in (0, 3, 1_000_000, "many"):
        made["statistics"]["total_actions"] = total
        assert first_ordinal(made) == 0
        assert first_ordinal({**made, "history": {"actions": made["history"]["actions"][2:]}}) == 2


def test_an_end_that_was_cut_is_counted() -> None:
    """The app goes on with a session that awictl ended, and cuts the end, which the statistics do not count."""
    made = load("session_04_over_100_actions.json")
    assert first_ordinal(made) == 27
    made["statistics"]["session_end"] = "2026-11-23T07:09:41.741Z"
    assert first_ordinal(made) == 28


def test_another_trajectory_from_the_expected_ordinal_on_overwrote_the_archived_one() -> None:
    """The app read the session before two archived actions, wrote it back, and cut the part that both had."""
    archived = Chunk(0, [action(t) for t in range(8)])
    new = [action(t, size=1) for t in range(6, 12)]
    assert merge(new, 6, archived) == Merge(
        6, (Chunk(0, archived.actions[:6]), Chunk(6, archived.actions[6:], overwritten=True)), new, range(0), False
    )


def test_an_older_snapshot_that_is_saved_late_takes_its_own_place() -> None:
    """The clock of the process that read it is ahead, and it was not archived before."""
    new = [action(t) for t in range(10, 16)]
    archived = Chunk(30, [action(t) for t in range(30, 36)])
    merged = merge(new, 10, archived, [Chunk(0, [action(0)])])
    assert merged == Merge(10, (Chunk(30, archived.actions, overwritten=True),), new, range(0), False)
    assert Merge(40, between=range(20, 40)).gaps([Gap(16, 29)], 6, ()) == (Gap(16, 29), Gap(30, 39))
