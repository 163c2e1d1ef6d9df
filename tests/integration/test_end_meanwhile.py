"""Concurrent changes while a session is ended: a delta, another end, a write or a deletion by the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from support.documents import compact, plain
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, Refused, Settings, StateManager, UpdateConflict
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import decode
from awictl.errors import AwiError

Meanwhile = Callable[[], Awaitable[object]]


@pytest.fixture
def settings(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    return valkey.settings(mongodb_uri=mongo.uri)


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[StateManager]:
    """A second manager, as of another process."""
    async with StateManager.open(settings) as opened:
        yield opened


@pytest.fixture
async def session_id(other: StateManager) -> str:
    created: str = (await other.initialize_session("agent", "Agent"))["session_id"]
    return created


def after_archiving(manager: StateManager, meanwhile: Meanwhile) -> None:
    """Run `meanwhile` once, after the session was archived and before it is deleted."""
    archive = manager.required_archive()
    save = archive.save
    pending = [meanwhile]

    async def saved(snapshots: list[Snapshot]) -> dict[str, AwiError | None]:
        results = await save(snapshots)
        if pending:
            await pending.pop()()
        return results

    archive.save = saved  # type: ignore[method-assign, assignment]


async def actions_in_archive(manager: StateManager, session_id: str) -> list[str]:
    found = await manager.get_archived_session(session_id)
    assert found is not None
    return [one["action"] for one in found.document["history"]["actions"]]


async def test_a_delta_between_archiving_and_deleting_is_archived(
    manager: StateManager, other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    async with StateManager.open(settings) as ending:
        after_archiving(
            ending, lambda: other.update_state_with_delta(session_id, {"late": "delta"}, {"action": "late", "input": 1})
        )
        ended = await ending.end_session(session_id)
        assert await actions_in_archive(ending, session_id) == ["session_start", "session_end", "late", "session_end"]
        found = await ending.get_archived_session(session_id)
        assert found is not None and found.document["late"] == "delta" and ended.actions == 4
    assert valkey.raw.keys() == []


async def test_a_write_of_the_app_between_archiving_and_deleting_is_archived(
    other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    """The app overwrites the whole document, in its own layout, without comparing."""
    key = f"AWI:SESSION:{session_id}"

    async def app() -> None:
        document = plain(valkey.raw.get(key))
        action = {"t": 2, "action": "by_the_app", "input": {}, "delta": {}, "timestamp": "2026-11-23T10:00:00.000Z"}
        document["history"]["actions"].append(action)
        document["history"]["last_action"] = action
        document["statistics"]["total_actions"] += 1
        valkey.raw.set(key, compact(document), px=60_000)

    async with StateManager.open(settings) as ending:
        after_archiving(ending, app)
        await ending.end_session(session_id)
        assert "by_the_app" in await actions_in_archive(ending, session_id)
    assert valkey.raw.exists(key) == 0


async def test_a_session_that_keeps_being_updated_is_not_deleted(
    other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.sessions.end.RETRY_SECONDS", 0.5)
    async with StateManager.open(settings) as ending:
        archive = ending.required_archive()
        save = archive.save

        async def saved(snapshots: list[Snapshot]) -> dict[str, AwiError | None]:
            results = await save(snapshots)
            await other.update_state_with_delta(session_id, {"on": 1})
            return results

        archive.save = saved  # type: ignore[method-assign, assignment]
        with pytest.raises(UpdateConflict):
            await ending.end_session(session_id)
    live = decode(valkey.raw.get(f"AWI:SESSION:{session_id}"))
    assert live["on"] == 1


async def test_two_concurrent_ends_record_one_end(
    session_id: str, settings: Settings, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    async with StateManager.open(settings) as one, StateManager.open(settings) as two:
        first, second = await asyncio.gather(one.end_session(session_id), two.end_session(session_id))
        assert (first.session_id, first.ended_at) == (second.session_id, second.ended_at)
        assert await actions_in_archive(one, session_id) == ["session_start", "session_end"]
    assert (valkey.raw.keys(), mongo.sessions.count_documents({})) == ([], 1)


async def test_no_acknowledged_update_is_lost(
    other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    acknowledged: list[int] = []
    started = asyncio.Event()

    async def write() -> None:
        for number in range(200):
            try:
                await other.update_state_with_delta(session_id, {"n": number}, {"input": number})
            except NotFound:
                return
            acknowledged.append(number)
            started.set()

    writer = asyncio.create_task(write())
    await started.wait()
    async with StateManager.open(settings) as ending:
        for _ in range(100):  # until the writer gets NotFound, or has written everything
            try:
                await ending.end_session(session_id)
            except UpdateConflict:
                continue
            break
        await writer
        found = await ending.get_archived_session(session_id)
    assert found is not None
    recorded = [one["input"] for one in found.document["history"]["actions"] if one["action"] == "state_update"]
    assert recorded == acknowledged


async def test_the_mapping_is_deleted_only_if_it_points_to_the_session(
    other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    later = (await other.initialize_session("agent", "Agent"))["session_id"]
    async with StateManager.open(settings) as ending:
        await ending.end_session(session_id)
        assert await ending.find_session_for_agent("agent") == later
        await ending.end_session(later)
    assert valkey.raw.keys() == []


async def test_a_session_deleted_by_the_app_meanwhile_is_in_the_archive(
    session_id: str, settings: Settings, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    async def app() -> None:
        valkey.raw.delete(f"AWI:SESSION:{session_id}")

    async with StateManager.open(settings) as ending:
        after_archiving(ending, app)
        assert (await ending.end_session(session_id)).archive == ending.required_archive().where
    assert mongo.sessions.count_documents({"sessionId": session_id, "sessionActive": False}) == 1


async def test_restored_and_ended_again(session_id: str, settings: Settings, valkey: ValkeyServer) -> None:
    async with StateManager.open(settings) as ending:
        await ending.update_state_with_delta(session_id, {"a.b": {"$set": 2**64 - 1}})
        await ending.end_session(session_id)
        restored, current = await ending.restore_session(session_id)
        assert current == session_id and valkey.raw.get(f"AWI:SESSION:{session_id}") == restored.raw
        assert 0 < valkey.raw.pttl(f"AWI:SESSION:{session_id}") <= settings.session_ttl_ms
        assert (await ending.restore_session(session_id))[1] == session_id, "it is restored already"
        await ending.update_state_with_delta(session_id, {}, {"action": "filter"})
        with pytest.raises(Refused, match="is live there"):
            await ending.restore_session(session_id)
        await ending.end_session(session_id)
        assert (await actions_in_archive(ending, session_id))[-3:] == ["session_end", "filter", "session_end"]
    assert valkey.raw.keys() == []
