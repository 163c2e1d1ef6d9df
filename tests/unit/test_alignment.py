"""Alignments: a longest common subsequence, compared with the textbook's table; and what is done beyond the bound."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awictl.document.history.alignment import MAX_CELLS, Alignment, align

#: Few different items, so that there are many ways to align them.
sequences = st.lists(st.sampled_from("abcd"), max_size=24)
#: Items that are mostly different, as the actions of a real session.
varied = st.lists(st.integers(0, 30), max_size=40)


def longest(first: Sequence[object], second: Sequence[object]) -> int:
    """The length of the LCS by the textbook's table."""
    row = [0] * (len(second) + 1)
    for one in first:
        above, row = row, [0]
        for at, other in enumerate(second):
            row.append(above[at] + 1 if one == other else max(above[at + 1], row[at]))
    return row[-1]


def check(first: Sequence[object], second: Sequence[object], found: Alignment) -> None:
    """Fail unless the pairs are a common subsequence."""
    assert all(first[a] == second[b] for a, b in found.pairs)
    for which in (0, 1):
        indices = [pair[which] for pair in found.pairs]
        assert indices == sorted(set(indices))


@given(sequences | varied, sequences | varied)
def test_an_alignment_is_a_longest_common_subsequence(first: list[object], second: list[object]) -> None:
    found = align(first, second)
    check(first, second, found)
    assert (len(found.pairs), found.exact) == (longest(first, second), True)


@given(sequences | varied, sequences | varied, st.integers(0, 60))
def test_beyond_the_bound_it_is_still_a_common_subsequence_and_says_so(
    first: list[object], second: list[object], max_cells: int
) -> None:
    found = align(first, second, max_cells)
    check(first, second, found)
    if found.exact:
        assert len(found.pairs) == longest(first, second)
    else:
        assert len(first) * len(second) > max_cells


def test_beyond_the_bound_items_that_occur_once_are_still_aligned() -> None:
    first = [*range(1000), *"abc", *range(2000, 3000)]
    second = [*range(5000, 5400), *range(1000), *"xy", *range(2000, 3000), "end"]
    found = align(first, second, max_cells=100)
    check(first, second, found)
    assert (len(found.pairs), found.exact) == (2000, False)


def test_the_common_beginning_and_end_are_aligned_whatever_the_bound() -> None:
    first, second = [*"abab", 1, *"baba"], [*"abab", 2, 3, *"baba"]
    assert align(first, second, max_cells=0).pairs == [(0, 0), (1, 1), (2, 2), (3, 3), (5, 6), (6, 7), (7, 8), (8, 9)]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("length", "kinds"), [(5_000, 4), (5_000, 1_000), (5_000, 10**9), (100_000, 4), (100_000, 10**9)]
)
def test_cost(length: int, kinds: int) -> None:
    chance = random.Random(length + kinds)
    first, second = ([chance.randrange(kinds) for _ in range(length)] for _ in range(2))
    tracemalloc.start()
    try:
        found = align(first, second)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    check(first, second, found)
    assert found.exact == (length**2 <= MAX_CELLS)
    assert peak < 2 * MAX_CELLS / 8
