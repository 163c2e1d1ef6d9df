"""API keys in the SQLite file of an archive."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from ..archive.sqlite.file import SqliteFile, T, Work
from ..archive.values import parse_datetime
from ..document.timestamps import optional_timestamp
from .api_keys import AgentKey, newest_first, permissions_of

_TABLE = """CREATE TABLE IF NOT EXISTS agent_keys (
    agent_id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    permissions TEXT NOT NULL,
    active INTEGER NOT NULL,
    expires_at TEXT,
    created_at TEXT,
    provisional INTEGER NOT NULL DEFAULT 0
) STRICT"""
#: Adds what tables of earlier versions lack.
_ADD_PROVISIONAL = "ALTER TABLE agent_keys ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0"


class SqliteKeyStore:
    """The `KeyStore` in the file of an archive. The first key creates the table."""

    def __init__(self, file: SqliteFile) -> None:
        self.where = file.where
        self._file = file

    async def add(self, key: AgentKey, digest: str) -> None:
        """Store a new key; with a provisional one, delete those that have expired. digest: SHA-256 of its secret."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(_TABLE)
            if not _has_provisional(db):
                db.execute(_ADD_PROVISIONAL)
            if key.provisional:
                expired = "DELETE FROM agent_keys WHERE provisional AND expires_at <= ?"
                db.execute(expired, (optional_timestamp(key.created_at),))
            db.execute(
                "INSERT INTO agent_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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

    async def revoke(self, agent_id: str) -> bool:
        """Revoke a key. Returns whether there is one with this id."""

        def write(db: sqlite3.Connection) -> bool:
            return db.execute("UPDATE agent_keys SET active = 0 WHERE agent_id = ?", (agent_id,)).rowcount > 0

        if await self._read(lambda _: True) is None:
            return False
        return await self._file.write(write)

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


def _has_provisional(db: sqlite3.Connection) -> bool:
    return any(row["name"] == "provisional" for row in db.execute("PRAGMA table_info(agent_keys)"))


def _key(row: sqlite3.Row) -> AgentKey:
    return AgentKey(
        agent_id=row["agent_id"],
        name=row["name"],
        permissions=permissions_of(json.loads(row["permissions"])),
        created_at=parse_datetime(row["created_at"]),
        expires_at=parse_datetime(row["expires_at"]),
        active=bool(row["active"]),
        description=row["description"],
        provisional="provisional" in row.keys() and bool(row["provisional"]),  # noqa: SIM118  # a row, not a dict
    )
