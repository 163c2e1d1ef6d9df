"""Samples of the activity of all sessions, on a real server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.cli import unchanged
from support.documents import APP_FILES, LAYOUTS, Layout, document, put, session_key
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.diagnostics import activity
from awictl.diagnostics.activity import Order, Sampler
from awictl.document.byte_layout import encode
from awictl.document.token_estimate import tokens_per_step
from awictl.store.base import SessionStore
from awictl.store.mongo.sessions import MongoStore


def counted(server: ValkeyServer, name: str, total: object, failed: object = 0, **others: object) -> None:
    """A session with these statistics, in the layout of awictl."""
    made = document([], f"sess_{name}", **others)
    made["statistics"] |= {"total_actions": total, "failed_actions": failed}
    put(server, encode(made), f"sess_{name}")


async def test_rates_count_what_changed_since_the_previous_sample(manager: StateManager, valkey: ValkeyServer) -> None:
    counted(valkey, "a", 10, 4)
    counted(valkey, "b", 5)
    sampler = Sampler(manager.store)
    first = await sampler.sample()
    assert (first.sessions, first.actions_per_second, first.failures_per_second) == (2, None, None)
    assert {one.rate for one in first.shown} == {None}

    counted(valkey, "a", 16, 6)
    counted(valkey, "b", 2)  # ended and created again: no negative rate
    counted(valkey, "new", 3)
    second = await sampler.sample(Order.RATE)
    assert [one.session_id for one in second.shown] == ["sess_a", "sess_new", "sess_b"]
    rates = [one.rate or 0 for one in second.shown]
    assert second.actions_per_second == pytest.approx(sum(rates))
    assert second.failures_per_second == pytest.approx(rates[0] * 2 / 6)
    assert rates[0] == pytest.approx(rates[1] * 2) and rates[2] == 0

    third = await sampler.sample()
    assert third.actions_per_second == third.failures_per_second == 0


async def test_unreadable_sessions_are_counted(manager: StateManager, valkey: ValkeyServer) -> None:
    counted(valkey, "odd", "many", None, agent_name=["x"])
    put(valkey, b"{", "sess_bad")
    valkey.raw.lpush(session_key("sess_list"), "x")
    with unchanged(valkey):
        sample = await Sampler(manager.store).sample()
    assert (sample.sessions, sample.unreadable) == (3, 2)
    shown = {one.session_id: one for one in sample.shown}
    assert shown["sess_odd"].total is None and shown["sess_odd"].error is None
    assert shown["sess_bad"].error and shown["sess_list"].error


async def test_a_sample_keeps_only_the_first_sessions(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "MAX_SHOWN", 3)
    for number in range(1000):
        counted(valkey, f"{number:04}", number)
    sample = await Sampler(manager.store).sample(Order.ACTIONS, "SESS_00")
    assert (sample.sessions, sample.matching) == (1000, 100)
    assert [one.total for one in sample.shown] == [99, 98, 97]
    assert [row["total"] for row in sample.row(2)["top"]] == [99, 98]


STEPS = json.loads(APP_FILES[3].read_bytes())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
async def test_the_tokens_of_a_step_are_those_of_its_actions(
    manager: StateManager, valkey: ValkeyServer, layout: Layout
) -> None:
    """A listing has only the size of the trajectory, `session show` all of it."""
    put(valkey, layout(STEPS | {"filler": "x" * 5000}), "sess_steps")
    put(valkey, layout(STEPS | {"agent_name": None}), "sess_unnamed")
    put(valkey, layout(document([], "sess_none")), "sess_none")
    put(valkey, b"{", "sess_bad")
    await check_tokens(manager.store)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
async def test_the_tokens_of_a_step_are_the_same_in_mongodb(
    settings: Settings, mongo: MongoServer, layout: Layout
) -> None:
    store = MongoStore.open(replace(settings, mongodb_uri=mongo.uri))
    try:
        await store.put("sess_steps", None, layout(STEPS | {"filler": "x" * 5000}), None)
        await store.put("sess_unnamed", None, layout(STEPS | {"agent_name": None}), None)
        await store.put("sess_none", None, layout(document([], "sess_none")), None)
        await store.put("sess_bad", None, b"{", None)
        await check_tokens(store)
    finally:
        await store.close()


async def check_tokens(store: SessionStore) -> None:
    shown = {one.session_id: one for one in (await Sampler(store).sample()).shown}
    expected = tokens_per_step(STEPS["history"]["actions"])
    assert shown["sess_steps"].estimated_tokens_per_step == shown["sess_unnamed"].estimated_tokens_per_step == expected
    assert expected == 67
    assert shown["sess_none"].estimated_tokens_per_step is None
    assert shown["sess_bad"].estimated_tokens_per_step is None
