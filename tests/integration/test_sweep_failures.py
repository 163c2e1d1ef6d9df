"""Sessions that a sweep cannot archive: they do not keep the others from being archived, and do not expire."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.archives import trimmed
from support.cli import Cli, finish
from support.documents import AGENT_ID, compact
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager, Unreachable
from awictl.archive.sqlite.file import SqliteFile
from awictl.document.byte_layout import encode
from awictl.document.schema import new_document

#: A TTL, and the least one that a sweep with a margin of five minutes leaves a session that it could not archive.
TTL_MS, HELD_MS = 60_000, 250_000


def new(session_id: str) -> dict[str, Any]:
    return new_document(session_id, f"agent-of-{session_id}", "Agent", "/", "2026-11-23T10:00:00.000Z")


def put(valkey: ValkeyServer, *session_ids: str) -> None:
    for one in session_ids:
        valkey.raw.set(f"AWI:SESSION:{one}", encode(new(one)), px=TTL_MS)


def held(valkey: ValkeyServer, *session_ids: str) -> bool:
    return all(valkey.raw.pttl(f"AWI:SESSION:{one}") > HELD_MS for one in session_ids)


@pytest.fixture
def user(valkey: ValkeyServer, tmp_path: Path) -> Cli:
    """A user whose archive is an SQLite file in his home folder."""
    home = tmp_path / "home"
    return Cli.at(home, REDIS_SOCKET=str(valkey.socket), AWI_ARCHIVE_URL=f"sqlite:///{home}/archive.db")


def damage_schema(user: Cli) -> Path:
    """Make the user's archive a file with the version of an archive, but a table with other columns."""
    path = user.home / "archive.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE sessions (session_id TEXT, active, expires_at); PRAGMA user_version = 1")
        db.execute("INSERT INTO sessions VALUES ('sess_1', 0, NULL)")
        db.commit()
    return path


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
def test_a_session_with_deeply_nested_filters_is_archived_with_the_others(
    user: Cli, valkey: ValkeyServer, request: pytest.FixtureRequest, kind: str
) -> None:
    """The app can write that: 920 levels, which is about what can be decoded."""
    if kind == "mongo":
        server: MongoServer = request.getfixturevalue("mongo")
        user = user.lacking("AWI_ARCHIVE_URL").having(MONGODB_URI=server.uri)
    put(valkey, "sess_1", "sess_3")
    filters = b'{"a":' * 920 + b"1" + b"}" * 920
    deep = json.dumps(new("sess_2"), separators=(",", ":")).encode().replace(b'"filters":{}', b'"filters":' + filters)
    record = b'{"t":1,"action":"search","input":' + filters + b',"delta":{},"timestamp":"2026-11-23T10:00:01.000Z"}'
    deep = deep.replace(b'],"last_action":null', b"," + record + b'],"last_action":' + record)
    valkey.raw.set("AWI:SESSION:sess_2", deep, px=TTL_MS)
    swept = replace(user, fresh=True)("archive", "sweep", "--margin", "5m")
    assert (swept.code, swept.json["archived"]) == (0, 3), swept
    assert user.ok("archive", "show", "sess_2", "-o", "raw").out.rstrip(b"\n") == deep


def test_failures_of_any_kind_hold_the_sessions(user: Cli, valkey: ValkeyServer) -> None:
    """A damaged schema raises errors that are not awictl's."""
    ids = [f"sess_{number}" for number in range(1, 4)]
    put(valkey, *ids)
    damage_schema(user)
    swept = user("archive", "sweep", "--margin", "5m")
    assert swept.code not in (0, 2) and "Traceback" not in swept.err, swept
    assert (swept.json["archived"], swept.json["failed"], swept.json["held"]) == (0, 3, 3)
    assert held(valkey, *ids)
    assert all(f"{one} " in swept.err for one in ids), swept.err


async def test_a_full_disk_of_the_archive_holds_the_sessions(
    valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep stops at once, and says what to do."""
    ids = [f"sess_{number}" for number in range(1, 4)]
    put(valkey, *ids)
    connect = SqliteFile._connect

    def limited(self: SqliteFile, mode: str) -> sqlite3.Connection:
        db = connect(self, mode)
        db.execute("PRAGMA max_page_count = 1")
        return db

    monkeypatch.setattr(SqliteFile, "_connect", limited)
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")) as manager:
        sweeper = manager.sweeper(300_000)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert isinstance(swept.stopped, Unreachable) and "free some space" in str(swept.stopped)
    assert held(valkey, *ids)


def test_watch_goes_on_after_any_failure(user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, "sess_1", "sess_2")
    archive = damage_schema(user)
    process = user.start("archive", "sweep", "--watch", "--margin", "5m", "--interval", "200ms")
    try:
        wait_until(lambda: held(valkey, "sess_1", "sess_2"))
        archive.unlink()
        wait_until(lambda: archive.exists() and len(user("archive", "list", "-o", "ids").lines) == 2)
    finally:
        process.send_signal(signal.SIGTERM)
        done = finish(process)
    assert done.code == 0 and "Traceback" not in done.err, done
    assert (done.rows[0]["failed"], done.rows[-1]["archived"]) == (2, 2)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_sessions_that_failed_are_named(user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, "sess_good")
    bad = [f"sess_bad_{number:02}" for number in range(14)]
    for one in bad:
        valkey.raw.set(f"AWI:SESSION:{one}", b"no JSON", px=TTL_MS)
    valkey.raw.rpush("AWI:SESSION:sess_list", "x")
    swept = user("archive", "sweep", "--margin", "5m")
    assert (swept.code, swept.json["archived"], swept.json["failed"]) == (6, 1, 14), swept
    assert all(one in swept.err for one in bad), swept.err
    assert held(valkey, *bad) and not held(valkey, "sess_good")


@pytest.mark.parametrize("first", [float("inf"), float("nan"), -5, 2.5, True, "x", None, [], 2**62])
async def test_a_chunk_of_actions_with_an_invalid_position_is_skipped(
    valkey: ValkeyServer, mongo: MongoServer, caplog: pytest.LogCaptureFixture, first: Any
) -> None:
    """Another program may have written it. The session is archived, and the actions count as missing."""
    document, gone = trimmed(8, 5, "sess_2")
    put(valkey, "sess_1", "sess_3")
    valkey.raw.set("AWI:SESSION:sess_2", compact(document), px=TTL_MS)
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        from awictl.archive.chunks import Chunk

        await manager.required_archive().save_trimmed_actions("sess_2", AGENT_ID, Chunk(0, gone))
        mongo.raw["awi_actions"].update_many({}, {"$set": {"first": first}})
        sweeper = manager.sweeper(300_000)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert (swept.archived, swept.failed, swept.stopped) == (3, {}, None)
        found = await manager.get_archived_session("sess_2")
    assert found is not None and found.document["history"]["trimmed_actions"] == 5
    assert [one["t"] for one in found.document["history"]["actions"]] == [5, 6, 7]
    assert "sess_2" in caplog.text


def test_a_watch_ends_if_its_output_is_closed(user: Cli, valkey: ValkeyServer) -> None:
    """It must not go on after that failure."""
    put(valkey, "sess_1")
    process = user.start("archive", "sweep", "--watch", "--margin", "5m", "--interval", "100ms")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(timeout=30) == 141
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    finally:
        assert process.stderr is not None
        process.stderr.close()
