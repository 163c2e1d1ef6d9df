"""Prefetching: order, overlap, and nothing left behind when the consumer or the generator stops early."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from awictl.util.prefetch import prefetch


async def numbers(upto: int, closed: list[str], error: Exception | None = None) -> AsyncGenerator[int, None]:
    try:
        for number in range(upto):
            yield number
        if error is not None:
            raise error
    finally:
        closed.append("closed")


async def test_all_items_in_order() -> None:
    closed: list[str] = []
    assert [one async for one in prefetch(numbers(5, closed))] == [0, 1, 2, 3, 4] and closed == ["closed"]


async def test_falsy_items_and_none() -> None:
    async def items() -> AsyncGenerator[Any, None]:
        for item in ([], None, 0, ""):
            yield item

    assert [one async for one in prefetch(items())] == [[], None, 0, ""]


async def test_an_error_is_raised_after_the_items_before_it() -> None:
    found = []
    with pytest.raises(ValueError, match="bad"):
        async for one in prefetch(numbers(2, [], ValueError("bad"))):
            found.append(one)
    assert found == [0, 1]


@pytest.mark.parametrize("how", ["break", "exception", "cancelled"])
async def test_the_error_of_a_prefetched_item_that_nobody_takes_is_not_reported(how: str) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    closed: list[str] = []

    async def consume() -> None:
        async with aclosing(prefetch(numbers(1, closed, ValueError("bad")))) as items:
            async for _ in items:
                await asyncio.sleep(0.01)  # the next item is fetched meanwhile, and fails
                if how == "break":
                    break
                if how == "exception":
                    raise KeyError
                await asyncio.sleep(10)

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert (reported, closed) == ([], ["closed"])


async def test_a_consumer_that_stops_cancels_what_is_being_fetched() -> None:
    closed: list[str] = []

    async def slow() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(60)
            yield 2
        finally:
            closed.append("closed")

    async with aclosing(prefetch(slow())) as items:
        async for _ in items:
            break
    assert closed == ["closed"]
