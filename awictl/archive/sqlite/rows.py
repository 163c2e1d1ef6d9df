"""The rows of the sessions in the SQLite archive: how they are written, queried and read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ...document.action_numbers import actions_of
from ...document.json_codec import encodable, loads
from ...document.schema import as_object, as_text
from ...document.timestamps import optional_timestamp
from ...errors import InvalidData
from ...util.batched import batched
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from ..compression import compress
from ..decision import ArchivedState, ArchivedVersion
from ..merge import Gap, gaps_of
from ..merged_trajectory import MergedTrajectory
from ..snapshot import Revision, Snapshot
from ..trajectory import ActionCount
from ..values import as_count, parse_datetime

#: Maximum number of parameters of one query: the limit of old versions of SQLite is 999.
_MAX_PARAMETERS = 900


def insert_or_replace(db: sqlite3.Connection, snapshot: Snapshot, merged: MergedTrajectory, now: datetime) -> None:
    """Write the row of a snapshot that is archived `now`, in place of an older one."""
    values = {
        "session_id": snapshot.session_id,
        "agent_id": snapshot.agent_id,
        "agent_name": snapshot.agent_name,
        "route": snapshot.route,
        "started_at": optional_timestamp(snapshot.started_at),
        "last_activity_at": optional_timestamp(snapshot.last_activity_at),
        "ended_at": optional_timestamp(snapshot.ended_at),
        "active": not snapshot.ended,
        "state": (ArchivedState.ENDED if snapshot.ended else ArchivedState.LIVE).value,
        "seen_at": optional_timestamp(now),
        "expires_at": optional_timestamp(snapshot.expires_at) if not snapshot.ended else None,
        "total_actions": snapshot.revision.total_actions,
        "successful_actions": snapshot.count("successful_actions"),
        "failed_actions": snapshot.count("failed_actions"),
        "next_t": snapshot.revision.next_t,
        "updated_ms": snapshot.revision.updated_ms,
        "last_action": snapshot.last_action_digest,
        **columns_of(snapshot, merged),
        "digest": snapshot.digest,
        "bytes": len(snapshot.raw),
        "packed": compress(snapshot.raw),
    }
    names, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
    statement = f"INSERT OR REPLACE INTO sessions ({names}) VALUES ({parameters})"  # noqa: S608  # constant names
    db.execute(statement, values)
    _set_server(db, snapshot)


def columns_of(snapshot: Snapshot, merged: MergedTrajectory) -> dict[str, Any]:
    """Return the columns that describe the trajectory."""
    return {
        "uses": json.dumps({name: [counted.count, counted.failed] for name, counted in merged.counts.items()}),
        "first": merged.first,
        "actions": len(actions_of(snapshot.document) or ()),
        "trajectory": snapshot.trajectory_digest,
        "gaps": json.dumps(merged.gaps),
        "missing": sum(gap.size or 0 for gap in merged.gaps),
        "overwritten": merged.overwritten,
    }


def extend(db: sqlite3.Connection, snapshot: Snapshot, now: datetime) -> None:
    """Record that a session, of which these bytes are archived, is live `now`, and a later expiry or another server."""
    values = {
        "session_id": snapshot.session_id,
        "now": optional_timestamp(now),
        "expires_at": optional_timestamp(snapshot.expires_at),
    }
    db.execute(
        """UPDATE sessions SET active = 1, state = 'live', ended_at = NULL, seen_at = :now,
        expires_at = max(coalesce(expires_at, :expires_at), coalesce(:expires_at, expires_at))
        WHERE session_id = :session_id""",
        values,
    )
    _set_server(db, snapshot)


def _set_server(db: sqlite3.Connection, snapshot: Snapshot) -> None:
    if snapshot.server:
        db.execute("INSERT OR REPLACE INTO servers VALUES (?, ?)", (snapshot.session_id, snapshot.server))


def rows_without_bytes(db: sqlite3.Connection, which: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
    """Return the rows of sessions that match a condition, without the column of the compressed bytes."""
    columns = ", ".join(row["name"] for row in db.execute("PRAGMA table_info(sessions)") if row["name"] != "packed")
    return db.execute(f"SELECT {columns} FROM sessions WHERE {which}", values).fetchall()  # noqa: S608  # constants


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
        state_of(row),
        parse_datetime(row["expires_at"]),
        last_action_digest=str(row["last_action"]),
        server=servers.get(row["session_id"], ""),
        seen_at=parse_datetime(_added(row, "seen_at")),
        first=as_count(_added(row, "first")),
        actions=None if _added(row, "actions") is None else as_count(row["actions"]),
        trajectory=str(_added(row, "trajectory")),
        gaps=_gaps(_added(row, "gaps")),
        overwritten_actions=as_count(_added(row, "overwritten")),
        action_counts=_action_counts(row["uses"]),
    )


def state_of(row: sqlite3.Row) -> ArchivedState:
    """Return the state of a session. Version 1 recorded whether it may be live, and kept the expiry if it expired."""
    stored = _added(row, "state")
    if (known := next((one for one in ArchivedState if one.value == stored), None)) is not None:
        return known
    if row["active"]:
        return ArchivedState.LIVE
    return ArchivedState.ENDED if row["expires_at"] is None else ArchivedState.EXPIRED


def _added(row: sqlite3.Row, name: str) -> Any:
    """Return a column that version 1 of the tables does not have; None if the file is of that version."""
    return row[name] if name in row.keys() else None  # noqa: SIM118  # `in row` would search the values


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
        state=state_of(row),
        total_actions=as_count(row["total_actions"]),
        successful_actions=as_count(row["successful_actions"]),
        failed_actions=as_count(row["failed_actions"]),
        bytes=as_count(row["bytes"]),
        last_seen_at=parse_datetime(_added(row, "seen_at")),
        gaps=_gaps(_added(row, "gaps")),
        overwritten_actions=as_count(_added(row, "overwritten")),
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


def _gaps(stored: Any) -> tuple[Gap, ...]:
    """The gaps; without what is not one."""
    try:
        return gaps_of(loads(stored.encode()))
    except (InvalidData, AttributeError):
        return ()


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
