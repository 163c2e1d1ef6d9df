"""Divide items into batches of a limited number or size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
S = TypeVar("S", bound=Sequence[Any])


def batched(items: S, most: int) -> Iterator[S]:
    """Yield slices of at most `most` items."""
    return (items[start : start + most] for start in range(0, len(items), most))  # type: ignore[misc]  # S again


def batched_by_bytes(
    items: Iterable[T], size_of: Callable[[T], int], max_bytes: int, most: int | None = None
) -> Iterator[list[T]]:
    """Yield batches of at most `max_bytes` bytes and `most` items; a single larger item is a batch of its own."""
    batch: list[T] = []
    total = 0
    for one in items:
        size = size_of(one)
        if batch and (len(batch) == most or total + size > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(one)
        total += size
    if batch:
        yield batch
