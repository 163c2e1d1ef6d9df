"""Go through many rows, and sort them, without blocking the event loop: in slices that take a few milliseconds each.

A thread would not help: `list.sort` keeps the interpreter's lock until it is done.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

#: Number of items of a slice that is sorted.
SLICE = 2_048
#: Maximum number of items that are merged at once by `list.sort`, which is faster than `heapq.merge`.
_MERGED = 8 * SLICE


async def slices(items: list[T], count: int) -> AsyncGenerator[tuple[int, list[T]], None]:
    """The first `count` items in slices, each with its place. Other tasks run in between."""
    for start in range(0, count, SLICE):
        yield start, items[start : min(start + SLICE, count)]
        await asyncio.sleep(0)


async def sorted_in_slices(items: Sequence[int], key: Callable[[int], Any], *, descending: bool) -> list[int]:
    """The items in the order of their keys. Stable, also if descending."""
    runs = []
    for start in range(0, len(items), SLICE):
        runs.append(sorted(items[start : start + SLICE], key=key, reverse=descending))
        await asyncio.sleep(0)
    size = SLICE
    while len(runs) > 1 and size < _MERGED:
        size *= 2
        pairs = [runs[at : at + 2] for at in range(0, len(runs), 2)]
        runs = []
        for pair in pairs:
            merged = [one for run in pair for one in run]
            merged.sort(key=key, reverse=descending)  # of two sorted runs: linear
            runs.append(merged)
            await asyncio.sleep(0)
    if len(runs) < 2:
        return runs[0] if runs else []
    found: list[int] = []
    merging = heapq.merge(*runs, key=key, reverse=descending)
    while part := list(islice(merging, SLICE)):
        found += part
        await asyncio.sleep(0)
    return found
