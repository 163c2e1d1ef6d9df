"""Trimming trajectories: the oldest actions are dropped in batches, `t` continues, and every count stays exact."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from support.documents import (
    APP_FILES,
    LAYOUTS,
    SESSION_ID,
    Layout,
    assert_consistent,
    assert_same,
    document,
    plain,
    put,
    stored,
)
from support.mongo_live import HAS_AN_ARCHIVE, needs_redis
from support.monitor import monitored
from support.proxy import Cut, once, proxied
from support.valkey import ValkeyServer

from awictl import OutcomeUnknown, StateManager, Updated
from awictl.document.keys import new_op_id


async def update_many(manager: StateManager, numbers: range) -> None:
    for n in numbers:
        await manager.update_state_with_delta(SESSION_ID, {"n": n}, {"input": n})


def assert_exact(actions: list[Any], history: dict[str, Any], updates_made: int, limit: int) -> None:
    """Assert that the newest actions are kept without a gap, `limit` at most, and that the others are counted."""
    numbers = [action["t"] for action in actions]
    assert numbers == list(range(updates_made + 1 - len(numbers), updates_made + 1))
    assert limit - max(limit // 10, 1) < len(actions) <= limit
    assert history["trimmed_actions"] == updates_made + 1 - len(numbers)


@pytest.mark.parametrize(
    ("limit", "warm"),
    [*((limit, warm) for limit in (2, 3, 10) for warm in (True, False)), (99, True)],
    ids=lambda value: value if isinstance(value, int) and value > 1 else "warm" if value else "cold",
)
async def test_the_newest_actions_are_kept(valkey: ValkeyServer, limit: int, warm: bool) -> None:
    async with StateManager.open(valkey.settings(max_actions=limit)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await update_many(manager, range(1, limit))
        assert "trimmed_actions" not in plain(stored(valkey))["history"]
        for n in range(limit, 3 * limit + 3):
            if warm:
                await update_many(manager, range(n, n + 1))
            else:
                async with StateManager.open(valkey.settings(max_actions=limit)) as other:
                    await update_many(other, range(n, n + 1))
            actions = await assert_consistent(manager, valkey)
            assert_exact(actions, plain(stored(valkey))["history"], n, limit)
        assert plain(stored(valkey))["statistics"]["total_actions"] == 3 * limit + 2, "statistics count all actions"


async def test_a_limit_of_one_keeps_the_last_action(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(max_actions=1)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        for n in range(1, 5):
            await update_many(manager, range(n, n + 1))
            assert [action["t"] for action in await assert_consistent(manager, valkey)] == [n]
            assert plain(stored(valkey))["history"]["trimmed_actions"] == n


async def test_the_cost_of_trimming_is_shared(valkey: ValkeyServer) -> None:
    limit = 1000
    async with StateManager.open(valkey.settings(max_actions=limit)) as manager:
        put(valkey, LAYOUTS["awictl"](document([20] * limit)))
        before = len(stored(valkey))
        with monitored(valkey) as seen:
            await update_many(manager, range(limit, limit + 500))
        session = f'"AWI:SESSION:{SESSION_ID}"'
        # a rewrite of the string is a SET; a full read requests as many bytes as a document may have
        rewrites = [line for name, line in seen if name == "SET" and line.split()[4] == session]
        all_bytes = str(manager.settings.max_document_bytes - 1)
        reads = [line for name, line in seen if name == "GETRANGE" and all_bytes in line]
        assert len(rewrites) <= 6 and len(reads) <= 6, "once in 100 updates, and once for a larger head"
        actions = await assert_consistent(manager, valkey)
        assert_exact(actions, plain(stored(valkey))["history"], limit + 499, limit)
        assert len(stored(valkey)) < before * 2


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
async def test_a_lower_limit_trims_all_excess_actions(valkey: ValkeyServer, layout: Layout) -> None:
    put(valkey, layout(document([5] * 300)))
    async with StateManager.open(valkey.settings(max_actions=50)) as manager:
        await update_many(manager, range(300, 301))
        actions = await assert_consistent(manager, valkey)
        assert [action["t"] for action in actions] == list(range(255, 301))
        assert plain(stored(valkey))["history"]["trimmed_actions"] == 255


async def test_a_document_of_the_app_whose_t_sticks_at_100_is_trimmed(valkey: ValkeyServer) -> None:
    original = json.loads(APP_FILES[3].read_bytes())
    put(valkey, APP_FILES[3].read_bytes())
    async with StateManager.open(valkey.settings(max_actions=100)) as manager:
        await update_many(manager, range(1))
        actions = await assert_consistent(manager, valkey)
        assert_same(actions[:-1], original["history"]["actions"][10:])
        assert actions[-1]["t"] == 127 and len(actions) == 91
        assert plain(stored(valkey))["history"]["trimmed_actions"] == 127 - 90
        await update_many(manager, range(1, 60))
        actions = await assert_consistent(manager, valkey)
        assert actions[-1]["t"] == 186 and 90 < len(actions) <= 100


async def test_pages_stay_exact_across_the_limit(valkey: ValkeyServer) -> None:
    limit = 40
    async with StateManager.open(valkey.settings(max_actions=limit)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        for n in range(1, 150):
            await manager.update_state_with_delta(SESSION_ID, {"text": "x" * (n * 37 % 4000)}, {"input": "y" * 2000})
            actions = plain(stored(valkey))["history"]["actions"]
            for offset in (0, len(actions) - 1, len(actions), n * 7 % limit):
                page = await manager.get_action_history(SESSION_ID, 5, offset)
                assert page.total == len(actions)
                assert page.trajectory == actions[::-1][offset : offset + 5]


OP_ID = "op-lost"
LIMIT = 10


@pytest.fixture
async def limited(valkey: ValkeyServer) -> AsyncIterator[StateManager]:
    """A manager with a limit of ten actions, and a session."""
    async with StateManager.open(valkey.settings(max_actions=LIMIT)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        yield manager


async def update_with_lost_reply(valkey: ValkeyServer, cut: Cut, others: int, op_id: str = OP_ID) -> Updated:
    """An update whose connection is cut; another manager makes `others` updates before the retry."""
    settings = valkey.settings(max_actions=LIMIT)
    async with (
        proxied(valkey) as proxy,
        StateManager.open(settings) as other,
        StateManager.open(replace(proxy.settings(), max_actions=LIMIT)) as manager,
    ):
        await other.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": "warm-up"})
        proxy.before_cut = lambda: update_many(other, range(others))
        proxy.rule = once(cut, *proxy.update_with(op_id))
        try:
            return await manager.apply(SESSION_ID, {"mine": 1}, {"op_id": op_id})
        finally:
            assert proxy.all_cuts == 1


@pytest.mark.parametrize("cut", Cut)
async def test_an_op_id_that_was_not_trimmed_is_found(valkey: ValkeyServer, cut: Cut) -> None:
    updated = await update_with_lost_reply(valkey, cut, others=5)
    assert updated.head["mine"] == 1
    document = plain(stored(valkey))
    assert [action.get("op_id") for action in document["history"]["actions"]].count(OP_ID) == 1
    assert document["statistics"]["total_actions"] == 1 + 5 + 1
    assert (updated.action is None) == (cut is Cut.REPLY), "None: it had been applied before"


@pytest.mark.parametrize("cut", Cut)
async def test_an_update_whose_op_id_was_trimmed_is_not_applied_again(valkey: ValkeyServer, cut: Cut) -> None:
    needs_redis(valkey, HAS_AN_ARCHIVE)
    with pytest.raises(OutcomeUnknown, match=OP_ID) as raised:
        await update_with_lost_reply(valkey, cut, others=3 * LIMIT)
    assert raised.value.op_id == OP_ID
    applied = int(cut is Cut.REPLY)
    document = plain(stored(valkey))
    assert document["statistics"]["total_actions"] == 1 + 3 * LIMIT + applied
    assert ("mine" in document) == bool(applied)


async def test_repeating_an_update_whose_outcome_is_unknown_never_applies_it_twice(valkey: ValkeyServer) -> None:
    """Promise 3 of DESIGN, also if the action was trimmed: op_ids that awictl creates contain their time."""
    needs_redis(valkey, HAS_AN_ARCHIVE)
    op_id = new_op_id()
    with pytest.raises(OutcomeUnknown):
        await update_with_lost_reply(valkey, Cut.REPLY, others=3 * LIMIT, op_id=op_id)
    before = stored(valkey)
    async with StateManager.open(valkey.settings(max_actions=LIMIT)) as manager:
        with suppress(OutcomeUnknown):
            await manager.apply(SESSION_ID, {"mine": 1}, {"op_id": op_id})
    assert stored(valkey) == before, "it had been applied once"


async def test_a_fresh_op_id_is_applied_to_a_busy_session(limited: StateManager) -> None:
    """Even if the oldest kept action is very recent."""
    await update_many(limited, range(3 * LIMIT))
    updated = await limited.apply(SESSION_ID, {"mine": 1}, {"op_id": new_op_id()})
    assert updated.action is not None and updated.head["mine"] == 1
