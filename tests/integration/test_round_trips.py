"""Round trips of each operation (DESIGN, section 6), counted by a proxy.

Before counting starts, scripts are loaded and a connection is open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from support.documents import AGENT_ID, LAYOUTS, SESSION_ID, Layout, document, put, varied_sizes
from support.mongo_live import needs_redis
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import StateManager


@pytest.fixture
async def counted(valkey: ValkeyServer, proxy: Proxy) -> AsyncIterator[StateManager]:
    """A manager behind the proxy that has called each operation once."""
    needs_redis(valkey, "its round trips")
    async with StateManager.open(proxy.settings(max_actions=10_000)) as manager:
        warm_up = (await manager.initialize_session("warm-up", "Agent"))["session_id"]
        await manager.touch_session(warm_up)
        await manager.update_state_with_delta(warm_up, {})
        await manager.store.list([warm_up])
        assert proxy.round_trips > 0
        yield manager


@contextmanager
def round_trips(proxy: Proxy, *, at_most: int) -> Iterator[None]:
    before = proxy.round_trips
    yield
    used = proxy.round_trips - before
    assert 0 < used <= at_most


async def test_the_first_use_of_a_script_takes_one_more(proxy: Proxy, valkey: ValkeyServer) -> None:
    """Also verifies that the proxy counts."""
    valkey.raw.script_flush()
    async with StateManager.open(proxy.settings()) as manager:
        assert proxy.round_trips == 0, "nothing is sent before the first call"
        await manager.store.ping()
        before = proxy.round_trips
        await manager.initialize_session("agent", "Agent")
        assert proxy.round_trips == before + 2
        await manager.initialize_session("agent", "Agent")
        assert proxy.round_trips == before + 3


async def test_create_takes_one(proxy: Proxy, counted: StateManager) -> None:
    with round_trips(proxy, at_most=1):
        await counted.initialize_session(AGENT_ID, "Agent")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("size", [0, 100_000], ids=["small head", "large head"])
async def test_show_apply_diff_and_touch(
    proxy: Proxy, counted: StateManager, valkey: ValkeyServer, layout: Layout, size: int
) -> None:
    put(valkey, layout(document([0] * 500, more="x" * size)))
    with round_trips(proxy, at_most=1):
        await counted.get_session_state(SESSION_ID)
    with round_trips(proxy, at_most=2):
        await counted.touch_session(SESSION_ID)
    with round_trips(proxy, at_most=2):
        await counted.update_state_with_delta(SESSION_ID, {"n": 1})
    if size <= 65_536:  # larger heads are not cached
        with round_trips(proxy, at_most=1):
            await counted.update_state_with_delta(SESSION_ID, {"n": 2})
        with round_trips(proxy, at_most=1):
            await counted.touch_session(SESSION_ID)
    with round_trips(proxy, at_most=2):
        await counted.update_state_with_delta(SESSION_ID, {"n": 3}, {"op_id": "mine"})
    with round_trips(proxy, at_most=2):
        await counted.update_pagination(SESSION_ID, {"cursor": 2})
    with round_trips(proxy, at_most=1):
        assert await counted.get_state_diff(SESSION_ID) is not None


async def test_an_update_after_that_of_another_manager_takes_three(
    proxy: Proxy, counted: StateManager, valkey: ValkeyServer, manager: StateManager
) -> None:
    put(valkey, LAYOUTS["awictl"](document([0] * 10)))
    await counted.update_state_with_delta(SESSION_ID, {"n": 1})
    await manager.update_state_with_delta(SESSION_ID, {"n": 2})
    with round_trips(proxy, at_most=3):  # the cached head is outdated
        await counted.update_state_with_delta(SESSION_ID, {"n": 3})


@cache
def long_session(layout: Layout, head: int) -> bytes:
    """A session with 5,000 actions, and `head` more bytes before them."""
    return layout(document([200] * 5_000, more="x" * head))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("offset", [0, 20, 900, 4_000, 4_990, 9_000])
@pytest.mark.parametrize("head", [0, 100_000], ids=["small head", "head of 100 kB"])
async def test_a_history_page_takes_at_most_two(
    proxy: Proxy, counted: StateManager, valkey: ValkeyServer, layout: Layout, offset: int, head: int
) -> None:
    put(valkey, long_session(layout, head))
    with round_trips(proxy, at_most=2):
        page = await counted.get_action_history(SESSION_ID, 20, offset)
    assert [action["t"] for action in page.trajectory] == list(range(4_999 - offset, -1, -1))[:20]


async def test_the_newest_page_takes_one(proxy: Proxy, counted: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, LAYOUTS["awictl"](document([100] * 5_000)))
    with round_trips(proxy, at_most=1):
        await counted.get_action_history(SESSION_ID)


async def test_history_pages_with_actions_of_varied_sizes_take_at_most_three(
    proxy: Proxy, counted: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, LAYOUTS["awictl"](document(varied_sizes(5_000, seed=1))))
    for offset in range(0, 5_000, 250):
        with round_trips(proxy, at_most=3):
            await counted.get_action_history(SESSION_ID, 20, offset)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
async def test_a_whole_trajectory_that_is_in_redis_takes_one(
    proxy: Proxy, counted: StateManager, valkey: ValkeyServer, layout: Layout
) -> None:
    put(valkey, layout(document([0] * 90)))
    with round_trips(proxy, at_most=1):
        whole = await counted.time_travel.whole(SESSION_ID)
    assert [one.ordinal for one in whole.steps] == list(range(90))
    with round_trips(proxy, at_most=2):
        assert (await counted.time_travel.compare(SESSION_ID, SESSION_ID)).equal


async def test_touching_many_sessions_takes_two(proxy: Proxy, counted: StateManager) -> None:
    ids = [(await counted.initialize_session(f"agent-{n}", "Agent"))["session_id"] for n in range(50)]
    with round_trips(proxy, at_most=2):
        assert await counted.touch_sessions(ids) == [True] * 50


async def test_a_listing_takes_one_for_the_keys_and_one_for_the_heads(proxy: Proxy, counted: StateManager) -> None:
    for n in range(50):
        await counted.initialize_session(f"agent-{n}", "Agent")
    with round_trips(proxy, at_most=2):
        assert len([listed async for listed in counted.list_sessions()]) == 51
