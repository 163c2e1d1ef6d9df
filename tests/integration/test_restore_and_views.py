"""A session that is live again has no view in the app's collection: the app could not save its own document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.documents import AGENT_ID, SESSION_ID, put, session_key, stored
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.transfer import publish


@pytest.fixture
async def manager(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[StateManager]:
    """A manager with both servers, and one session that has ended."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as made:
        await made.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
        await made.end_session(SESSION_ID)
        assert mongo.sessions.count_documents({}) == 1
        yield made


async def test_a_sweep_in_the_middle_of_a_restore_leaves_no_view(
    manager: StateManager, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It publishes the session again between the two steps of the restore."""
    real = manager.store.restore

    async def restore(session_id: str, agent_id: str | None, raw: bytes) -> Any:
        await publish(manager.store, manager.required_archive(), [session_id])
        assert mongo.sessions.count_documents({}) == 1
        return await real(session_id, agent_id, raw)

    monkeypatch.setattr(manager.store, "restore", restore)
    await manager.restore_session(SESSION_ID)
    assert mongo.sessions.count_documents({}) == 0


@pytest.mark.parametrize("margin_ms", [1, 10_000_000], ids=["watch", "sweep"])
async def test_a_view_that_an_interrupted_restore_left_is_withdrawn(
    manager: StateManager, valkey: ValkeyServer, mongo: MongoServer, margin_ms: int
) -> None:
    """The restored bytes are those that are archived, and end with the session's end."""
    await manager.restore_session(SESSION_ID)
    raw = stored(valkey)
    valkey.raw.delete(session_key())
    await publish(manager.store, manager.required_archive(), [SESSION_ID])
    put(valkey, raw)
    sweeper = manager.sweeper(margin_ms)
    if margin_ms == 1:
        await sweeper.watcher(0.1).look(asyncio.Event())
        assert mongo.sessions.count_documents({}) == 0
    else:
        await sweeper.sweep(await sweeper.candidates())
        assert valkey.raw.exists(session_key()) == 0
        assert mongo.sessions.count_documents({}) == 1
