"""What earlier versions of awictl archived in MongoDB: read as it is, and moved to awictl's own collections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.archives import (
    NOW,
    ended,
    incompressible,
    listed,
    mark_expired,
    overdue,
    saved,
    session,
    snapshot,
    stamp,
    trimmed,
)
from support.cli import Cli
from support.documents import SESSION_ID, app_updated, assert_same, compact, put
from support.mongo import MongoServer
from support.old_archive import put_old
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.archive.base import Archive, Archived, Shape
from awictl.archive.chunks import Chunk
from awictl.archive.decision import ArchivedState
from awictl.archive.mongo.archive import MongoArchive
from awictl.errors import InvalidData, ReadOnly

LIVE, ENDED, EXPIRED, TRIMMED, LARGE = "sess_live", "sess_ended", "sess_expired", "sess_trimmed", "sess_large"


@pytest.fixture
def settings(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    return valkey.settings(mongodb_uri=mongo.uri)


@pytest.fixture
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    async with StateManager.open(settings) as made:
        yield made


@pytest.fixture
def archive(manager: StateManager) -> MongoArchive:
    made = manager.required_archive()
    assert isinstance(made, MongoArchive)
    return made


def put_all(mongo: MongoServer, valkey: ValkeyServer) -> None:
    """One session of each kind; the live one is in Redis."""
    put_old(mongo, snapshot(session(3, LIVE), ttl_ms=60_000))
    put_old(mongo, snapshot(ended(session(4, ENDED))))
    put_old(mongo, snapshot(session(5, EXPIRED), ttl_ms=60_000), expired_at=NOW + timedelta(minutes=1))
    rest, gone = trimmed(8, 5, TRIMMED)
    put_old(mongo, snapshot(ended(rest)), trimmed=[Chunk(0, gone)])
    large = incompressible(5, 2_000) | {"session_id": LARGE}
    put_old(mongo, snapshot(ended(large)), parts=3)
    put(valkey, compact(session(3, LIVE)), LIVE)


async def everything_of_awictl(archive: Archive) -> dict[str, Archived]:
    found = {}
    for one in await listed(archive):
        if one.shape is Shape.AWICTL:
            loaded = await archive.load(one.session_id)
            assert loaded is not None and loaded.raw is not None
            found[one.session_id] = loaded
    return found


def assert_equal(found: dict[str, Archived], wanted: dict[str, Archived]) -> None:
    assert found.keys() == wanted.keys()
    for session_id, one in wanted.items():
        assert_same(found[session_id].document, one.document)
        assert found[session_id].raw == one.raw
        mine, its = found[session_id].summary, one.summary
        assert (mine.agent_id, mine.started_at, mine.last_activity_at, mine.ended_at, mine.active, mine.bytes) == (
            its.agent_id, its.started_at, its.last_activity_at, its.ended_at, its.active, its.bytes,
        )  # fmt: skip


def left(mongo: MongoServer) -> tuple[int, int]:
    """Numbers of old documents and of old parts."""
    return mongo.sessions.count_documents({"awi.format": 1}), mongo.raw["agentsessions.parts"].count_documents({})


async def test_all_sessions_are_moved(
    manager: StateManager, archive: MongoArchive, mongo: MongoServer, valkey: ValkeyServer
) -> None:
    put_all(mongo, valkey)
    theirs = mongo.put_app_documents()
    app_before = list(mongo.sessions.find({"awi": {"$exists": False}}))
    query: dict[str, Any] = {"sessionActive": False, "sessionId": {"$nin": list(theirs)}}
    seen_by_the_app = {one["sessionId"]: one for one in mongo.sessions.find(query)}
    before = await everything_of_awictl(archive)
    assert await archive.count_old_sessions() == 5

    done = await manager.migrate_archive()
    assert done.row() == {"found": 5, "migrated": 5, "chunks": 0, "failed": 0}
    assert_equal(await everything_of_awictl(archive), before)
    assert left(mongo) == (0, 0) and mongo.archived.count_documents({}) == 5
    states = {one.session_id: one.state for one in await listed(archive) if one.shape is Shape.AWICTL}
    assert states[LIVE] is ArchivedState.LIVE and states[EXPIRED] is ArchivedState.EXPIRED
    assert states[ENDED] is states[TRIMMED] is states[LARGE] is ArchivedState.ENDED

    # the app's own queries find the same, and it can save the live session itself
    shown = {one["sessionId"]: one for one in mongo.sessions.find(query)}
    assert {name: one["actionHistory"][-3:] for name, one in shown.items()} == {
        name: one["actionHistory"][-3:] for name, one in seen_by_the_app.items()
    }
    assert {one["sessionEndedAt"] for one in shown.values()} == {
        one["sessionEndedAt"] for one in seen_by_the_app.values()
    }
    assert len(shown[TRIMMED]["actionHistory"]) == 9
    mongo.sessions.insert_one({"sessionId": LIVE, "sessionActive": False})
    assert list(mongo.sessions.find({"awi": {"$exists": False}, "sessionId": {"$ne": LIVE}})) == app_before
    assert [one async for one in archive.unpublished()] == []

    again = await manager.migrate_archive()
    assert again.row() == {"found": 0, "migrated": 0, "chunks": 0, "failed": 0}


async def test_an_interrupted_migration_is_completed(
    manager: StateManager, mongo: MongoServer, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its requests fails: every session can be read afterwards, and the next run moves the rest."""
    archive = manager.required_archive()
    assert isinstance(archive, MongoArchive)
    put_all(mongo, valkey)
    before = await everything_of_awictl(archive)
    collection = type(archive.collections.sessions)
    real = {name: getattr(collection, name) for name in ("bulk_write", "delete_many", "update_many")}
    calls = 0
    fail_at = 0

    def failing(name: str) -> Any:
        async def request(self: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fail_at:
                raise OSError("killed")
            return await real[name](self, *arguments, **options)

        return request

    for name in real:
        monkeypatch.setattr(collection, name, failing(name))
    finished = 0
    while not finished:
        fail_at, calls = fail_at + 1, 0
        with suppress(OSError):
            await manager.migrate_archive()
            finished = calls < fail_at
        fail_now, fail_at = fail_at, 0
        assert_equal(await everything_of_awictl(archive), before)
        if not finished:
            assert (await manager.migrate_archive()).failed == {}
            assert left(mongo) == (0, 0)
            assert_equal(await everything_of_awictl(archive), before)
            mongo.clear()
            put_all(mongo, valkey)
        fail_at = fail_now
    assert fail_at > 6, "there were that many requests"


async def test_a_damaged_session_is_left_where_it_is(
    manager: StateManager, archive: MongoArchive, mongo: MongoServer
) -> None:
    put_old(mongo, snapshot(ended(session(4, ENDED))))
    put_old(mongo, snapshot(ended(session(4, "sess_damaged"))))
    mongo.sessions.update_one({"sessionId": "sess_damaged"}, {"$set": {"awi.packed": b"x"}})
    before = mongo.sessions.find_one({"sessionId": "sess_damaged"})
    done = await manager.migrate_archive()
    assert (done.found, done.migrated) == (2, 1) and isinstance(done.failed["sess_damaged"], InvalidData)
    assert mongo.sessions.find_one({"sessionId": "sess_damaged"}) == before
    # it does not keep a later version from being archived
    await saved(archive, snapshot(ended(session(6, "sess_damaged"))))
    found = await archive.load("sess_damaged")
    assert found is not None and len(found.document["history"]["actions"]) == 7
    assert [one.session_id for one in await listed(archive)].count("sess_damaged") == 1


async def test_saving_moves_the_old_version_first(archive: MongoArchive, mongo: MongoServer) -> None:
    """So that nothing that it has gets lost."""
    put_old(mongo, snapshot(session(80), ttl_ms=60_000))
    cut = session(120)
    cut["history"]["actions"] = cut["history"]["actions"][20:]
    cut["statistics"]["total_actions"] = 119
    await saved(archive, snapshot(cut, ttl_ms=60_000))
    found = await archive.load(SESSION_ID)
    assert found is not None
    assert [one["t"] for one in found.document["history"]["actions"]] == list(range(120))
    assert found.summary.gaps == ()
    assert mongo.sessions.count_documents({}) == 0, "the app can save the session itself"


async def test_a_session_that_went_on_after_an_interrupted_migration(
    manager: StateManager, archive: MongoArchive, mongo: MongoServer
) -> None:
    """The old document is removed if it is of the same session; otherwise, it is left and reported."""
    put_old(mongo, snapshot(session(3), ttl_ms=60_000))
    old = list(mongo.sessions.find())
    await saved(archive, snapshot(session(5), ttl_ms=60_000))
    mongo.sessions.insert_many(old)
    other = session(3, "sess_other")
    put_old(mongo, snapshot(other, ttl_ms=60_000))
    old_other = list(mongo.sessions.find({"sessionId": "sess_other"}))
    mongo.sessions.delete_many({"sessionId": "sess_other"})
    changed = session(5, "sess_other")
    for one in changed["history"]["actions"]:
        one["input"] = {"changed": True}
    changed["statistics"]["session_start"] = stamp(-60)
    await saved(archive, snapshot(changed, ttl_ms=60_000))
    mongo.sessions.insert_many(old_other)
    done = await manager.migrate_archive()
    assert (done.found, done.migrated) == (2, 1) and "another version" in str(done.failed["sess_other"])
    assert list(mongo.sessions.find()) == old_other
    assert {one.session_id for one in await listed(archive)} == {SESSION_ID, "sess_other"}


async def test_an_old_session_that_expired_is_marked(archive: MongoArchive, mongo: MongoServer) -> None:
    put_old(mongo, snapshot(session(3), ttl_ms=60_000))
    then = NOW + timedelta(minutes=5)
    assert [one.session_id async for one in archive.live("anywhere")] == [SESSION_ID]
    assert await mark_expired(archive, await overdue(archive, then)) == 1
    assert await overdue(archive, then) == []
    [summary] = await listed(archive)
    assert (summary.state, summary.ended_at) == (ArchivedState.EXPIRED, NOW + timedelta(minutes=1))
    assert [one async for one in archive.unpublished()] == [SESSION_ID]


async def test_trimmed_actions_of_a_session_that_is_only_in_redis(
    manager: StateManager, archive: MongoArchive, mongo: MongoServer
) -> None:
    rest, gone = trimmed(8, 5)
    put_old(mongo, snapshot(rest), trimmed=[Chunk(0, gone)])
    mongo.sessions.delete_many({})
    agent = rest["agent_id"]
    before = await archive.load_trimmed_actions(SESSION_ID, agent)
    assert [one.first for one in before] == [0]
    assert (await manager.migrate_archive()).row() == {"found": 0, "migrated": 0, "chunks": 1, "failed": 0}
    assert await archive.load_trimmed_actions(SESSION_ID, agent) == before
    assert left(mongo) == (0, 0)


async def test_a_read_only_profile_migrates_nothing(settings: Settings, mongo: MongoServer) -> None:
    put_old(mongo, snapshot(ended(session(4, ENDED))))
    before = list(mongo.sessions.find())
    async with StateManager.open(Settings(**{**vars(settings), "read_only": True})) as manager:
        with pytest.raises(ReadOnly):
            await manager.migrate_archive()
    assert list(mongo.sessions.find()) == before


def test_the_command(valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path) -> None:
    user = Cli.at(tmp_path / "home", REDIS_SOCKET=str(valkey.socket), MONGODB_URI=mongo.uri)
    put_all(mongo, valkey)
    put_old(mongo, snapshot(ended(session(4, "sess_damaged"))))
    mongo.sessions.update_one({"sessionId": "sess_damaged"}, {"$set": {"awi.packed": b"x"}})
    dry = user.ok("archive", "migrate", "--dry-run")
    assert dry.json == {"found": 6, "migrated": 0, "chunks": 0, "failed": 0} and "nothing was written" in dry.err
    assert left(mongo)[0] == 6
    user.having(AWI_READ_ONLY="1")("archive", "migrate").error(4, "read-only")
    assert left(mongo)[0] == 6
    checks = user("doctor", "-o", "json").out
    assert b"6 sessions in the layout of an earlier version" in checks and b"awictl archive migrate" in checks
    done = user("archive", "migrate")
    done.error(6, "sess_damaged", "damaged")
    assert done.json == {"found": 6, "migrated": 5, "chunks": 0, "failed": 1}
    mongo.sessions.delete_one({"sessionId": "sess_damaged"})
    table = user.ok("archive", "migrate", "-o", "table")
    assert "0 sessions of earlier versions, 0 migrated" in table.text


@pytest.mark.parametrize("later", ["old", "new"])
async def test_what_both_versions_archived_is_merged(
    manager: StateManager, archive: MongoArchive, mongo: MongoServer, later: str
) -> None:
    """An earlier version sweeps, too, while hosts are upgraded one by one. The app keeps the last 100 actions."""
    first, second, third = (app_session(count) for count in (60, 140, 220))
    new = [first, third] if later == "new" else [first]
    for one in new:
        await saved(archive, snapshot(one, ttl_ms=60_000))
    put_old(mongo, snapshot(second, ttl_ms=60_000))
    [summary] = await listed(archive)
    assert summary.missing_actions == (60 if later == "new" else 0)
    for migrated in (1, 0):
        done = await manager.migrate_archive()
        assert (done.failed, done.migrated) == ({}, migrated)
    assert left(mongo) == (0, 0)
    found = await archive.load(SESSION_ID)
    assert found is not None and found.summary.gaps == ()
    whole = [one["input"].get("n", 0) for one in found.document["history"]["actions"]]
    assert whole == list(range(221 if later == "new" else 141))


def app_session(updates: int) -> dict[str, Any]:
    """Return a session after this number of updates of the app."""
    made = session(1)
    for number in range(1, updates + 1):
        app_updated(made, stamp(number), input={"n": number})
    return made
