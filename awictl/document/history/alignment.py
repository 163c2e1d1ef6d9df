"""Align two sequences: which items of one are which of the other.

The alignment is a longest common subsequence (LCS), which Python's `difflib` does not find. It is computed bit-parallel
(Hyyrö, "Bit-parallel LCS-length computation revisited", 2004): row by row of the table of LCS lengths, with one bit per
cell, in a few operations on one large integer. After the common beginning and end are stripped, N × M cells take N × M
/ 8 bytes, and about as many operations on machine words as N × M / 30: 5,000 × 5,000 cells take 3 MB and some 20 ms.

Beyond MAX_CELLS the cost is bounded at the price of the result: the sequences are cut at items that both have exactly
once, and that are in the same order (the anchors of Bram Cohen's patience diff); and what is still too large is cut
into blocks. The LCS of each part is joined, which may be shorter than the LCS of the whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

#: Maximum cells of the table of one exact alignment: 64 MiB. Two sequences of 23,000 items that share no item fit.
MAX_CELLS = 2**29

#: A pair of indices: an item of the first sequence, and the equal item of the second.
Pair = tuple[int, int]


class Alignment(NamedTuple):
    """The pairs of equal items that two sequences have in common, in order."""

    pairs: list[Pair]
    #: Whether there are certainly no longer ones: no part was too large.
    exact: bool = True


def align(first: Sequence[Hashable], second: Sequence[Hashable], max_cells: int = MAX_CELLS) -> Alignment:
    """Align two sequences of items that are compared with `==`.

    `max_cells`: bounds the memory, in bits, and the time. The result is a longest common subsequence if it is `exact`.
    """
    start, end = _ends(first, second)
    lengths = len(first) - end, len(second) - end
    common = [(at, at) for at in range(start)]
    tail = [(lengths[0] + at, lengths[1] + at) for at in range(end)]
    if (lengths[0] - start) * (lengths[1] - start) <= max_cells:
        return Alignment(common + _longest(first, second, (start, start), lengths) + tail)
    exact = True
    for begin, stop in _parts(first, second, (start, start), lengths):
        for block_begin, block_stop in _blocks(begin, stop, max_cells):
            common += _longest(first, second, block_begin, block_stop)
        common += [stop] if stop != lengths else []  # the anchor
        exact = False
    return Alignment(common + tail, exact)


def _ends(first: Sequence[Hashable], second: Sequence[Hashable]) -> Pair:
    """The lengths of the common beginning and of the common end; they do not overlap."""
    shorter = min(len(first), len(second))
    start = 0
    while start < shorter and first[start] == second[start]:
        start += 1
    end = 0
    while end < shorter - start and first[-1 - end] == second[-1 - end]:
        end += 1
    return start, end


def _longest(first: Sequence[Hashable], second: Sequence[Hashable], begin: Pair, stop: Pair) -> list[Pair]:
    """The LCS of two slices, as pairs of indices."""
    width = stop[0] - begin[0]
    places: dict[Hashable, int] = {}
    for at in range(width):
        item = first[begin[0] + at]
        places[item] = places.get(item, 0) | 1 << at
    everything = (1 << width) - 1
    # bit x of the row after item y is 0 if the LCS of both beginnings grows by one from x to x + 1
    row = everything
    rows: list[int] = []
    for at in range(begin[1], stop[1]):
        if matches := row & places.get(second[at], 0):
            row = ((row + matches) | (row - matches)) & everything
        rows.append(row)
    pairs: list[Pair] = []
    x, y = width, len(rows)
    while x and y:
        if rows[y - 1] >> (x - 1) & 1:
            x -= 1
        elif y > 1 and not rows[y - 2] >> (x - 1) & 1:
            y -= 1
        else:
            x, y = x - 1, y - 1
            pairs.append((begin[0] + x, begin[1] + y))
    return pairs[::-1]


def _parts(
    first: Sequence[Hashable], second: Sequence[Hashable], begin: Pair, stop: Pair
) -> Iterator[tuple[Pair, Pair]]:
    """The slices between the anchors. Each but the last ends before an anchor."""
    once_first, once_second = (
        {item for item, count in Counter(one[begin[which] : stop[which]]).items() if count == 1}
        for which, one in enumerate((first, second))
    )
    unique = once_first & once_second
    at_second = {second[at]: at for at in range(begin[1], stop[1]) if second[at] in unique}
    candidates = [(at, at_second[first[at]]) for at in range(begin[0], stop[0]) if first[at] in unique]
    for anchor in _increasing(candidates):
        yield begin, anchor
        begin = anchor[0] + 1, anchor[1] + 1
    yield begin, stop


def _increasing(pairs: Sequence[Pair]) -> list[Pair]:
    """The longest subsequence in which the second indices increase; the first ones do."""
    ends: list[int] = []  # the smallest last index of an increasing sequence, by length
    last: list[int] = []  # its pair
    before: list[int] = []
    for number, (_, index) in enumerate(pairs):
        length = bisect_left(ends, index)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [index]
        last[length : length + 1] = [number]
    found: list[Pair] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def _blocks(begin: Pair, stop: Pair, max_cells: int) -> Iterator[tuple[Pair, Pair]]:
    """A pair of slices, cut into equally many blocks of at most `max_cells` cells, or of one item."""
    lengths = stop[0] - begin[0], stop[1] - begin[1]
    count = 1
    while count < max(lengths) and -(-lengths[0] // count) * -(-lengths[1] // count) > max_cells:
        count *= 2
    edges = [(begin[0] + lengths[0] * at // count, begin[1] + lengths[1] * at // count) for at in range(count + 1)]
    yield from pairwise(edges)
