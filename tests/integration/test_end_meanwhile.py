"""Concurrent changes while a session is ended: a delta, another end, a write or a deletion by the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from support.documents import compact, plain
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, Refused, Settings, StateManager, Unreachable, UpdateConflict
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import decode
from awictl.errors import AwiError
from awictl.store.endings import Taken

Meanwhile = Callable[[], Awaitable[object]]


@pytest.fixture
def settings(valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Nothing is given up because the machine is slow."""
    monkeypatch.setattr("awictl.sessions.end.DEADLINE_SECONDS", 60.0)
    return valkey.settings(mongodb_uri=mongo.uri, timeout=60)


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


def written_back(valkey: ValkeyServer, raw: bytes, name: str) -> bytes:
    """Write a session that was read before as the app does: with one more action, and without comparing."""
    document = plain(raw)
    actions = document["history"]["actions"]
    action = {"t": len(actions), "action": name, "input": {}, "delta": {}, "timestamp": document["last_updated"]}
    document["history"] |= {"actions": [*actions, action][-100:], "last_action": action}
    document["statistics"]["total_actions"] += 1
    written = compact(document)
    valkey.raw.set(f"AWI:SESSION:{document['session_id']}", written, px=60_000)
    return written


def after_taking(manager: StateManager, *meanwhile: Meanwhile) -> None:
    """Run each of `meanwhile` once, after the session was taken, or taken again."""
    endings = manager.store.endings
    take, pending = endings.take, list(meanwhile)

    async def taken(session_id: str) -> Taken:
        result = await take(session_id)
        if pending:
            await pending.pop(0)()
        return result

    endings.take = taken  # type: ignore[method-assign]


async def test_a_session_that_is_being_ended_is_gone_for_its_agent(
    manager: StateManager, other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    async with StateManager.open(settings) as ending:

        async def meanwhile() -> None:
            assert await other.find_session_for_agent("agent") is None
            with pytest.raises(NotFound):
                await other.update_state_with_delta(session_id, {"late": "delta"}, {"action": "late", "input": 1})
            with pytest.raises(Refused, match="being ended"):
                await other.restore_session(session_id)
            found = await other.find_session(session_id)
            assert found.stored is not None and "is being ended" in found.origin
            assert plain(found.stored.raw)["history"]["last_action"]["action"] == "session_end"

        after_archiving(ending, meanwhile)
        assert (await ending.end_session(session_id)).actions == 2
        assert await actions_in_archive(ending, session_id) == ["session_start", "session_end"]
    assert valkey.raw.keys() == []


async def test_an_update_that_the_app_read_before_the_end_is_archived_before_it(
    session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    """The app brings the session back twice; the second time from what it wrote itself. One end is recorded."""
    versions = [valkey.raw.get(f"AWI:SESSION:{session_id}")]

    async def first() -> None:
        versions.append(written_back(valkey, versions[0], "first"))

    async def second() -> None:
        written_back(valkey, versions[1], "second")

    async with StateManager.open(settings) as ending:
        after_taking(ending, first, second)
        ended = await ending.end_session(session_id)
        assert await actions_in_archive(ending, session_id) == ["session_start", "first", "second", "session_end"]
        assert ended.actions == 4
    assert valkey.raw.keys() == []


async def test_what_the_app_overwrites_and_cuts_meanwhile_is_archived(
    other: StateManager, session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    """The app read 120 actions before awictl recorded one more, and writes its last 100 after the session was taken."""
    for number in range(119):
        await other.update_state_with_delta(session_id, {}, {"action": f"a{number}"})
    raw = valkey.raw.get(f"AWI:SESSION:{session_id}")
    await other.update_state_with_delta(session_id, {}, {"action": "overwritten"})

    async def app() -> None:
        assert len(plain(written_back(valkey, raw, "by_the_app"))["history"]["actions"]) == 100

    async with StateManager.open(settings) as ending:
        after_taking(ending, app)
        await ending.end_session(session_id)
        assert await actions_in_archive(ending, session_id) == [
            "session_start", *(f"a{number}" for number in range(119)), "overwritten", "by_the_app", "session_end",
        ]  # fmt: skip


async def test_an_update_that_the_app_writes_after_the_archiving_is_archived_too(
    session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    raw = valkey.raw.get(f"AWI:SESSION:{session_id}")

    async def app() -> None:
        written_back(valkey, raw, "by_the_app")

    async with StateManager.open(settings) as ending:
        after_archiving(ending, app)
        await ending.end_session(session_id)
        assert await actions_in_archive(ending, session_id) == [
            "session_start", "session_end", "by_the_app", "session_end",
        ]  # fmt: skip
    assert valkey.raw.keys() == []


async def test_an_update_that_the_app_writes_long_after_the_end_is_archived_by_a_sweep(
    session_id: str, settings: Settings, valkey: ValkeyServer
) -> None:
    """The session is live again, for a while; what the archive has of it is kept."""
    raw = valkey.raw.get(f"AWI:SESSION:{session_id}")
    async with StateManager.open(settings) as ending:
        await ending.end_session(session_id)
        written_back(valkey, raw, "by_the_app")
        sweeper = ending.sweeper(10**9)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert (swept.failed, swept.stopped) == ({}, None)
        assert await actions_in_archive(ending, session_id) == ["session_start", "session_end", "by_the_app"]
        await ending.end_session(session_id)
        assert (await actions_in_archive(ending, session_id))[-2:] == ["by_the_app", "session_end"]
    assert valkey.raw.keys() == []


async def test_a_session_that_keeps_being_written_back_is_archived_and_reported(
    session_id: str, settings: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.sessions.end.DEADLINE_SECONDS", 0.0)
    key = f"AWI:SESSION:{session_id}"
    raw = valkey.raw.get(key)

    async def app() -> None:
        written_back(valkey, raw, "by_the_app")

    async with StateManager.open(settings) as ending:
        after_archiving(ending, app)
        with pytest.raises(UpdateConflict, match=r"keeps writing it back.*end the session again"):
            await ending.end_session(session_id)
        assert await actions_in_archive(ending, session_id) == ["session_start", "session_end"]
        assert valkey.raw.hkeys("AWI:ENDING") == [session_id.encode()] and valkey.raw.exists(key) == 1
        assert (await ending.finish_ends()).keys() == {session_id}, "a sweep does that"
        assert "by_the_app" in await actions_in_archive(ending, session_id)
    assert valkey.raw.keys() == []


async def test_a_session_that_cannot_be_archived_is_put_back_and_waits(
    session_id: str, settings: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"AWI:SESSION:{session_id}"
    async with StateManager.open(settings) as ending:

        async def full(snapshots: list[Snapshot]) -> dict[str, AwiError | None]:
            assert valkey.raw.exists(key) == 0 and valkey.raw.hkeys("AWI:ENDING") == [session_id.encode()]
            raise Unreachable("the archive is full")

        with monkeypatch.context() as patched:
            patched.setattr(ending.required_archive(), "save", full)
            with pytest.raises(Unreachable, match="stays in Redis, marked as ended and without a TTL"):
                await ending.end_session(session_id)
        assert valkey.raw.pttl(key) == -1 and valkey.raw.exists("AWI:ENDING") == 0
        assert decode(valkey.raw.get(key))["history"]["last_action"]["action"] == "session_end"
        assert (await ending.end_session(session_id)).actions == 2
    assert valkey.raw.keys() == []


async def test_an_end_that_was_interrupted_is_discarded(
    other: StateManager, session_id: str, valkey: ValkeyServer
) -> None:
    await other.store.endings.take(session_id)
    assert (await other.discard_session(session_id)).actions == 1
    assert valkey.raw.keys() == []
    with pytest.raises(NotFound):
        await other.discard_session(session_id)


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
    recorded = [one["input"] for one in found.document["history"]["actions"] if one["action"] == "list_posts"]
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
