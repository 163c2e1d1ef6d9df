"""Concurrent writers of one session in several processes: no update is lost, and none is applied twice.

The tests marked `soak` run the full load; `-rP` prints their figures.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

import pytest
from support.documents import SESSION_ID, assert_consistent, plain, stored
from support.mongo_live import MongoLive, needs_redis
from support.proxy import Cut, once, proxied, sometimes
from support.valkey import ValkeyServer
from support.writer import Order, Results, assert_nothing_lost, run_writers

from awictl import Settings, StateManager
from awictl.sessions import update

#: (processes, writers per process, deltas per writer)
Load = tuple[int, int, int]
SMALL: Load = (4, 4, 25)
FULL: Load = (4, 8, 500)
#: Share of requests whose connection is cut.
CUT_SHARE = 0.02


async def write_concurrently(settings: Settings, load: Load, *, own_op_ids: bool = False) -> Results:
    """Update the session under a load, and print the figures."""
    processes, writers, deltas = load
    started = time.monotonic()
    fields = {name: value for name, value in asdict(settings).items() if name not in ("sources", "profile")}
    results = await run_writers(
        [Order(fields, SESSION_ID, f"p{index}", writers, deltas, own_op_ids) for index in range(processes)]
    )
    print(
        f"{processes} processes x {writers} writers x {deltas} deltas in {time.monotonic() - started:.1f} s: "
        + ", ".join(f"{len(markers):,} {name}" for name, markers in vars(results).items())
    )
    return results


async def create(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings()) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)


async def assert_all_applied(valkey: ValkeyServer, load: Load) -> None:
    await create(valkey)
    results = await write_concurrently(valkey.settings(max_actions=20_000), load)
    document = plain(stored(valkey))
    found = assert_nothing_lost(document, results)
    processes, writers, deltas = load
    assert len(found) == len(results.acknowledged) == processes * writers * deltas
    async with StateManager.open(valkey.settings()) as manager:
        await assert_consistent(manager, valkey)


async def assert_at_most_once(valkey: ValkeyServer, load: Load, *, own_op_ids: bool) -> Results:
    await create(valkey)
    async with proxied(valkey) as proxy:
        proxy.rule = sometimes(CUT_SHARE, seed=16)
        settings = proxy.settings(max_actions=20_000)
        results = await write_concurrently(settings, load, own_op_ids=own_op_ids)
        print("cuts:", {cut.value: count for cut, count in proxy.cuts.items()}, "requests:", proxy.round_trips)
        assert proxy.cuts[Cut.REPLY] and proxy.cuts[Cut.REQUEST] and proxy.cuts[Cut.HALF]
    document = plain(stored(valkey))
    found = assert_nothing_lost(document, results)
    processes, writers, deltas = load
    assert len(results) == processes * writers * deltas
    print(f"recorded: {len(found):,} updates; of the unknown ones {len(found.keys() & set(results.unknown))}")
    return results


async def test_no_update_is_lost(valkey: ValkeyServer) -> None:
    await assert_all_applied(valkey, SMALL)


@pytest.mark.soak
async def test_no_update_of_16_000_is_lost(valkey: ValkeyServer) -> None:
    await assert_all_applied(valkey, FULL)


@pytest.mark.parametrize("own_op_ids", [False, True], ids=["generated op_ids", "own op_ids"])
async def test_no_update_is_applied_twice_if_connections_are_cut(valkey: ValkeyServer, own_op_ids: bool) -> None:
    results = await assert_at_most_once(valkey, SMALL, own_op_ids=own_op_ids)
    assert results.unknown == [], "the server was reachable all the time"
    # MongoDB's driver waits for up to half a second after an error, so others may be faster all the time
    assert results.conflict == [] or isinstance(valkey, MongoLive)


@pytest.mark.soak
@pytest.mark.parametrize("own_op_ids", [False, True], ids=["generated op_ids", "own op_ids"])
async def test_no_update_of_16_000_is_applied_twice(valkey: ValkeyServer, own_op_ids: bool) -> None:
    await assert_at_most_once(valkey, FULL, own_op_ids=own_op_ids)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("cut", Cut)
async def test_one_cut_connection_does_not_stop_an_update(valkey: ValkeyServer, cut: Cut, warm: bool) -> None:
    await create(valkey)
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings()) as manager:
        for marker in ("warm-up", "other"):  # loads the scripts
            await manager.update_state_with_delta(SESSION_ID, {marker: 1})
        if not warm:
            async with StateManager.open(valkey.settings()) as other:
                await other.update_state_with_delta(SESSION_ID, {"other": 2})
        proxy.rule = once(cut, b"mine")
        updated = await manager.apply(SESSION_ID, {"mine": 1})
        assert proxy.cuts[cut] == proxy.all_cuts == 1
        assert updated.head["mine"] == 1
        actions = await assert_consistent(manager, valkey)
        assert [action["t"] for action in actions] == list(range(4 if warm else 5))
        assert [action["op_id"] for action in actions if "mine" in action["delta"]] == [updated.op_id]


@pytest.mark.parametrize("cut", Cut)
async def test_a_session_is_created_once_if_the_connection_is_cut(valkey: ValkeyServer, cut: Cut) -> None:
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings()) as manager:
        await manager.initialize_session("warm-up", "Agent")
        proxy.rule = once(cut, b"mine")
        document = await manager.initialize_session("mine", "Agent")
        assert proxy.all_cuts == 1
        assert await manager.find_session_for_agent("mine") == document["session_id"]
        assert await manager.get_session_state(document["session_id"]) == document
        assert len([listed async for listed in manager.list_sessions()]) == 2


async def test_reads_survive_a_cut_connection(valkey: ValkeyServer) -> None:
    await create(valkey)
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings()) as manager:
        for cut in Cut:
            proxy.rule = once(cut)
            assert await manager.get_session_state(SESSION_ID) is not None
        assert proxy.all_cuts == 3


async def test_more_concurrent_requests_than_connections(valkey: ValkeyServer, manager: StateManager) -> None:
    needs_redis(valkey, "its connections")
    documents = await asyncio.gather(*(manager.initialize_session(f"agent-{n}", "Agent") for n in range(300)))
    ids = [document["session_id"] for document in documents]
    await asyncio.gather(*(manager.update_state_with_delta(session_id, {"n": 1}) for session_id in ids))
    states = await asyncio.gather(*map(manager.get_session_state, ids))
    assert [state and state["n"] for state in states] == [1] * 300
    assert {listed.actions async for listed in manager.list_sessions()} == {2}


async def test_a_cancelled_update_does_not_harm_the_next(valkey: ValkeyServer, manager: StateManager) -> None:
    await create(valkey)
    await manager.update_state_with_delta(SESSION_ID, {"n": 0})
    tasks = [asyncio.create_task(manager.apply(SESSION_ID, {"n": n}, {"input": n})) for n in range(1, 101)]
    for count, task in enumerate(tasks):
        if count % 3 == 0:
            for _ in range(count % 7):
                await asyncio.sleep(0)
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    done = [n for n, result in enumerate(results, 1) if isinstance(result, update.Updated)]
    assert len(done) == 66
    actions = await assert_consistent(manager, valkey)
    inputs = [action["input"] for action in actions[2:]]
    assert [action["t"] for action in actions] == list(range(len(actions)))
    assert len(inputs) == len(set(inputs)) and set(done) <= set(inputs)
