"""Batches of a limited number or size."""

from __future__ import annotations

from awictl.util.batched import batched, batched_by_bytes


def test_slices_have_at_most_the_given_number_of_items() -> None:
    assert list(batched([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(batched(b"abc", 3)) == [b"abc"] and list(batched([], 3)) == []


def test_batches_are_limited_by_bytes_and_number_and_a_larger_item_is_alone() -> None:
    words = ["aa", "bb", "cccccc", "d", "e", "f", "g"]
    assert list(batched_by_bytes(words, len, 4)) == [["aa", "bb"], ["cccccc"], ["d", "e", "f", "g"]]
    assert list(batched_by_bytes(words, len, 4, 3))[2:] == [["d", "e", "f"], ["g"]]
    assert list(batched_by_bytes([], len, 4)) == []
