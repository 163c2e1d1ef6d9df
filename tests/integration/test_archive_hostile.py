"""Archives that another program has written to: one session cannot be read then, the others can, within bounds."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import UpdateOne
from support.archives import (
    NOW,
    Backend,
    MongoBackend,
    SqliteBackend,
    mark_expired,
    opened,
    overdue,
    saved,
    session,
    snapshot,
    trimmed,
)
from support.cli import Cli
from support.documents import AGENT_ID
from support.mongo import MongoServer
from support.old_archive import put_old
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.base import Archive, ArchiveQuery
from awictl.archive.chunks import Chunk
from awictl.archive.compression import compress
from awictl.archive.mongo.archive import MongoArchive
from awictl.errors import AwiError, InvalidData
from awictl.store.mongo.errors import translate_errors

#: BSON values of many types, and extreme ones.
VALUES: list[Any] = [
    None, -1, Int64(2**63 - 1), float("inf"), "\0\x1b[31m", b"\xff\0", [["a", 1, 2], 5, ["b", "c", {}]],
    {"total_actions": "x", "a": []}, datetime(1, 1, 1, tzinfo=UTC), Decimal128("1E+6000"),
]  # fmt: skip
#: For a test with one of them: a number, a text, and an object by default.
EACH_VALUE = pytest.mark.parametrize(
    "value",
    [
        value if number in (1, 4, 7) else pytest.param(value, marks=pytest.mark.soak)
        for number, value in enumerate(VALUES)
    ],
    ids=lambda value: repr(value)[:20],
)
#: The fields of an archived document that awictl reads, and those of one that an earlier version wrote.
FIELDS = [
    "agentId", "agentName", "startedAt", "endedAt", "state", "lastActivityAt", "route", "seenAt", "server", "first",
    "statistics", "statistics.totalActions", "statistics.failedActions", "actions", "trajectory", "gaps",
    "overwritten", "format", "digest", "revision", "revision.next_t", "revision.updated_ms", "lastAction", "bytes",
    "expiresAt", "uses", "packed", "parts", "unpublished",
]  # fmt: skip
OLD_FIELDS = [
    "agentId", "agentName", "sessionStartedAt", "sessionEndedAt", "sessionActive", "lastActivityAt", "currentState",
    "currentState.currentRoute", "statistics", "statistics.totalActions", "statistics.failedActions", "awi",
    "awi.format", "awi.digest", "awi.revision", "awi.revision.next_t", "awi.revision.updated_ms", "awi.lastAction",
    "awi.agentId", "awi.bytes", "awi.expiresAt", "awi.uses", "awi.packed", "awi.parts", "awi.view",
]  # fmt: skip
#: Fields of a document of the app, and of a part with trimmed actions.
APP_FIELDS = ["agentId", "agentName", "currentState", "currentState.pagination", "currentState.sortBy", "statistics",
              "actionHistory", "availableActions", "sessionStartedAt", "lastActivityAt", "updatedAt"]  # fmt: skip
PART_FIELDS = ["first", "packed", "digest", "agent", "count", "overwritten", "session"]
SQL_COLUMNS = ["agent_id", "agent_name", "route", "started_at", "last_activity_at", "ended_at", "active", "expires_at",
               "total_actions", "successful_actions", "failed_actions", "next_t", "updated_ms", "last_action", "uses",
               "digest", "bytes", "packed", "state", "seen_at", "first", "actions", "trajectory", "gaps", "missing",
               "overwritten"]  # fmt: skip
SQL_VALUES: list[Any] = [None, 2**62, float("inf"), "x", '{"a":1,"b":["x",{}]}', '[[5,1],[1,2,3],5,["x",{}]]', b"\xff"]
GOOD = "sess_good"


async def use(archive: Archive, hostile: list[str]) -> list[str]:
    """Call everything that reads the archive. Returns the ids of the sessions that could be loaded."""
    for one in [one async for one in archive.find(ArchiveQuery(), action_counts=True)]:
        row = one.row()
        assert row["duration_ms"] is None or row["duration_ms"] >= 0
        assert all(row[name] is None or isinstance(row[name], str) for name in ("agent_id", "agent_name", "route"))
        assert all(isinstance(count.count, int) for count in one.action_counts.values())
    await mark_expired(archive, await overdue(archive, NOW))
    loaded = []
    for session_id in [*hostile, GOOD]:
        try:
            if await archive.load(session_id) is not None:
                loaded.append(session_id)
        except InvalidData as error:
            assert session_id in str(error) and archive.where in str(error)
    assert GOOD in loaded
    outcome = await archive.save([snapshot(session(9, one)) for one in [*hostile, GOOD]])
    assert outcome.pop(GOOD) is None
    assert all(error is None or isinstance(error, AwiError) for error in outcome.values())
    return loaded


@EACH_VALUE
async def test_fields_of_any_type_in_mongodb(mongo: MongoServer, value: Any) -> None:
    """Each session has one field of another type."""
    archive = opened(MongoBackend(mongo))
    ids = {f"sess_{number}": field for number, field in enumerate(FIELDS)}
    try:
        await saved(archive, *(snapshot(session(5, one), ttl_ms=1) for one in [*ids, GOOD]))
        mongo.archived.update_many({}, {"$set": {"expiresAt": NOW - timedelta(days=1)}})
        mongo.archived.bulk_write([UpdateOne({"_id": one}, {"$set": {field: value}}) for one, field in ids.items()])
        loaded = await use(archive, list(ids))
        assert {"sess_0", "sess_1"} <= set(loaded), "what is not needed does not matter"
    finally:
        await archive.close()


@EACH_VALUE
async def test_fields_of_any_type_in_documents_of_earlier_versions(mongo: MongoServer, value: Any) -> None:
    """They are read, adopted by the next snapshot, and migrated, or left where they are."""
    archive = opened(MongoBackend(mongo))
    ids = {f"sess_{number}": field for number, field in enumerate(OLD_FIELDS)}
    try:
        for session_id in [*ids, GOOD, "sess_rest"]:
            put_old(mongo, snapshot(session(5, session_id), ttl_ms=1))
        changes = [UpdateOne({"sessionId": one}, {"$set": {field: value}}) for one, field in ids.items()]
        mongo.sessions.bulk_write(changes)
        assert {"sess_0", "sess_1"} <= set(await use(archive, list(ids)))
        mongo.sessions.delete_many({"sessionId": {"$in": list(ids)}})
        for session_id in ids:
            put_old(mongo, snapshot(session(5, session_id), ttl_ms=1))
        mongo.sessions.bulk_write(changes)
        mongo.archived.delete_many({})
        outcome = {}
        async for batch in archive.old_sessions():
            outcome |= await archive.migrate(batch, batch)
        assert outcome["sess_rest"] is None
        assert all(error is None or isinstance(error, AwiError) for error in outcome.values())
    finally:
        await archive.close()


@EACH_VALUE
async def test_fields_of_any_type_in_parts_and_in_documents_of_the_app(mongo: MongoServer, value: Any) -> None:
    archive = opened(MongoBackend(mongo))
    parts = mongo.raw["awi_actions"]
    ids = {f"sess_{number}": field for number, field in enumerate(PART_FIELDS)}
    try:
        for session_id in ids:
            await archive.save_trimmed_actions(session_id, AGENT_ID, Chunk(0, trimmed(5, 2, session_id)[1]))
        await saved(archive, *(snapshot(trimmed(5, 2, one)[0]) for one in ids), snapshot(session(5, GOOD)))
        parts.bulk_write(
            [UpdateOne({"_id": part["_id"]}, {"$set": {ids[part["session"]]: value}}) for part in parts.find()]
        )
        [original, _] = mongo.put_app_documents().values()
        apps = {f"sess_app_{number}": field for number, field in enumerate(APP_FIELDS)}
        mongo.sessions.insert_many({**original, "_id": ObjectId(), "sessionId": one} for one in apps)
        mongo.sessions.bulk_write(
            [UpdateOne({"sessionId": one}, {"$set": {field: value}}) for one, field in apps.items()]
        )
        assert await use(archive, [*ids, *apps]) == [*ids, *apps, GOOD]
    finally:
        await archive.close()


@pytest.mark.parametrize("value", SQL_VALUES, ids=repr)
async def test_columns_of_any_type_in_sqlite(tmp_path: Path, value: Any) -> None:
    backend = SqliteBackend(tmp_path / "archive.db")
    archive = opened(backend)
    ids = {f"sess_{name}": name for name in [*SQL_COLUMNS, "first", "actions"]}
    await saved(archive, *(snapshot(trimmed(5, 2, one)[0], ttl_ms=1) for one in ids), snapshot(session(5, GOOD)))
    for session_id in ids:
        await archive.save_trimmed_actions(session_id, AGENT_ID, Chunk(0, trimmed(5, 2, session_id)[1]))
    backend.drop_types()
    with backend.database() as db:
        db.execute("UPDATE sessions SET expires_at = '2000-01-01T00:00:00.000Z'")
        for session_id, name in ids.items():
            table, column = {"first": ("actions", "first"), "actions": ("actions", "packed")}.get(
                name, ("sessions", name)
            )
            db.execute(f"UPDATE {table} SET {column} = ? WHERE session_id = ?", (value, session_id))  # noqa: S608
        db.commit()
    loaded = await use(archive, list(ids))
    assert {"sess_agent_id", "sess_first", "sess_actions"} <= set(loaded)


# -- a few bytes that unpack to gigabytes


def bomb(size: int = 2**29) -> bytes:
    """A zlib stream of half a megabyte that unpacks to half a gigabyte."""
    packer = zlib.compressobj(9)
    chunk, check = b" " * 2**24, 1
    first, again = (packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    for _ in range(size // len(chunk)):
        check = zlib.adler32(chunk, check)
    # after a full flush, equal data are packed to equal bytes
    return first + again * (size // len(chunk) - 1) + packer.flush()[:-4] + check.to_bytes(4, "big")


@pytest.fixture(scope="module")
def packed_bomb() -> bytes:
    return bomb()


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
@pytest.mark.parametrize("recorded", ["the size of the session", "its real size"])
def test_what_is_unpacked_is_bounded(
    valkey: ValkeyServer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    packed_bomb: bytes,
    kind: str,
    recorded: str,
) -> None:
    """A document of a megabyte took 2.1 GiB. The other session is shown."""
    size = None if recorded == "the size of the session" else 2**29
    backend: Backend
    if kind == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo")
        backend, variables = MongoBackend(mongo), {"MONGODB_URI": mongo.uri}
    else:
        backend = SqliteBackend(tmp_path / "archive.db")
        variables = {"AWI_ARCHIVE_URL": f"sqlite:///{tmp_path}/archive.db"}

    async def save() -> None:
        archive = opened(backend)
        await saved(archive, snapshot(session(2, "sess_a")), snapshot(session(2, "sess_b")))
        await archive.close()

    asyncio.run(save())
    if isinstance(backend, MongoBackend):
        change = {"packed": packed_bomb} | ({"bytes": size} if size else {})
        backend.server.archived.update_one({"_id": "sess_a"}, {"$set": change})
    else:
        assert isinstance(backend, SqliteBackend)
        with backend.database() as db:
            db.execute("UPDATE sessions SET packed = ? WHERE session_id = 'sess_a'", (packed_bomb,))
            if size:
                db.execute("UPDATE sessions SET bytes = ? WHERE session_id = 'sess_a'", (size,))
            db.commit()
    user = Cli.at(tmp_path / "home", REDIS_SOCKET=str(valkey.socket), **variables)
    script = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20)); "
        "sys.argv = ['awictl', 'archive', 'show', 'sess_a', 'sess_b']; runpy.run_module('awictl', run_name='__main__')"
    )
    shown = user.python("-c", script)
    assert shown.error(6, "sess_a", "unpack to more than")
    assert [one["session_id"] for one in shown.rows] == ["sess_b"]


@pytest.mark.soak
async def test_what_is_unpacked_of_many_chunks_is_bounded(mongo: MongoServer, caplog: pytest.LogCaptureFixture) -> None:
    """Each within the limit, all together not."""
    archive = opened(MongoBackend(mongo))
    raw = b'"' + b"x" * 60_000_000 + b'"'
    packed, digest = compress(raw), hashlib.sha256(raw).hexdigest()
    try:
        await saved(archive, snapshot(trimmed(50, 40, "sess_a")[0]))
        for number in range(40):
            part = {"session": "sess_a", "agent": AGENT_ID, "first": number}
            mongo.raw["awi_actions"].insert_one(part | {"packed": packed, "digest": digest})
        chunks = await archive.load_trimmed_actions("sess_a", AGENT_ID)
        assert len(chunks) == 4 and "unpack to more than" in caplog.text
    finally:
        await archive.close()


async def test_a_huge_number_of_parts_is_refused(mongo: MongoServer) -> None:
    archive = opened(MongoBackend(mongo))
    try:
        await saved(archive, snapshot(session(2, "sess_a")))
        for count in (2**52, 100, 10_000_000):
            change = {"$set": {"parts": count}, "$unset": {"packed": 1}}
            mongo.archived.update_one({"_id": "sess_a"}, change)
            with pytest.raises(InvalidData, match="damaged"):
                await archive.load("sess_a")
    finally:
        await archive.close()


# -- commands


def test_each_command_reports_a_damaged_session_and_goes_on(
    valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path
) -> None:
    user = Cli.at(tmp_path / "home", REDIS_SOCKET=str(valkey.socket), MONGODB_URI=mongo.uri)

    async def save() -> None:
        archive = opened(MongoBackend(mongo))
        await saved(archive, snapshot(session(2, "sess_a")), snapshot(session(2, "sess_b")))
        await archive.close()

    asyncio.run(save())
    mongo.archived.update_one(
        {"_id": "sess_a"},
        {"$set": {"packed": 5, "uses": {}, "agentName": {"x": 1}, "lastActivityAt": "x", "statistics": []}},
    )
    for words in (["list"], ["stats"], ["list", "-o", "table"], ["stats", "-o", "table"]):
        assert user.ok("archive", *words).err.count("\n") <= 1
    assert [one["session_id"] for one in user.ok("archive", "list", "-o", "jsonl").rows] == ["sess_b", "sess_a"]
    for words in (["show", "sess_a", "sess_b"], ["export", "sess_a", "sess_b"], ["export"]):
        shown = user("archive", *words)
        shown.error(6, "sess_a", "damaged")
        assert [one["session_id"] for one in shown.rows] == ["sess_b"], words
    user("session", "show", "sess_a").error(6, "sess_a", "damaged")
    user("session", "history", "sess_a").error(6, "sess_a", "damaged")
    restored = user("archive", "restore", "sess_a", "sess_b")
    assert restored.code == 6 and "sess_a" in restored.err and "Traceback" not in restored.err
    assert valkey.raw.exists("AWI:SESSION:sess_b") == 1


async def test_expired_documents_with_ids_that_no_session_has(valkey: ValkeyServer, mongo: MongoServer) -> None:
    archive = opened(MongoBackend(mongo))
    await saved(archive, snapshot(session(2, "sess_b"), ttl_ms=1, now=NOW - timedelta(days=9999)))
    [document] = mongo.archived.find()
    for wrong in (5, "x", "sess_\n", "sess_a\n", "", "sess_" + "x" * 99):
        mongo.archived.insert_one({**document, "_id": wrong})
    await archive.close()
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        sweeper = manager.sweeper(60_000)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert (swept.expired, swept.stopped) == (1, None)


async def test_text_that_is_not_utf_8_does_not_stop_a_listing(mongo: MongoServer) -> None:
    """This server rejects such text, so what the driver does with it is checked without it."""
    archive = opened(MongoBackend(mongo))
    assert isinstance(archive, MongoArchive)
    raw = bson.encode({"agentName": "ab"}).replace(b"ab\0", b"\xff\xfe\0")
    options = archive.connection.collection("x").codec_options
    assert bson.decode(raw, options) == {"agentName": "\ufffd\ufffd"}
    await archive.close()
    with pytest.raises(InvalidData, match="not valid BSON"), translate_errors("mongodb://here"):
        bson.decode(raw[:-1], options)
