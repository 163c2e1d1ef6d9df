"""The tables of the SQLite archive: how their rows are written, queried and read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from ...document.json_codec import encodable, loads
from ...document.schema import as_object, as_text
from ...document.timestamps import optional_timestamp
from ...errors import InvalidData
from ...util.batched import batched
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from ..compression import compress
from ..decision import ArchivedState, ArchivedVersion
from ..snapshot import Revision, Snapshot
from ..trajectory import ActionCount
from ..values import as_count, parse_datetime

#: Version of the tables, stored in the file's `user_version`.
VERSION = 1
#: Maximum number of parameters of one query: the limit of old versions of SQLite is 999.
_MAX_PARAMETERS = 900
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
#: The server that each session is live on. A table of its own, which earlier versions of awictl neither need nor mind.
SERVERS = """
CREATE TABLE IF NOT EXISTS servers (
    session_id TEXT PRIMARY KEY,
    server TEXT NOT NULL
) STRICT
"""


def insert_or_replace(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    """Write the row of a snapshot, in place of an older one."""
    counts = {name: [counted.count, counted.failed] for name, counted in snapshot.action_counts.items()}
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
        "last_action": snapshot.last_action_digest,
        "uses": json.dumps(counts),
        "digest": snapshot.digest,
        "bytes": len(snapshot.raw),
        "packed": compress(snapshot.raw),
    }
    parameters = ", ".join(f":{name}" for name in values)
    db.execute(f"INSERT OR REPLACE INTO sessions VALUES ({parameters})", values)  # noqa: S608  # constant names
    if snapshot.server:
        db.execute("INSERT OR REPLACE INTO servers VALUES (?, ?)", (snapshot.session_id, snapshot.server))


def servers_of(db: sqlite3.Connection, session_ids: Sequence[str]) -> dict[str, str]:
    """Return the servers that sessions are live on, as far as they are known."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'servers'").fetchone() is None:
        return {}  # nothing was written since an earlier version of awictl created the file
    found: dict[str, str] = {}
    for some in batched(session_ids, _MAX_PARAMETERS):
        marks = ", ".join("?" * len(some))
        found |= db.execute(f"SELECT session_id, server FROM servers WHERE session_id IN ({marks})", some)  # noqa: S608
    return found


def version_of(row: sqlite3.Row, servers: Mapping[str, str]) -> ArchivedVersion:
    """Return the version of the session that is archived in a row. `servers`: see `servers_of`."""
    return ArchivedVersion(
        row["session_id"],
        str(row["digest"]),
        Revision(*(as_count(row[name]) for name in ("total_actions", "next_t", "updated_ms"))),
        as_text(row["agent_id"]),
        parse_datetime(row["started_at"]),
        ArchivedState.LIVE if row["active"] else ArchivedState.ENDED,
        parse_datetime(row["expires_at"]),
        last_action_digest=str(row["last_action"]),
        server=servers.get(row["session_id"], ""),
    )


def summary_of(row: sqlite3.Row) -> ArchivedSummary:
    """Return the row of a listing for a row of the table."""
    return ArchivedSummary(
        session_id=row["session_id"],
        agent_id=as_text(row["agent_id"]),
        agent_name=as_text(row["agent_name"]),
        route=as_text(row["route"]),
        started_at=parse_datetime(row["started_at"]),
        last_activity_at=parse_datetime(row["last_activity_at"]),
        ended_at=parse_datetime(row["ended_at"]),
        state=ArchivedState.LIVE if row["active"] else ArchivedState.ENDED,
        total_actions=as_count(row["total_actions"]),
        successful_actions=as_count(row["successful_actions"]),
        failed_actions=as_count(row["failed_actions"]),
        bytes=as_count(row["bytes"]),
        action_counts=_action_counts(row["uses"]),
    )


def _action_counts(stored: Any) -> dict[str, ActionCount]:
    """The counts by name; without those that are not counts."""
    try:
        counts = as_object(loads(stored.encode()))
    except (InvalidData, AttributeError):
        return {}
    pairs = {name: one for name, one in counts.items() if isinstance(one, list) and len(one) == 2}
    return {name: ActionCount(as_count(count), as_count(failed)) for name, (count, failed) in pairs.items()}


def conditions_of(query: ArchiveQuery, after: Cursor | None) -> tuple[str, tuple[Any, ...]]:
    """Return a WHERE clause, without the keyword, and its parameters: for a query, from behind a cursor on."""
    conditions = ["TRUE"]
    values: list[Any] = []

    def add(condition: str, *parameters: Any) -> None:
        conditions.append(condition)
        values.extend(parameters)

    if query.agent is not None:
        agent = encodable(query.agent)
        # an id of 24 hex digits matches in either case, like an ObjectId
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
        last = optional_timestamp(after.last_activity_at)
        add(
            "(last_activity_at < ? OR last_activity_at IS NULL OR (last_activity_at = ? AND session_id < ?))",
            last, last, after.session_id,
        )  # fmt: skip
    return " AND ".join(conditions), tuple(values)
