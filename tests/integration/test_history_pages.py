"""Pages of a trajectory are slices of it, newest first, for any length, layout and size of actions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from support.documents import LAYOUTS, SESSION_ID, Layout, compact, document, put, varied_sizes
from support.mongo_live import MongoLive
from support.valkey import ValkeyServer

from awictl import InvalidInput, NotFound, StateManager
from awictl.document.byte_layout import encode

#: Number of random pages to compare per document.
PAGES = 30


def random_pages(count: int, seed: int) -> list[tuple[int, int]]:
    """(limit, offset) pairs, many of them at the ends of the trajectory."""
    chance = random.Random(seed)
    edges = [0, 1, 2, max(count - 1, 0), count, count + 1, count * 2 + 5]
    return [(limit, offset) for limit in edges[:3] for offset in edges] + [
        (chance.choice((1, 5, 20, 100, count)), chance.randint(0, count + 5)) for _ in range(PAGES)
    ]


async def assert_pages_are_slices(manager: StateManager, actions: Sequence[Any], seed: int) -> None:
    newest_first = list(actions[::-1])
    for limit, offset in random_pages(len(actions), seed):
        page = await manager.get_action_history(SESSION_ID, limit, offset)
        assert page.trajectory == newest_first[offset : offset + limit], (limit, offset)
        assert (page.total, page.limit, page.offset) == (len(actions), limit, offset)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("count", [0, 1, 5, 1000, pytest.param(5000, marks=pytest.mark.soak)])
async def test_pages_are_slices_of_the_trajectory(
    manager: StateManager, valkey: ValkeyServer, layout: Layout, count: int
) -> None:
    made = document(varied_sizes(count, seed=count))
    put(valkey, layout(made))
    await assert_pages_are_slices(manager, made["history"]["actions"], seed=count)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("huge", [0, 50, 99], ids=["oldest", "middle", "newest"])
async def test_one_action_may_be_huge(manager: StateManager, valkey: ValkeyServer, layout: Layout, huge: int) -> None:
    made = document([500_000 if t == huge else 0 for t in range(100)])
    put(valkey, layout(made))
    await assert_pages_are_slices(manager, made["history"]["actions"], seed=huge)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
async def test_actions_may_be_of_any_type(manager: StateManager, valkey: ValkeyServer, layout: Layout) -> None:
    strange = [1, None, "]}}", [], {}, {"t": "5"}, {"t": 7, "x": ",\n{"}, {"t": 2.5}, [{"t": 9}], "\n]}}", {"t": -1}]
    made = document()
    made["history"] = {"actions": strange * 3, "last_action": None}
    put(valkey, layout(made))
    await assert_pages_are_slices(manager, made["history"]["actions"], seed=3)


async def test_pages_of_a_layout_with_another_end(manager: StateManager, valkey: ValkeyServer) -> None:
    """As if another program had written the end of the string."""
    made = document([300] * 300)
    for end in (b"\n]}}\n", b"\n]}}\n\n", b"\n]}} ", b"]}}", b"\n]} }"):
        put(valkey, encode(made)[:-4] + end)
        await assert_pages_are_slices(manager, made["history"]["actions"], seed=4)


async def test_negative_arguments_and_a_missing_session(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    for bad in ((-1, 0), (0, -1)):
        with pytest.raises(InvalidInput, match="negative"):
            await manager.get_action_history(SESSION_ID, *bad)
    with pytest.raises(NotFound, match="sess_missing"):
        await manager.get_action_history("sess_missing")


@pytest.mark.parametrize("limit", [10_000, 40], ids=["untrimmed", "trimmed"])
@pytest.mark.parametrize("size", [20, 3_000], ids=["small actions", "large actions"])
async def test_pages_are_consistent_during_concurrent_writes(valkey: ValkeyServer, limit: int, size: int) -> None:
    """Every page is a snapshot: the number of its newest action determines the length of the trajectory."""
    settings = valkey.settings(max_actions=limit)
    async with StateManager.open(settings) as writer, StateManager.open(settings) as manager:
        await writer.initialize_session("agent", "Agent", session_id=SESSION_ID)
        chance = random.Random(size)
        updates = 200 if isinstance(valkey, MongoLive) else 300

        async def write() -> None:
            for _ in range(updates):
                delta = {"note": "n" * chance.choice((0, 10, 600, 3000))}
                await writer.update_state_with_delta(SESSION_ID, delta, {"input": "x" * chance.randint(0, size)})

        writing = asyncio.create_task(write())
        pages = 0
        while not writing.done():
            want, offset = chance.choice(((1, 0), (5, 3), (20, 0), (20, 100), (600, 0)))
            page = await manager.get_action_history(SESSION_ID, want, offset)
            pages += 1
            numbers = [action["t"] for action in page.trajectory]
            assert len(numbers) == max(min(want, page.total - offset), 0)
            assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == len(numbers)
            if numbers:
                newest = numbers[0] + offset
                # with the limit of 40, four actions are trimmed at once
                kept = newest + 1 if newest < limit else 37 + (newest - limit) % 4
                assert page.total == kept
                assert numbers == list(range(newest - offset, newest - kept, -1))[:want]
        await writing
        assert pages > 50
