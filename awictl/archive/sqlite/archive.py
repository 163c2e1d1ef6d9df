"""The archive in an SQLite file: the one of the embedded server, or the one that AWI_ARCHIVE_URL names."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ...document.json_codec import encodable
from ...document.timestamps import optional_timestamp
from ...errors import AwiError, InvalidData, NotFound, Refused, Unreachable
from ..base import (
    MAX_SAVE_ATTEMPTS,
    Archived,
    ArchivedSummary,
    ArchiveQuery,
    Cursor,
    GoneSession,
    complete_snapshot,
    concurrent_writers,
)
from ..chunks import Chunk, decode_chunks, encode_chunk
from ..compression import MAX_BYTES, compress, decompress
from ..decision import ArchivedVersion, Decision, decide
from ..snapshot import Snapshot
from ..values import damaged_unless_readable
from .file import SqliteFile
from .rows import conditions_of, insert_or_replace, servers_of, summary_of, version_of

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

    def live(self, server: str) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions in state LIVE. See `Archive.live`."""
        raise NotImplementedError

    async def mark_gone(self, sessions: Sequence[GoneSession]) -> int:
        """Record that sessions are no longer in Redis. See `Archive.mark_gone`."""
        raise NotImplementedError

    async def ended_by_app(self, session_ids: Sequence[str]) -> dict[str, datetime | None]:
        """Return the sessions that the app archived. See `Archive.ended_by_app`."""
        raise NotImplementedError

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

        def write(db: sqlite3.Connection) -> dict[str, AwiError | None]:
            results: dict[str, AwiError | None] = {}
            servers = servers_of(db, [one.session_id for one in pending])
            for snapshot in pending:
                row = db.execute("SELECT * FROM sessions WHERE session_id = ?", (snapshot.session_id,)).fetchone()
                try:
                    decision = decide(snapshot, version_of(row, servers) if row else None, self.where)
                    if decision is Decision.NOTHING and isinstance(self._raw(row), AwiError):
                        decision = Decision.REPLACE
                    results[snapshot.session_id] = None
                except Refused as error:
                    results[snapshot.session_id] = error
                else:
                    if decision is not Decision.NOTHING:
                        insert_or_replace(db, snapshot)
            return results

        def read_back(db: sqlite3.Connection) -> dict[str, bytes | AwiError]:
            return {one.session_id: self._read_raw(db, one.session_id) for one in pending}

        settled: dict[str, AwiError | None] = {}
        pending = list(snapshots)
        for _ in range(MAX_SAVE_ATTEMPTS):
            results = await self.file.write(write)
            found = await self.file.read(read_back) or {}
            # another process may have archived something else meanwhile: then decide again
            again = [one for one in pending if results[one.session_id] is None and found.get(one.session_id) != one.raw]
            settled |= {one.session_id: results[one.session_id] for one in pending if one not in again}
            pending = again
            if not pending:
                break
        return settled | {one.session_id: concurrent_writers(one.session_id, self.where) for one in pending}

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions before they are trimmed, and read them back. See `Archive.save_trimmed_actions`."""
        agent = encodable(agent_id or "")
        encoded = list(encode_chunk(chunk))

        def write(db: sqlite3.Connection) -> None:
            rows = [(session_id, agent, one.chunk.first, one.digest, compress(one.raw)) for one in encoded]
            db.executemany("INSERT OR REPLACE INTO actions VALUES (?, ?, ?, ?, ?)", rows)

        await self.file.write(write)
        back = [(one.first, one.actions) for one in await self.load_trimmed_actions(session_id, agent)]
        if any((one.chunk.first, one.chunk.actions) not in back for one in encoded):
            raise self._not_read_back(session_id)

    async def mark_ended(self, sessions: Sequence[ArchivedVersion]) -> int:
        """Mark sessions as ended at their expiry, unless they have changed since. Returns the number marked."""

        def write(db: sqlite3.Connection) -> int:
            statement = """UPDATE sessions SET active = 0, ended_at = expires_at
                WHERE session_id = ? AND digest = ? AND expires_at = ? AND active"""
            rows = [(one.session_id, one.digest, optional_timestamp(one.expires_at)) for one in sessions]
            return db.executemany(statement, rows).rowcount if rows else 0

        return await self.file.write(write) if self.file.path.exists() else 0

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""

        loaded = (await self.load_many([session_id])).get(session_id)
        if isinstance(loaded, AwiError):
            raise loaded
        return loaded

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. See `Archive.load_many`."""

        def read(db: sqlite3.Connection) -> list[tuple[ArchivedSummary, bytes | AwiError]]:
            marks = ", ".join("?" * len(session_ids))
            rows = db.execute(f"SELECT * FROM sessions WHERE session_id IN ({marks})", session_ids)  # noqa: S608
            return [(summary_of(row), self._raw(row)) for row in rows]

        results: dict[str, Archived | AwiError] = {}
        for summary, raw in await self.file.read(read) or []:
            try:
                if isinstance(raw, AwiError):
                    raise raw
                with damaged_unless_readable(f"{self.where}: {summary.session_id}"):
                    snapshot = await complete_snapshot(self, Snapshot.parse(summary.session_id, raw))
                    results[summary.session_id] = Archived(summary, snapshot.full_document, raw)
            except AwiError as error:
                results[summary.session_id] = error
        return results

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the actions that were trimmed from a session of this agent, without damaged chunks."""
        agent = encodable(agent_id or "")

        def read(db: sqlite3.Connection) -> list[Chunk]:
            rows = db.execute("SELECT * FROM actions WHERE session_id = ? AND agent = ?", (session_id, agent))
            where = f"{self.where}: trimmed actions of {session_id}"
            found = ((row["first"], row["packed"], row["digest"], where) for row in rows)
            return decode_chunks(found, self._max_bytes)

        return await self.file.read(read) or []

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """Iterate over the sessions that match, the latest activity first. See `Archive.find`."""
        while limit is None or limit > 0:
            conditions, values = conditions_of(query, after)
            size = _PAGE if limit is None else min(_PAGE, limit)
            statement = f"""SELECT * FROM sessions WHERE {conditions}
                ORDER BY last_activity_at DESC, session_id DESC LIMIT {size}"""  # noqa: S608  # values are parameters

            def read(
                db: sqlite3.Connection, statement: str = statement, values: tuple[Any, ...] = values
            ) -> list[ArchivedSummary]:
                return [summary_of(row) for row in db.execute(statement, values)]

            page = await self.file.read(read) or []
            for one in page:
                yield one
            if len(page) < size:
                return
            after = Cursor(page[-1].last_activity_at, page[-1].session_id)
            limit = limit - size if limit is not None else None

    async def expired(self, now: datetime) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions that are marked as active but were due to expire before `now`, the earliest first."""

        def read(db: sqlite3.Connection) -> list[ArchivedVersion]:
            statement = "SELECT * FROM sessions WHERE active AND expires_at < ? ORDER BY expires_at"
            rows = db.execute(statement, (optional_timestamp(now),)).fetchall()
            servers = servers_of(db, [row["session_id"] for row in rows])
            return [version_of(row, servers) for row in rows]

        for archived in await self.file.read(read) or []:
            yield archived

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
