"""A session with its whole trajectory: the actions that only the archive has are put before those that Redis has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.archives import Backend
from support.documents import AGENT_ID, SESSION_ID, app_update, compact, put, stored
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.history.timeline import StateAt
from awictl.document.json_codec import json_equal

LIMIT = 10


@pytest.fixture
def settings(valkey: ValkeyServer, backend: Backend) -> Settings:
    """Settings with a limit of ten actions, and an archive."""
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    return valkey.settings(max_actions=LIMIT, **archive)


@pytest.fixture
def unreadable(valkey: ValkeyServer, tmp_path: Path) -> Settings:
    """Settings with an archive that cannot be read."""
    path = tmp_path / "damaged.db"
    path.write_bytes(b"not a database" * 100)
    return valkey.settings(archive_url=f"sqlite:///{path}")


async def updated(manager: StateManager, count: int) -> list[dict[str, Any]]:
    """Create a session, and update it. Returns each document, without its trajectory."""
    heads = [await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)]
    for n in range(count):
        delta = {"n": n} if n % 2 else {"page_state": {"filters": {"tag": str(n)}}}
        heads.append(await manager.update_state_with_delta(SESSION_ID, delta, {"input": n, "success": n % 3 > 0}))
    return heads


def assert_states(states: list[StateAt], heads: list[dict[str, Any]]) -> None:
    """Assert that states are those that the session really had."""
    for found, expected in zip(states, heads, strict=True):
        known = {name: value for name, value in found.head.items() if name != "history"}
        assert json_equal(known, {name: value for name, value in expected.items() if name != "history"}), found
        assert not found.unknown


async def test_a_trimmed_session_is_whole_again(settings: Settings) -> None:
    async with StateManager.open(settings) as manager:
        heads = await updated(manager, 25)
        live = await manager.time_travel.whole(SESSION_ID)
        assert [one.ordinal for one in live.steps] == [*range(26)] and not live.notices
        assert live.stored is not None and len(live.document["history"]["actions"]) <= LIMIT
        assert_states([*live.timeline.states()], heads)
        await manager.end_session(SESSION_ID)
        archived = await manager.time_travel.whole(SESSION_ID)
        assert archived.stored is None and archived.archived is not None
        assert_states([*archived.timeline.states(stop=25)], heads)
        assert archived.timeline.last == 26


async def test_a_whole_session_needs_no_archive(unreadable: Settings) -> None:
    async with StateManager.open(unreadable) as manager:
        heads = await updated(manager, 3)
        whole = await manager.time_travel.whole(SESSION_ID)
        assert_states([*whole.timeline.states()], heads)
        assert not whole.notices


async def test_without_the_archive_its_part_is_unknown(settings: Settings, unreadable: Settings) -> None:
    async with StateManager.open(settings) as manager:
        await updated(manager, 15)
    async with StateManager.open(unreadable) as manager:
        whole = await manager.time_travel.whole(SESSION_ID)
        assert len(whole.notices) == 1 and "cannot be read" in whole.notices[0]
        assert whole.timeline.first > 0 and not whole.timeline.beginning_known


async def test_what_the_app_cut_and_overwrote_is_from_the_archive(settings: Settings, valkey: ValkeyServer) -> None:
    async with StateManager.open(settings) as manager:
        await updated(manager, 6)
        before = stored(valkey)
        await manager.update_state_with_delta(SESSION_ID, {"lost": True}, {"input": "overwritten"})
        sweeper = manager.sweeper(10**9)
        await sweeper.sweep(await sweeper.candidates())
        put(valkey, before)  # the app writes what it read before
        app_update(valkey, "2026-11-24T10:00:00.000Z")
        document = (await manager.time_travel.whole(SESSION_ID)).document
        document["history"]["actions"] = document["history"]["actions"][3:]  # and cuts it
        put(valkey, compact(document))
        whole = await manager.time_travel.whole(SESSION_ID)
    assert [one.action["input"] for one in whole.steps if one.overwritten] == ["overwritten"]
    kept = [one.ordinal for one in whole.steps if not one.overwritten]
    assert kept == [*range(8)]
    assert "lost" not in whole.timeline.state_at(7).head and "lost" not in whole.timeline.state_at(6).head
