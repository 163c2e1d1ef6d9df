"""Semaphores by key, which exist only while they are in use."""

from __future__ import annotations

import asyncio

import pytest

from awictl.util.keyed_slots import KeyedSlots


async def test_tasks_of_one_key_wait_in_turn_and_others_do_not() -> None:
    slots, order = KeyedSlots(2), []

    async def work(key: str, number: int, release: asyncio.Event) -> None:
        async with slots.taken(key):
            order.append((key, number))
            await release.wait()

    release, other = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(work("a", number, release)) for number in range(4)]
    tasks.append(asyncio.create_task(work("b", 0, other)))
    await asyncio.sleep(0)
    assert order == [("a", 0), ("a", 1), ("b", 0)] and slots.users("a") == 4
    tasks[2].cancel()
    release.set()
    other.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order[3:] == [("a", 3)] and slots.users("a") == 0
    assert not slots._slots, "nothing is kept of a key that is not in use"


async def test_a_slot_is_free_after_an_error() -> None:
    slots = KeyedSlots(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            async with slots.taken("a"):
                raise ValueError("x")
    assert not slots._slots
