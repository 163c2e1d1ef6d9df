"""The tables of the SQLite archive, and what their rows mean."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ...document.json_codec import encodable
from ...document.timestamps import optional_timestamp
from ...errors import InvalidData
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from ..compression import pack, unpack
from ..snapshot import ArchivedVersion, Revision, Snapshot, moment_of
from ..trajectory import ActionCount

#: Version of the tables, kept in the file's `user_version`.
VERSION = 1
TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    agent_id TEXT,
    agent_name TEXT,
    route TEXT,
    started_at TEXT,
    last_activity_at TEXT,
    ended_at TEXT,
    active INTEGER NOT NULL,
    expires_at TEXT,
    total_actions INTEGER NOT NULL,
    successful_actions INTEGER NOT NULL,
    failed_actions INTEGER NOT NULL,
    next_t INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    last_action TEXT NOT NULL,
    uses TEXT NOT NULL,
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_activity ON sessions (last_activity_at, session_id);
CREATE INDEX IF NOT EXISTS sessions_by_agent ON sessions (agent_id, last_activity_at);
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at) WHERE active;
CREATE TABLE IF NOT EXISTS actions (
    session_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    first INTEGER NOT NULL,
    digest TEXT NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (session_id, agent, first, digest)
) STRICT;
"""


def is_intact(row: sqlite3.Row, where: str) -> bool:
    try:
        unpack(row["packed"], row["digest"], where)
    except InvalidData:
        return False
    return True


def store(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    uses = {name: [use.count, use.failed] for name, use in snapshot.action_counts.items()}
    values = {
        "session_id": snapshot.session_id,
        "agent_id": snapshot.agent_id,
        "agent_name": snapshot.agent_name,
        "route": snapshot.route,
        "started_at": optional_timestamp(snapshot.started_at),
        "last_activity_at": optional_timestamp(snapshot.last_activity_at),
        "ended_at": optional_timestamp(snapshot.ended_at),
        "active": not snapshot.ended,
        "expires_at": optional_timestamp(snapshot.expires_at) if not snapshot.ended else None,
        "total_actions": snapshot.revision.total_actions,
        "successful_actions": snapshot.count("successful_actions"),
        "failed_actions": snapshot.count("failed_actions"),
        "next_t": snapshot.revision.next_t,
        "updated_ms": snapshot.revision.updated_ms,
        "last_action": snapshot.last,
        "uses": json.dumps(uses),
        "digest": snapshot.digest,
        "bytes": len(snapshot.raw),
        "packed": pack(snapshot.raw),
    }
    places = ", ".join(f":{name}" for name in values)
    db.execute(f"INSERT OR REPLACE INTO sessions VALUES ({places})", values)  # noqa: S608  # our own names only


def version_of(row: sqlite3.Row) -> ArchivedVersion:
    return ArchivedVersion(
        row["session_id"],
        row["digest"],
        Revision(row["total_actions"], row["next_t"], row["updated_ms"]),
        row["agent_id"],
        moment_of(row["started_at"]),
        bool(row["active"]),
        moment_of(row["expires_at"]),
        last=row["last_action"],
    )


def summary_of(row: sqlite3.Row) -> ArchivedSummary:
    return ArchivedSummary(
        session_id=row["session_id"],
        agent_id=row["agent_id"],
        agent_name=row["agent_name"],
        route=row["route"],
        started_at=moment_of(row["started_at"]),
        last_activity_at=moment_of(row["last_activity_at"]),
        ended_at=moment_of(row["ended_at"]),
        active=bool(row["active"]),
        total_actions=row["total_actions"],
        successful_actions=row["successful_actions"],
        failed_actions=row["failed_actions"],
        bytes=row["bytes"],
        action_counts={name: ActionCount(*counts) for name, counts in json.loads(row["uses"]).items()},
    )


def conditions_of(query: ArchiveQuery, after: Cursor | None) -> tuple[str, tuple[Any, ...]]:
    """A WHERE clause, and the values in it."""
    conditions = ["TRUE"]
    values: list[Any] = []

    def add(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    if query.agent is not None:
        agent = encodable(query.agent)
        # 24 hex digits are one id in either case, as they are in MongoDB
        add(
            "(agent_id = ? OR agent_name = ? OR length(agent_id) = 24 AND lower(agent_id) = ?)",
            agent,
            agent,
            agent.lower(),
        )
    if query.since is not None:
        add("last_activity_at >= ?", optional_timestamp(query.since))
    if query.until is not None:
        add("last_activity_at < ?", optional_timestamp(query.until))
    if query.failed:
        add("failed_actions > 0")
    if after is not None and after.last_activity_at is None:
        add("last_activity_at IS NULL AND session_id < ?", after.session_id)
    elif after is not None:
        moment = optional_timestamp(after.last_activity_at)
        add(
            "(last_activity_at < ? OR last_activity_at IS NULL OR (last_activity_at = ? AND session_id < ?))",
            moment, moment, after.session_id,
        )  # fmt: skip
    return " AND ".join(conditions), tuple(values)
