"""Complete the rows that version 1 of the tables wrote: states, gaps, and the places of their actions."""

from __future__ import annotations

import sqlite3

from ...errors import AwiError
from ..merged_trajectory import merge_loaded
from ..snapshot import Snapshot
from .actions import load_chunks
from .rows import columns_of, state_of
from .tables import version_of_tables

#: Matches rows of version 1.
_OLD = "actions IS NULL"


def old_rows(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return the ids of sessions that are not completed yet, and the sizes of their documents in bytes."""
    condition = _OLD if version_of_tables(db) > 1 else "TRUE"
    found = db.execute(f"SELECT session_id, bytes FROM sessions WHERE {condition}")  # noqa: S608  # constants
    return [(str(session_id), size if isinstance(size, int) else 0) for session_id, size in found]


def fill(db: sqlite3.Connection, row: sqlite3.Row, raw: bytes | AwiError, where: str, limit: int) -> AwiError | None:
    """Complete a row, given with its stored bytes. Returns the error if they are damaged; then nothing is changed.

    where: the archive, for messages; limit: maximum number of bytes of a chunk.
    """
    if isinstance(raw, AwiError):
        return raw
    try:
        snapshot = Snapshot.parse(row["session_id"], raw)
    except AwiError as error:
        return error
    chunks = load_chunks(db, snapshot.session_id, snapshot.agent_id, where, limit)
    found = merge_loaded(snapshot, None, None).trajectory(chunks)
    state = state_of(row)
    columns = {**columns_of(snapshot, found), "state": state.value}
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    names = {"session_id": snapshot.session_id, "digest": row["digest"]}
    condition = f"session_id = :session_id AND digest = :digest AND {_OLD}"
    db.execute(f"UPDATE sessions SET {changes} WHERE {condition}", columns | names)  # noqa: S608  # constant names
    return None
