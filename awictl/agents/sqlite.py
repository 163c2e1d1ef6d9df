"""API keys in the SQLite file of an archive."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..archive.sqlite.file import SqliteFile, T, Work
from ..archive.values import parse_datetime
from ..document.schema import as_array, as_object
from ..document.timestamps import optional_timestamp
from ..util.batched import batched
from .api_keys import AgentKey, newest_first, permissions_of
from .records import AgentRecord
from .suspension import Suspension, no_key
from .usage import Usage, Use

_TABLE = """CREATE TABLE IF NOT EXISTS agent_keys (
    agent_id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    permissions TEXT NOT NULL,
    active INTEGER NOT NULL,
    expires_at TEXT,
    created_at TEXT
) STRICT"""
#: The columns that tables of earlier versions lack. The history of suspensions is a JSON array; `operations`
#: is a JSON object with the number of requests for each operation.
_ADDED_COLUMNS = {
    "provisional": "INTEGER NOT NULL DEFAULT 0",
    "suspended": "INTEGER NOT NULL DEFAULT 0",
    "suspended_until": "TEXT",
    "suspension_reason": "TEXT",
    "suspension_history": "TEXT NOT NULL DEFAULT '[]'",
    "requests": "INTEGER NOT NULL DEFAULT 0",
    "last_used_at": "TEXT",
    "operations": "TEXT NOT NULL DEFAULT '{}'",
}
_ADD_KEY = """INSERT INTO agent_keys
    (agent_id, digest, name, description, permissions, active, expires_at, created_at, provisional)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SUSPEND = """UPDATE agent_keys SET suspended = 1, suspended_until = ?, suspension_reason = ?,
    suspension_history = CASE WHEN json_valid(suspension_history) AND json_type(suspension_history) = 'array'
        THEN json_insert(suspension_history, '$[#]', json(?)) ELSE suspension_history END
    WHERE agent_id = ?"""
_RESUME = "UPDATE agent_keys SET suspended = 0, suspended_until = NULL, suspension_reason = NULL WHERE agent_id = ?"
_REVOKE = "UPDATE agent_keys SET active = 0 WHERE agent_id = ?"
_ADD_USAGE = """UPDATE agent_keys SET requests = requests + ?, last_used_at = max(coalesce(last_used_at, ''), ?),
    operations = ? WHERE agent_id = ?"""
#: Keys per query.
_BATCH = 500


class SqliteKeyStore:
    """The `KeyStore` in the file of an archive. The first key creates the table."""

    def __init__(self, file: SqliteFile) -> None:
        self.where = file.where
        self._file = file

    async def add(self, key: AgentKey, digest: str) -> None:
        """Store a new key; with a provisional one, delete those that have expired. digest: SHA-256 of its secret."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(_TABLE)
            _add_columns(db)
            if key.provisional:
                expired = "DELETE FROM agent_keys WHERE provisional AND expires_at <= ?"
                db.execute(expired, (optional_timestamp(key.created_at),))
            db.execute(
                _ADD_KEY,
                (
                    key.agent_id,
                    digest,
                    key.name,
                    key.description,
                    json.dumps(key.permissions),
                    key.active,
                    optional_timestamp(key.expires_at),
                    optional_timestamp(key.created_at),
                    key.provisional,
                ),
            )

        await self._file.write(write)

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """Return the key with this digest, in any state; None if there is none."""

        def read(db: sqlite3.Connection) -> AgentKey | None:
            row = db.execute("SELECT * FROM agent_keys WHERE digest = ?", (digest,)).fetchone()
            return _key(row) if row else None

        return await self._read(read)

    async def all(self) -> list[AgentKey]:
        """Return all keys, the newest first."""
        found = await self._read(lambda db: [_key(row) for row in db.execute("SELECT * FROM agent_keys")])
        return newest_first(found or [])

    async def named(self, agents: Sequence[str]) -> list[AgentKey]:
        """Return the keys of agents with one of these ids or names, the newest first."""

        def read(db: sqlite3.Connection) -> dict[str, AgentKey]:
            found: dict[str, AgentKey] = {}
            for some in batched(agents, _BATCH):
                marks = ", ".join("?" * len(some))
                query = f"SELECT * FROM agent_keys WHERE agent_id IN ({marks}) OR name IN ({marks})"  # noqa: S608
                found.update((row["agent_id"], _key(row)) for row in db.execute(query, (*some, *some)))
            return found

        return newest_first(list((await self._read(read) or {}).values()))

    async def usable(self, keys: Sequence[AgentKey], now: datetime) -> set[str]:
        """Return the ids of those keys that are neither revoked nor suspended at `now`."""

        def read(db: sqlite3.Connection) -> set[str]:
            found: list[AgentKey] = []
            for some in batched([key.agent_id for key in keys], _BATCH):
                query = f"SELECT * FROM agent_keys WHERE agent_id IN ({', '.join('?' * len(some))})"  # noqa: S608
                found += [_key(row) for row in db.execute(query, some)]
            return {key.agent_id for key in found if key.active and not key.is_suspended(now)}

        return await self._read(read) or set()

    async def suspend(self, key: AgentKey, suspension: Suspension) -> None:
        """Suspend a key, and append to the history of its suspensions."""
        until = optional_timestamp(suspension.until)
        await self._change(key, _SUSPEND, until, suspension.reason, json.dumps(suspension.row()))

    async def resume(self, key: AgentKey) -> None:
        """Remove the suspension of a key. The history of its suspensions stays."""
        await self._change(key, _RESUME)

    async def revoke(self, key: AgentKey) -> None:
        """Revoke a key."""
        await self._change(key, _REVOKE)

    async def _change(self, key: AgentKey, statement: str, *values: str | None) -> None:
        """Run an UPDATE, whose last parameter is the agent's id. Raises NotFound."""

        def write(db: sqlite3.Connection) -> bool:
            _add_columns(db)
            return db.execute(statement, (*values, key.agent_id)).rowcount > 0

        if await self._read(lambda _: True) is None or not await self._file.write(write):
            raise no_key(self.where, key)

    async def records(self, key: AgentKey | None = None) -> list[AgentRecord]:
        """Return all that is stored about all agents, the newest first, or about the one with a key."""

        def read(db: sqlite3.Connection) -> list[AgentRecord]:
            if key is None:
                return [_record(row) for row in db.execute("SELECT * FROM agent_keys")]
            query = "SELECT * FROM agent_keys WHERE agent_id = ?"
            return [_record(row) for row in db.execute(query, (key.agent_id,))]

        by_id = {one.key.agent_id: one for one in await self._read(read) or []}
        return [by_id[one.agent_id] for one in newest_first([one.key for one in by_id.values()])]

    async def add_usage(self, uses: Sequence[Use]) -> None:
        """Add counts of requests to those that are stored."""

        def write(db: sqlite3.Connection) -> None:
            _add_columns(db)
            for one in uses:
                row = db.execute("SELECT operations FROM agent_keys WHERE agent_id = ?", (one.agent_id,)).fetchone()
                if row is not None:
                    counts = Counter(json.loads(row["operations"])) + Counter(one.operations)
                    last_used = optional_timestamp(one.last_used)
                    db.execute(_ADD_USAGE, (one.requests, last_used, json.dumps(counts), one.agent_id))

        if await self._read(lambda _: True) is not None:
            await self._file.write(write)

    async def confirm(self, agent_id: str, now: datetime) -> bool:
        """Remove the expiry of a provisional key, unless it is over at `now`. Returns whether that was done."""

        def write(db: sqlite3.Connection) -> bool:
            change = """UPDATE agent_keys SET expires_at = NULL, provisional = 0
                WHERE agent_id = ? AND provisional AND expires_at > ?"""
            return db.execute(change, (agent_id, optional_timestamp(now))).rowcount > 0

        return await self._file.write(write)

    async def _read(self, work: Work[T]) -> T | None:
        """Run `work` and return its result; None if there is no table of keys yet."""

        def read(db: sqlite3.Connection) -> T | None:
            exists = db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'agent_keys'").fetchone()
            return work(db) if exists else None

        return await self._file.read(read)


def _add_columns(db: sqlite3.Connection) -> None:
    """Add the columns that the table of an earlier version lacks."""
    known = {row["name"] for row in db.execute("PRAGMA table_info(agent_keys)")}
    for name, column in _ADDED_COLUMNS.items():
        if name not in known:
            db.execute(f"ALTER TABLE agent_keys ADD COLUMN {name} {column}")


def _added_values(row: sqlite3.Row) -> dict[str, Any]:
    """The values of a row in those columns that tables of earlier versions lack."""
    return {name: row[name] for name in row.keys() if name in _ADDED_COLUMNS}  # noqa: SIM118  # a row, not a dict


def _record(row: sqlite3.Row) -> AgentRecord:
    added = _added_values(row)
    operations = as_object(json.loads(added.get("operations") or "{}"))
    usage = Usage(added.get("requests") or 0, parse_datetime(added.get("last_used_at")), operations)
    return AgentRecord(_key(row), usage, suspensions=as_array(json.loads(added.get("suspension_history") or "[]")))


def _key(row: sqlite3.Row) -> AgentKey:
    added = _added_values(row)
    return AgentKey(
        agent_id=row["agent_id"],
        name=row["name"],
        permissions=permissions_of(json.loads(row["permissions"])),
        created_at=parse_datetime(row["created_at"]),
        expires_at=parse_datetime(row["expires_at"]),
        active=bool(row["active"]),
        suspended=bool(added.get("suspended")),
        suspended_until=parse_datetime(added.get("suspended_until")),
        suspension_reason=added.get("suspension_reason"),
        description=row["description"],
        provisional=bool(added.get("provisional")),
        last_used_at=parse_datetime(added.get("last_used_at")),
    )
