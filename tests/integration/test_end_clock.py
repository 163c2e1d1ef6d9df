"""Ends of sessions while the clock is set back: the archive tells which version is newer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.archives import Backend, MongoBackend, SqliteBackend
from support.documents import AGENT_ID, SESSION_ID, plain, stored
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.timestamps import timestamp
from awictl.sessions import update


@pytest.fixture(params=["sqlite", "mongo"])
def settings(request: pytest.FixtureRequest, valkey: ValkeyServer, tmp_path: Path) -> Settings:
    """Settings with an archive of each kind."""
    backend: Backend
    if request.param == "mongo":
        backend = MongoBackend(request.getfixturevalue("mongo"))
    else:
        backend = SqliteBackend(tmp_path / "archive.db")
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    return valkey.settings(**archive)


@pytest.mark.parametrize("ended_by", ["this version", "an earlier version"])
async def test_a_session_is_ended_although_the_clock_was_set_back_after_a_sweep(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, ended_by: str
) -> None:
    async with StateManager.open(settings) as manager:
        await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
        sweeper = manager.sweeper(10**9)
        assert (await sweeper.sweep(await sweeper.candidates())).archived == 1
        before = plain(stored(valkey))["last_updated"]
        set_back = timestamp(datetime.fromisoformat(before) - timedelta(hours=1))
        monkeypatch.setattr(update, "timestamp", lambda: set_back)
        if ended_by == "an earlier version":  # it recorded the end with the time of the clock
            monkeypatch.setattr("awictl.document.update.after_update", lambda _, now: now)
        done = await manager.end_session(SESSION_ID)
        assert done.actions == 3 and valkey.raw.keys() == []
        found = await manager.get_archived_session(SESSION_ID)
    assert found is not None and not found.summary.active
    assert [one["action"] for one in found.document["history"]["actions"]][-1] == "session_end"
    assert (found.document["last_updated"] > before) == (ended_by == "this version")


async def test_a_session_is_ended_although_its_statistics_were_lowered_too(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with StateManager.open(settings) as manager:
        await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
        sweeper = manager.sweeper(10**9)
        assert (await sweeper.sweep(await sweeper.candidates())).archived == 1
        before = datetime.fromisoformat(plain(stored(valkey))["last_updated"])
        monkeypatch.setattr(update, "timestamp", lambda: timestamp(before - timedelta(days=2)))
        await manager.update_state_with_delta(SESSION_ID, {"statistics": {"total_actions": -5}})
        assert (await manager.end_session(SESSION_ID)).actions == 4
        assert valkey.raw.keys() == []
