"""The archive in an SQLite file: the one of the embedded server, or the one that AWI_ARCHIVE_URL names."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from ...document.timestamps import optional_timestamp
from ...errors import AwiError, InvalidData, NotFound, Refused, Unreachable
from ...util.batched import batched_by_bytes
from ..base import (
    BATCH_BYTES,
    BATCH_SESSIONS,
    MAX_SAVE_ATTEMPTS,
    Archived,
    ArchivedSummary,
    ArchiveQuery,
    Cursor,
    GoneSession,
    archived_snapshot,
    concurrent_writers,
    only,
)
from ..chunks import Chunk, EncodedChunk
from ..compression import MAX_BYTES, decompress
from ..decision import ArchivedVersion, Decision, decide
from ..merged_trajectory import merge_loaded, merge_unloaded
from ..snapshot import Snapshot
from ..values import damaged_unless_readable
from .actions import have_chunks, insert_chunks, load_chunks
from .file import SqliteFile
from .migration import fill, old_rows
from .rows import conditions_of, extend, insert_or_replace, rows_without_bytes, servers_of, summary_of, version_of

#: Number of sessions that one query of a listing returns.
_PAGE = 500


class SqliteArchive:
    """The `Archive` in an SQLite file.

    timeout: seconds to wait for a lock of another process. named: whether a setting names the file. max_bytes: maximum
    size of a document that is read.
    """

    #: See `Archive.patience`. SQLite waits for a lock only, and a thread cannot be cancelled.
    patience: float | None = None

    def __init__(self, path: Path, timeout: float, *, named: bool = True, max_bytes: int = MAX_BYTES) -> None:
        self.file = SqliteFile(path, timeout)
        self.where = self.file.where
        self._max_bytes = max_bytes
        self._named = named

    async def close(self) -> None:
        """Do nothing: each call closes the file."""

    def suspend(self, error: Unreachable) -> None:
        """Do nothing: an SQLite file has its own timeouts."""

    async def publish(self, session_ids: Sequence[str]) -> None:
        """Show sessions to the app. See `Archive.publish`."""

    async def unpublished(self) -> AsyncGenerator[str, None]:
        """Iterate over the ids of sessions that are not published yet. See `Archive.unpublished`."""
        nothing: list[str] = []
        for session_id in nothing:
            yield session_id

    async def withdraw(self, session_ids: Sequence[str]) -> None:
        """Take back what `publish` added. See `Archive.withdraw`."""

    async def check_exists(self) -> None:
        """Raise NotFound if the file does not exist, unless it is the embedded server's."""
        if self._named and not self.file.path.exists():
            raise NotFound(
                f"there is no archive {self.where}: the file does not exist; check the path (archiving a session would "
                "create it)"
            )

    async def ping(self) -> dict[str, Any]:
        """Measure the latency of a query. Returns `latency_ms` and `version`. Raises Refused if no file can be made."""
        started = time.perf_counter()
        self.file.check_creatable()
        await self.file.read(lambda db: db.execute("SELECT count(*) FROM sessions").fetchone())
        latency = time.perf_counter() - started
        return {"latency_ms": round(latency * 1000, 3), "version": sqlite3.sqlite_version}

    async def missing_indexes(self) -> list[str]:
        """Return an empty list: the indexes are created with the tables."""
        return []

    # -- writing

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots and read them back. See `Archive.save`."""
        written: dict[str, list[EncodedChunk]] = {}

        def write(db: sqlite3.Connection) -> dict[str, AwiError | None]:
            return self._write(db, pending, written)

        def read_back(db: sqlite3.Connection) -> dict[str, bytes | AwiError]:
            for one in pending:
                if not have_chunks(db, one.session_id, one.agent_id, written.get(one.session_id, ()), self._max_bytes):
                    raise self._not_read_back(one.session_id)
            return {one.session_id: self._read_raw(db, one.session_id) for one in pending}

        settled: dict[str, AwiError | None] = {}
        pending = list(snapshots)
        for _ in range(MAX_SAVE_ATTEMPTS):
            written.clear()
            results = await self.file.write(write)
            found = await self.file.read(read_back) or {}
            # another process may have archived something else meanwhile: then decide again
            again = [one for one in pending if results[one.session_id] is None and found.get(one.session_id) != one.raw]
            settled |= {one.session_id: results[one.session_id] for one in pending if one not in again}
            pending = again
            if not pending:
                break
        return settled | {one.session_id: concurrent_writers(one.session_id, self.where) for one in pending}

    def _write(
        self, db: sqlite3.Connection, snapshots: Sequence[Snapshot], written: dict[str, list[EncodedChunk]]
    ) -> dict[str, AwiError | None]:
        """Write snapshots, and what they lack of the archived versions. `written`: receives the chunks by session."""
        results: dict[str, AwiError | None] = {}
        servers = servers_of(db, [one.session_id for one in snapshots])
        now = datetime.now(UTC)
        for snapshot in snapshots:
            session_id = snapshot.session_id
            row = self._row(db, session_id)
            if row is not None and row["actions"] is None:
                fill(db, row, self._raw(row), self.where, self._max_bytes)
                row = self._row(db, session_id)
            archived = version_of(row, servers) if row is not None else None
            try:
                decision = decide(snapshot, archived, self.where)
            except Refused as error:
                results[session_id] = error
                continue
            results[session_id] = None
            same_bytes = decision in (Decision.NOTHING, Decision.EXTEND)
            if same_bytes and row is not None and isinstance(self._raw(row), AwiError):
                decision = Decision.REPLACE  # the archived bytes are damaged
            if decision is Decision.EXTEND:
                extend(db, snapshot, now)
            elif decision is not Decision.NOTHING:
                merging = merge_unloaded(snapshot, archived)
                if merging is None:
                    raw = self._raw(row) if row is not None else None
                    merging = merge_loaded(snapshot, archived, Snapshot.parse_archived(session_id, raw))
                trajectory = merging.trajectory(self._chunks(db, snapshot) if merging.needs_chunks else ())
                written[session_id] = insert_chunks(db, session_id, snapshot.agent_id, trajectory.chunks)
                insert_or_replace(db, snapshot, trajectory, now)
        return results

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions before they are trimmed, and read them back. See `Archive.save_trimmed_actions`."""
        encoded = await self.file.write(lambda db: insert_chunks(db, session_id, agent_id, [chunk]))
        if not await self.file.read(lambda db: have_chunks(db, session_id, agent_id, encoded, self._max_bytes)):
            raise self._not_read_back(session_id)

    async def mark_gone(self, sessions: Sequence[GoneSession]) -> int:
        """Record that sessions are no longer in Redis. See `Archive.mark_gone`."""

        def write(db: sqlite3.Connection) -> int:
            statement = """UPDATE sessions SET active = 0, state = ?, ended_at = ?, seen_at = coalesce(?, seen_at)
                WHERE session_id = ? AND digest = ? AND expires_at IS ? AND active"""
            rows = [
                (
                    state.value,
                    optional_timestamp(ended_at),
                    optional_timestamp(seen_at),
                    version.session_id,
                    version.digest,
                    optional_timestamp(version.expires_at),
                )
                for version, state, ended_at, seen_at in sessions
            ]
            return db.executemany(statement, rows).rowcount if rows else 0

        return await self.file.write(write) if self.file.path.exists() else 0

    # -- migrating

    async def count_old_sessions(self) -> int:
        """Return the number of sessions to migrate. See `Archive.count_old_sessions`."""
        return len(await self.file.read(old_rows) or [])

    async def old_sessions(self) -> AsyncGenerator[list[str], None]:
        """Iterate over the sessions to migrate. See `Archive.old_sessions`."""
        found = await self.file.read(old_rows) or []
        for batch in batched_by_bytes(found, itemgetter(1), BATCH_BYTES, BATCH_SESSIONS):
            yield [session_id for session_id, _ in batch]

    async def migrate(self, session_ids: Sequence[str], gone: Collection[str] = ()) -> dict[str, AwiError | None]:
        """Complete the rows of sessions that an earlier version wrote. See `Archive.migrate`."""

        def write(db: sqlite3.Connection) -> dict[str, AwiError | None]:
            rows = [row for row in (self._row(db, one) for one in session_ids) if row is not None]
            return {
                row["session_id"]: fill(db, row, self._raw(row), self.where, self._max_bytes)
                for row in rows
                if row["actions"] is None
            }

        return await self.file.write(write) if self.file.path.exists() else {}

    async def migrate_actions(self) -> int:
        """Return 0: chunks of an earlier version are read as they are. See `Archive.migrate_actions`."""
        return 0

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""
        return only(await self.load_many([session_id]), session_id)

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. See `Archive.load_many`."""

        def read(db: sqlite3.Connection) -> dict[str, Archived | AwiError]:
            rows = (self._row(db, one) for one in session_ids)
            return {row["session_id"]: self._archived(db, row) for row in rows if row is not None}

        return await self.file.read(read) or {}

    def _archived(self, db: sqlite3.Connection, row: sqlite3.Row) -> Archived | AwiError:
        """Return the session in a row with its whole trajectory, or why it cannot be read."""
        raw = self._raw(row)
        if isinstance(raw, AwiError):
            return raw
        try:
            with damaged_unless_readable(f"{self.where}: {row['session_id']}"):
                summary, version = summary_of(row), version_of(row, {})
                snapshot = Snapshot.parse(row["session_id"], raw)
                first = snapshot.first_ordinal if version.actions is None else version.first
                # even if the snapshot has all actions: there are later ones if the session has been trimmed since
                return archived_snapshot(summary, snapshot, first, self._chunks(db, snapshot))
        except AwiError as error:
            return error

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the actions that were trimmed from a session of this agent, without damaged chunks."""
        found = await self.file.read(lambda db: load_chunks(db, session_id, agent_id, self.where, self._max_bytes))
        return found or []

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """Iterate over the sessions that match, the latest activity first. See `Archive.find`."""
        while limit is None or limit > 0:
            conditions, values = conditions_of(query, after)
            size = _PAGE if limit is None else min(_PAGE, limit)
            which = f"{conditions} ORDER BY last_activity_at DESC, session_id DESC LIMIT {size}"

            def read(
                db: sqlite3.Connection, which: str = which, values: tuple[Any, ...] = values
            ) -> list[ArchivedSummary]:
                return [summary_of(row) for row in rows_without_bytes(db, which, values)]

            page = await self.file.read(read) or []
            for one in page:
                yield one
            if len(page) < size:
                return
            after = Cursor(page[-1].last_activity_at, page[-1].session_id)
            limit = limit - size if limit is not None else None

    async def live(self, server: str, seen_until: datetime | None = None) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions in state LIVE. See `Archive.live`."""

        def read(db: sqlite3.Connection) -> list[ArchivedVersion]:
            rows = rows_without_bytes(db, "active", ())
            servers = servers_of(db, [row["session_id"] for row in rows])
            return [version_of(row, servers) for row in rows]

        for version in await self.file.read(read) or []:
            seen = version.seen_at is None or seen_until is None or version.seen_at <= seen_until
            if seen and version.server in ("", server):
                yield version

    async def ended_by_app(self, session_ids: Sequence[str]) -> dict[str, datetime | None]:
        """Return an empty dict: the app does not use this archive."""
        return {}

    def _row(self, db: sqlite3.Connection, session_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = db.execute("SELECT * FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
        return row

    def _chunks(self, db: sqlite3.Connection, snapshot: Snapshot) -> list[Chunk]:
        return load_chunks(db, snapshot.session_id, snapshot.agent_id, self.where, self._max_bytes)

    def _read_raw(self, db: sqlite3.Connection, session_id: str) -> bytes | AwiError:
        """Return the archived bytes of a session, or the error if they are missing or damaged."""
        row = db.execute(
            "SELECT session_id, packed, digest, bytes FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        return self._raw(row) if row is not None else self._not_read_back(session_id)

    def _raw(self, row: sqlite3.Row) -> bytes | AwiError:
        """Return the archived bytes in a row, or the error if they are damaged."""
        try:
            where = f"{self.where}: {row['session_id']}"
            return decompress(row["packed"], row["digest"], where, size=row["bytes"], limit=self._max_bytes)
        except InvalidData as error:
            return error

    def _not_read_back(self, session_id: str) -> Unreachable:
        return Unreachable(f"{self.where}: {session_id} was not read back as written; nothing was deleted")
