"""The tables of the SQLite archive, and how a file of an earlier version is upgraded.

Version 1 did not record states, gaps and the places of actions. The upgrade adds the columns, which takes no longer for
a large file than for a small one; they are NULL in rows of version 1 until `migration.fill` completes those.
"""

from __future__ import annotations

import sqlite3

#: Version of the tables, stored in the file's `user_version`.
VERSION = 2
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS sessions (
        session_id TEXT PRIMARY KEY,
        agent_id TEXT,
        agent_name TEXT,
        route TEXT,
        started_at TEXT,
        last_activity_at TEXT,
        ended_at TEXT,
        active INTEGER NOT NULL,       -- 1 in state live
        state TEXT,
        seen_at TEXT,                  -- the last time that it was seen in Redis
        expires_at TEXT,
        total_actions INTEGER NOT NULL,
        successful_actions INTEGER NOT NULL,
        failed_actions INTEGER NOT NULL,
        next_t INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        last_action TEXT NOT NULL,
        uses TEXT NOT NULL,            -- JSON: [count, failed] of each action, by name
        first INTEGER,                 -- ordinal of the first action in the stored bytes
        actions INTEGER,               -- number of actions in the stored bytes
        trajectory TEXT,               -- digest of these actions
        gaps TEXT,                     -- JSON: [first, last] of each
        missing INTEGER,               -- number of actions that are known to be missing
        overwritten INTEGER,           -- number of archived actions that another writer overwrote in Redis
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        packed BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS sessions_by_activity ON sessions (last_activity_at, session_id)",
    "CREATE INDEX IF NOT EXISTS sessions_by_agent ON sessions (agent_id, last_activity_at)",
    "CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at) WHERE active",
    """
    CREATE TABLE IF NOT EXISTS actions (
        session_id TEXT NOT NULL,
        agent TEXT NOT NULL,
        first INTEGER NOT NULL,
        digest TEXT NOT NULL,
        count INTEGER,
        overwritten INTEGER NOT NULL DEFAULT 0,
        packed BLOB NOT NULL,
        PRIMARY KEY (session_id, agent, first, digest)
    ) STRICT
    """,
)
#: What version 2 adds to the tables of version 1.
_ADDED = (
    "ALTER TABLE sessions ADD COLUMN state TEXT",
    "ALTER TABLE sessions ADD COLUMN seen_at TEXT",
    "ALTER TABLE sessions ADD COLUMN first INTEGER",
    "ALTER TABLE sessions ADD COLUMN actions INTEGER",
    "ALTER TABLE sessions ADD COLUMN trajectory TEXT",
    "ALTER TABLE sessions ADD COLUMN gaps TEXT",
    "ALTER TABLE sessions ADD COLUMN missing INTEGER",
    "ALTER TABLE sessions ADD COLUMN overwritten INTEGER",
    "ALTER TABLE actions ADD COLUMN count INTEGER",
    "ALTER TABLE actions ADD COLUMN overwritten INTEGER NOT NULL DEFAULT 0",
)
#: The server that each session is live on. A table of its own, since files of version 1 may lack it.
_SERVERS = """
CREATE TABLE IF NOT EXISTS servers (
    session_id TEXT PRIMARY KEY,
    server TEXT NOT NULL
) STRICT
"""
#: Rows of version 1 that are not completed yet are found without reading the others.
_OLD = "CREATE INDEX IF NOT EXISTS sessions_of_version_1 ON sessions (session_id) WHERE actions IS NULL"


def create_or_upgrade(db: sqlite3.Connection) -> None:
    """Create what is missing, in a transaction that has begun."""
    version = version_of_tables(db)
    if version < VERSION:
        for statement in TABLES if version == 0 else _ADDED:
            db.execute(statement)
        db.execute(_OLD)
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute(_SERVERS)


def version_of_tables(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 if there are none yet."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
