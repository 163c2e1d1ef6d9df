"""Keys of agents in the SQLite file of an archive."""

from __future__ import annotations

import json
import sqlite3
from typing import TypeVar

from ..archive.snapshot import moment_of
from ..archive.sqlite.archive import SqliteArchive, Work
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
    created_at TEXT
) STRICT"""

T = TypeVar("T")


class SqliteKeyStore:
    """The `KeyStore` in the file of an archive. The table is made by the first key; reading never makes one."""

    def __init__(self, archive: SqliteArchive) -> None:
        self.where = archive.where
        self._archive = archive

    async def add(self, key: AgentKey, digest: str) -> None:
        def write(db: sqlite3.Connection) -> None:
            db.execute(_TABLE)
            db.execute(
                "INSERT INTO agent_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.agent_id,
                    digest,
                    key.name,
                    key.description,
                    json.dumps(key.permissions),
                    key.active,
                    optional_timestamp(key.expires_at),
                    optional_timestamp(key.created_at),
                ),
            )

        await self._archive.writing(write)

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        def read(db: sqlite3.Connection) -> AgentKey | None:
            row = db.execute("SELECT * FROM agent_keys WHERE digest = ?", (digest,)).fetchone()
            return _key(row) if row else None

        return await self._reading(read)

    async def all(self) -> list[AgentKey]:
        found = await self._reading(lambda db: [_key(row) for row in db.execute("SELECT * FROM agent_keys")])
        return newest_first(found or [])

    async def revoke(self, agent_id: str) -> bool:
        def write(db: sqlite3.Connection) -> bool:
            return db.execute("UPDATE agent_keys SET active = 0 WHERE agent_id = ?", (agent_id,)).rowcount > 0

        if await self._reading(lambda _: True) is None:
            return False
        return await self._archive.writing(write)

    async def _reading(self, work: Work[T]) -> T | None:
        """The result of `work`; None where there is no table of keys yet."""

        def read(db: sqlite3.Connection) -> T | None:
            there = db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'agent_keys'").fetchone()
            return work(db) if there else None

        return await self._archive.reading(read)


def _key(row: sqlite3.Row) -> AgentKey:
    return AgentKey(
        agent_id=row["agent_id"],
        name=row["name"],
        permissions=permissions_of(json.loads(row["permissions"])),
        created_at=moment_of(row["created_at"]),
        expires_at=moment_of(row["expires_at"]),
        active=bool(row["active"]),
        description=row["description"],
    )
