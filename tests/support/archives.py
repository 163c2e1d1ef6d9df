"""Archives of both kinds for tests, snapshots to save, and access to the stored data."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import random
import re
import sqlite3
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import bson

from awictl import Settings
from awictl.archive.base import Archive, ArchivedSummary, ArchiveQuery, Cursor, GoneSession
from awictl.archive.chunks import Chunk
from awictl.archive.connect import open_archive
from awictl.archive.decision import ArchivedState, ArchivedVersion
from awictl.archive.snapshot import Snapshot

from .documents import SESSION_ID, action, compact, document
from .mongo import MongoServer

#: The time at which snapshots are taken.
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
#: The time at which their sessions start.
STARTED = "2026-11-23T07:09:41.403Z"


def stamp(seconds: float = 0, *, start: datetime = NOW) -> str:
    """Return a stored timestamp, `seconds` after `start`."""
    return (start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session(updates: int, session_id: str = SESSION_ID, **others: Any) -> dict[str, Any]:
    """Return a session document after `updates` updates; each adds an action, a count and a later timestamp."""
    made = document([0] * updates, session_id)
    made["statistics"] |= {"session_start": STARTED, "last_activity": stamp(updates)}
    return made | {"last_updated": stamp(updates)} | others


def ended(session_document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a session document with its end recorded."""
    made = copy.deepcopy(session_document)
    last = {"t": len(made["history"]["actions"]), "action": "session_end", "timestamp": made["last_updated"]}
    made["history"] = {"actions": [*made["history"]["actions"], last], "last_action": last}
    return made


def trimmed(updates: int, left: int, session_id: str = SESSION_ID) -> tuple[dict[str, Any], list[Any]]:
    """Return a session document whose oldest `left` actions were trimmed, and those actions."""
    made = session(updates, session_id)
    actions = made["history"]["actions"]
    made["history"] |= {"actions": actions[left:], "trimmed_actions": left}
    return made, actions[:left]


def snapshot(
    session_document: dict[str, Any],
    *,
    ttl_ms: int | None = None,
    now: datetime = NOW,
    raw: bytes | None = None,
) -> Snapshot:
    """Return the snapshot of a session, in the app's layout unless `raw` is given, with a TTL from `now` on."""
    session_id = session_document.get("session_id", SESSION_ID)
    raw = compact(session_document) if raw is None else raw
    expires_at = now + timedelta(milliseconds=ttl_ms) if ttl_ms is not None else None
    return Snapshot.parse(session_id, raw, expires_at)


def incompressible(count: int, size: int, seed: int = 1) -> dict[str, Any]:
    """Return a session document of `count` actions, each with an incompressible input of `size` characters."""
    chance = random.Random(seed)
    made = session(count)
    for one in made["history"]["actions"]:
        one["input"] = {"blob": base64.b85encode(chance.randbytes(size * 4 // 5)).decode()}
    made["history"]["last_action"] = made["history"]["actions"][-1]
    return made


def chunk(first: int, count: int) -> Chunk:
    """Return a chunk of trimmed actions, numbered from `first` on."""
    return Chunk(first, [action(t) for t in range(first, first + count)])


async def listed(
    archive: Archive, query: ArchiveQuery | None = None, after: Cursor | None = None, limit: int | None = None
) -> list[ArchivedSummary]:
    """Return a listing as a list."""
    return [one async for one in archive.find(query or ArchiveQuery(), after, limit)]


async def saved(archive: Archive, *snapshots: Snapshot) -> None:
    """Save snapshots; all of them must succeed."""
    assert await archive.save(snapshots) == {one.session_id: None for one in snapshots}


async def overdue(archive: Archive, now: datetime) -> list[ArchivedVersion]:
    """Return the live sessions, of no known server, that were due to expire before `now`."""
    return [one async for one in archive.live("") if one.expires_at is not None and one.expires_at < now]


async def mark_expired(archive: Archive, versions: Sequence[ArchivedVersion]) -> int:
    """Record that sessions have expired. Returns the number recorded."""
    return await archive.mark_gone([GoneSession(one, ArchivedState.EXPIRED, one.expires_at) for one in versions])


class Backend(Protocol):
    """The stored data of an archive, for tests that inspect or damage it."""

    settings: Settings

    def stored(self) -> dict[str, bytes]:
        """Return all stored records by name, without the time at which they were archived."""

    def damage(self, session_id: str) -> None:
        """Change a byte in the middle of the stored bytes of a session."""

    def damage_actions(self, session_id: str) -> None:
        """Change a byte in the middle of each stored chunk of trimmed actions of a session."""

    def untouched(self) -> bool:
        """Whether nothing was created yet: no file, no collection and no index."""


class SqliteBackend:
    """An SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # three slashes, and an absolute path
        self.settings = Settings(archive_url=f"sqlite:///{quote(str(path))}")

    def stored(self) -> dict[str, bytes]:
        with self.database() as db:
            db.row_factory = sqlite3.Row
            rows = [
                (table, dict(row))
                for table in ("sessions", "actions")
                for row in db.execute(f"SELECT * FROM {table}")  # noqa: S608
            ]
        for _, row in rows:
            row.pop("seen_at", None)
        return {repr((table, *list(row.values())[:4])): repr(row).encode() for table, row in rows}

    def damage(self, session_id: str) -> None:
        self._damage("sessions", session_id)

    def damage_actions(self, session_id: str) -> None:
        self._damage("actions", session_id)

    def _damage(self, table: str, session_id: str) -> None:
        with self.database() as db:
            query = f"SELECT rowid, packed FROM {table} WHERE session_id = ?"  # noqa: S608
            rows = db.execute(query, (session_id,)).fetchall()
            assert rows
            for row_id, packed in rows:
                db.execute(f"UPDATE {table} SET packed = ? WHERE rowid = ?", (flipped(packed), row_id))  # noqa: S608
            db.commit()

    def untouched(self) -> bool:
        return not self.path.exists() and not list(self.path.parent.iterdir())

    def drop_types(self) -> None:
        """Replace the tables by such that accept values of any type."""
        with self.database() as db:
            for table, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
                db.execute(f"ALTER TABLE {table} RENAME TO strict_{table}")
                db.execute(re.sub(" (TEXT|INTEGER|BLOB|NOT NULL|STRICT)", "", sql))
                db.execute(f"INSERT INTO {table} SELECT * FROM strict_{table}")  # noqa: S608
                db.execute(f"DROP TABLE strict_{table}")
            db.commit()

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Open the file."""
        with closing(sqlite3.connect(self.path)) as db:
            yield db


class MongoBackend:
    """A database of a MongoDB-wire server."""

    def __init__(self, server: MongoServer) -> None:
        self.server = server
        self.settings = Settings(mongodb_uri=server.uri)

    @property
    def parts(self) -> Any:
        """The collection of parts."""
        return self.server.raw["awi_sessions.parts"]

    @property
    def actions(self) -> Any:
        """The collection of chunks."""
        return self.server.raw["awi_actions"]

    def stored(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for name in sorted(self.server.raw.list_collection_names()):
            for one in self.server.raw[name].find():
                one.pop("archivedAt", None)
                one.pop("seenAt", None)
                found[f"{name} {one['_id']}"] = bson.encode(one)
        return found

    def damage(self, session_id: str) -> None:
        stored = self.server.archived.find_one({"_id": session_id})
        assert stored is not None
        if "packed" in stored:
            change = {"$set": {"packed": flipped(stored["packed"])}}
            assert self.server.archived.update_one({"_id": session_id}, change).modified_count == 1
        else:
            self._damage(self.parts, session_id, 1)

    def damage_actions(self, session_id: str) -> None:
        self._damage(self.actions, session_id, 0)

    def _damage(self, collection: Any, session_id: str, limit: int) -> None:
        found = list(collection.find({"session": session_id}).limit(limit))
        assert found
        for one in found:
            collection.update_one({"_id": one["_id"]}, {"$set": {"packed": flipped(one["packed"])}})

    def untouched(self) -> bool:
        return self.server.raw.list_collection_names() == []


def flipped(data: bytes) -> bytes:
    """Return the bytes with one bit in the middle inverted."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def opened(backend: Backend) -> Archive:
    """Open an archive on a backend."""
    archive = open_archive(backend.settings)
    assert archive is not None
    return archive


@asynccontextmanager
async def several(backend: Backend, count: int) -> AsyncIterator[list[Archive]]:
    """Open `count` archives on one backend, as that many processes would, and close them at the end."""
    archives = [opened(backend) for _ in range(count)]
    try:
        yield archives
    finally:
        for one in archives:
            await one.close()


async def forget_sockets(archive: Archive) -> None:
    """Close an archive whose server is down, and the sockets that pymongo was about to open and left behind."""
    await archive.close()
    await drop_sockets()


async def drop_sockets() -> None:
    """Collect sockets that pymongo left open now, and not in the middle of another test."""
    await asyncio.sleep(0.1)  # pending connection attempts must fail first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
