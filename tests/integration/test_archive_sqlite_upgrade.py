"""SQLite archives of version 1, of an earlier awictl: readable as they are, and upgraded by the first write."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.archives import NOW, chunk, ended, flipped, listed, saved, session, snapshot, stamp, trimmed
from support.cli import Cli
from support.documents import AGENT_ID, SESSION_ID, app_updated
from support.valkey import ValkeyServer

from awictl.archive.base import Archived
from awictl.archive.chunks import encode_chunk
from awictl.archive.compression import compress
from awictl.archive.decision import ArchivedState
from awictl.archive.merge import Gap
from awictl.archive.snapshot import Snapshot
from awictl.archive.sqlite.archive import SqliteArchive
from awictl.errors import AwiError, InvalidData

#: The tables of version 1, as it created them.
VERSION_1 = """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY, agent_id TEXT, agent_name TEXT, route TEXT, started_at TEXT, last_activity_at TEXT,
    ended_at TEXT, active INTEGER NOT NULL, expires_at TEXT, total_actions INTEGER NOT NULL,
    successful_actions INTEGER NOT NULL, failed_actions INTEGER NOT NULL, next_t INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL, last_action TEXT NOT NULL, uses TEXT NOT NULL, digest TEXT NOT NULL,
    bytes INTEGER NOT NULL, packed BLOB NOT NULL
) STRICT;
CREATE INDEX sessions_by_activity ON sessions (last_activity_at, session_id);
CREATE INDEX sessions_by_agent ON sessions (agent_id, last_activity_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE active;
CREATE TABLE actions (
    session_id TEXT NOT NULL, agent TEXT NOT NULL, first INTEGER NOT NULL, digest TEXT NOT NULL, packed BLOB NOT NULL,
    PRIMARY KEY (session_id, agent, first, digest)
) STRICT;
PRAGMA user_version = 1;
"""
SHORT = trimmed(12, 9)[0]


def row_of(one: Snapshot) -> tuple[Any, ...]:
    """Return the row that version 1 wrote for a snapshot."""

    def text(moment: Any) -> str | None:
        return None if moment is None else stamp((moment - NOW).total_seconds())

    counts = {name: [counted.count, counted.failed] for name, counted in one.action_counts.items()}
    return (
        one.session_id, one.agent_id, one.agent_name, one.route, text(one.started_at), text(one.last_activity_at),
        text(one.ended_at), not one.ended, text(one.expires_at) if not one.ended else None,
        one.revision.total_actions, one.count("successful_actions"), one.count("failed_actions"), one.revision.next_t,
        one.revision.updated_ms, one.last_action_digest, json.dumps(counts), one.digest, len(one.raw),
        compress(one.raw),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of version 1 with a live, an ended, an expired and a trimmed session, and one that the app cut."""
    cut = session(1, "sess_cut")
    for number in range(149):
        app_updated(cut, stamp(number))
    snapshots = [
        snapshot(session(3, "sess_live"), ttl_ms=60_000),
        snapshot(ended(session(3, "sess_ended"))),
        snapshot(session(3, "sess_expired"), ttl_ms=1_000),
        snapshot(SHORT | {"session_id": "sess_short"}, ttl_ms=60_000),
        snapshot(cut, ttl_ms=60_000),
    ]
    [encoded] = encode_chunk(chunk(0, 9))
    path = tmp_path / "archive.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        marks = ", ".join("?" * 19)
        db.executemany(f"INSERT INTO sessions VALUES ({marks})", map(row_of, snapshots))  # noqa: S608
        db.execute("UPDATE sessions SET active = 0, ended_at = expires_at WHERE session_id = 'sess_expired'")
        values = ("sess_short", AGENT_ID, 0, encoded.digest, compress(encoded.raw))
        db.execute("INSERT INTO actions VALUES (?, ?, ?, ?, ?)", values)
        db.commit()
    return path


@pytest.fixture
async def archive(path: Path) -> AsyncIterator[SqliteArchive]:
    yield SqliteArchive(path, 1.0)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
        return found


async def loaded(archive: SqliteArchive, session_id: str) -> Archived:
    found = await archive.load(session_id)
    assert found is not None
    return found


STATES = {
    "sess_live": ArchivedState.LIVE,
    "sess_ended": ArchivedState.ENDED,
    "sess_expired": ArchivedState.EXPIRED,
    "sess_short": ArchivedState.LIVE,
    "sess_cut": ArchivedState.LIVE,
}


async def check(archive: SqliteArchive) -> None:
    """Check what can be read of the sessions, whether the file was upgraded or not."""
    assert {one.session_id: one.state for one in await listed(archive)} == STATES
    ts = [one["t"] for one in (await loaded(archive, "sess_short")).document["history"]["actions"]]
    assert ts == list(range(12)), "with the actions that were trimmed"
    live = [one.session_id async for one in archive.live("any")]
    assert sorted(live) == ["sess_cut", "sess_live", "sess_short"]


async def test_a_file_of_version_1_is_read_as_it_is(archive: SqliteArchive, path: Path) -> None:
    before = path.read_bytes()
    path.chmod(0o444)
    await check(archive)
    assert await archive.count_old_sessions() == 5
    assert path.read_bytes() == before and version(path) == 1


async def test_the_first_write_upgrades_the_file_and_keeps_what_is_in_it(archive: SqliteArchive, path: Path) -> None:
    await saved(archive, snapshot(session(1)))
    assert version(path) == 2
    summary = (await loaded(archive, SESSION_ID)).summary
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM sessions WHERE session_id = ?", (SESSION_ID,))
        db.commit()
    await check(archive)
    assert summary.last_seen_at is not None


async def test_a_failed_first_write_leaves_the_file_at_version_1(archive: SqliteArchive, path: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        assert "state" in [row["name"] for row in db.execute("PRAGMA table_info(sessions)")]
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(AwiError):
        await archive.file.write(fail)
    assert version(path) == 1
    await check(archive)


async def test_a_snapshot_is_merged_into_a_session_of_version_1(archive: SqliteArchive) -> None:
    before = (await loaded(archive, "sess_live")).document
    whole = list(before["history"]["actions"])
    for number in range(120):
        whole.append(app_updated(before, stamp(60 + number)))
    await saved(archive, snapshot(before, ttl_ms=60_000))
    found = await loaded(archive, "sess_live")
    assert found.document["history"]["actions"] == [*whole[:3], *whole[-100:]]
    assert found.summary.gaps == (Gap(3, 22),)


async def test_migrating_fills_in_what_version_1_did_not_record(archive: SqliteArchive) -> None:
    assert await archive.count_old_sessions() == 5
    ids = [one async for batch in archive.old_sessions() for one in batch]
    assert set(ids) == set(STATES)
    assert await archive.migrate(ids[:2]) == dict.fromkeys(ids[:2]), "interrupted"
    assert await archive.count_old_sessions() == 3
    left = [one async for batch in archive.old_sessions() for one in batch]
    assert set(left) == set(ids[2:])
    assert await archive.migrate(left) == dict.fromkeys(left)
    assert await archive.count_old_sessions() == 0 and await archive.migrate(ids) == {}
    await check(archive)
    summaries = {one.session_id: one for one in await listed(archive)}
    assert summaries["sess_cut"].gaps == (Gap(0, 49),)
    assert [one.gaps for name, one in summaries.items() if name != "sess_cut"] == [()] * 4
    versions = {one.session_id: one async for one in archive.live("any")}
    assert (versions["sess_short"].first, versions["sess_short"].actions) == (9, 3)


async def test_a_damaged_session_is_reported_and_left_as_it_is(archive: SqliteArchive, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        [packed] = db.execute("SELECT packed FROM sessions WHERE session_id = 'sess_live'").fetchone()
        db.execute("UPDATE sessions SET packed = ? WHERE session_id = 'sess_live'", (flipped(packed),))
        db.commit()
    results = await archive.migrate(list(STATES))
    assert isinstance(results.pop("sess_live"), InvalidData)
    assert set(results.values()) == {None} and len(results) == 4
    assert await archive.count_old_sessions() == 1


def test_the_command_migrates_a_file(path: Path, tmp_path: Path, valkey: ValkeyServer) -> None:
    env = {"AWI_ARCHIVE_URL": f"sqlite:///{path}", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey.port)}
    user = Cli.at(tmp_path / "home").having(**env)
    before = path.read_bytes()
    counts = {"found": 5, "migrated": 0, "chunks": 0, "failed": 0}
    assert user.ok("archive", "migrate", "--dry-run").json == counts and path.read_bytes() == before
    history = user.ok("session", "history", "sess_cut", "--limit", "200")
    assert "actions before 50 are not in the archive" in history.err and "archive show" not in history.err
    assert user.ok("archive", "migrate").json == counts | {"migrated": 5}
    history = user.ok("session", "history", "sess_cut", "--limit", "200")
    assert "50 actions of sess_cut are missing (0 to 49" in history.err and "actions before" not in history.err
    assert user.ok("archive", "migrate").json == counts | {"found": 0}
    assert user.ok("archive", "stats").json["missing_actions"] == 50
    user.having(AWI_READ_ONLY="1")("archive", "migrate").error(4, "read-only")


async def test_processes_that_upgrade_a_file_at_once(path: Path) -> None:
    archives = [SqliteArchive(path, 5.0) for _ in range(8)]
    results = await asyncio.gather(
        *(one.save([snapshot(session(1, f"sess_{number}"))]) for number, one in enumerate(archives))
    )
    assert results == [{f"sess_{number}": None} for number in range(8)]
    assert len(await listed(archives[0])) == 5 + 8
