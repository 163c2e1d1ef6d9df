"""The archive in an SQLite file: beside the embedded server, or wherever AWI_ARCHIVE_URL says.

Each call opens the file, works in a thread and closes it: sessions end rarely, and several processes may share the
file. It is made by the first session that is archived; reading never makes one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ...document.json_codec import encodable
from ...document.timestamps import optional_timestamp
from ...errors import AwiError, InvalidData, Refused, Unreachable
from ..base import SAVE_TRIES, Archived, ArchivedSummary, ArchiveQuery, Cursor, not_settled
from ..compression import chunks_of, intact_chunks, pack, unpack
from ..snapshot import ArchivedVersion, Decision, Snapshot
from ..trajectory import Chunk, complete
from .rows import TABLES, VERSION, conditions_of, is_intact, store, summary_of, version_of

#: Sessions that one query of a listing returns.
_PAGE = 500

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class SqliteArchive:
    """The `Archive` in an SQLite file."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self.where = f"sqlite:///{path}"

    async def close(self) -> None:
        """Nothing stays open."""

    async def ping(self) -> dict[str, Any]:
        started = time.perf_counter()
        if not self._path.exists():
            self._check_folder()
        await self.reading(lambda db: db.execute("SELECT count(*) FROM sessions").fetchone())
        latency = time.perf_counter() - started
        return {"latency_ms": round(latency * 1000, 3), "version": sqlite3.sqlite_version}

    async def missing_indexes(self) -> list[str]:
        return []  # the schema has them

    # -- writing

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        def write(db: sqlite3.Connection) -> dict[str, AwiError | None]:
            results: dict[str, AwiError | None] = {}
            for snapshot in pending:
                row = db.execute("SELECT * FROM sessions WHERE session_id = ?", (snapshot.session_id,)).fetchone()
                try:
                    verdict = snapshot.decide(version_of(row) if row else None, self.where)
                    if verdict is Decision.NOTHING and not is_intact(row, self.where):
                        verdict = Decision.REPLACE
                    results[snapshot.session_id] = None
                except Refused as error:
                    results[snapshot.session_id] = error
                else:
                    if verdict is not Decision.NOTHING:
                        store(db, snapshot)
            return results

        def back(db: sqlite3.Connection) -> dict[str, bytes | AwiError]:
            return {one.session_id: self._string(db, one.session_id) for one in pending}

        settled: dict[str, AwiError | None] = {}
        pending = list(snapshots)
        for _ in range(SAVE_TRIES):
            results = await self.writing(write)
            found = await self.reading(back) or {}
            # where something else is there by now, it is judged again
            again = [one for one in pending if results[one.session_id] is None and found.get(one.session_id) != one.raw]
            settled |= {one.session_id: results[one.session_id] for one in pending if one not in again}
            pending = again
            if not pending:
                break
        return settled | {one.session_id: not_settled(one.session_id, self.where) for one in pending}

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        agent = encodable(agent_id or "")
        pieces = list(chunks_of(chunk))

        def write(db: sqlite3.Connection) -> None:
            rows = [(session_id, agent, piece.first, digest, pack(raw)) for piece, raw, digest in pieces]
            db.executemany("INSERT OR REPLACE INTO actions VALUES (?, ?, ?, ?, ?)", rows)

        await self.writing(write)
        back = [(one.first, one.actions) for one in await self.load_trimmed_actions(session_id, agent)]
        if any((piece.first, piece.actions) not in back for piece, _, _ in pieces):
            raise self._not_read_back(session_id)

    async def mark_ended(self, sessions: Sequence[ArchivedVersion]) -> int:
        def write(db: sqlite3.Connection) -> int:
            statement = """UPDATE sessions SET active = 0, ended_at = expires_at
                WHERE session_id = ? AND digest = ? AND expires_at = ? AND active"""
            rows = [(one.session_id, one.digest, optional_timestamp(one.expires_at)) for one in sessions]
            return db.executemany(statement, rows).rowcount if rows else 0

        return await self.writing(write) if self._path.exists() else 0

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        def read(db: sqlite3.Connection) -> tuple[ArchivedSummary, bytes | AwiError] | None:
            row = db.execute("SELECT * FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
            return (summary_of(row), self._string(db, session_id)) if row else None

        found = await self.reading(read)
        if found is None:
            return None
        summary, raw = found
        if isinstance(raw, AwiError):
            raise raw
        snapshot = Snapshot.of(session_id, raw, now=datetime.now(UTC))
        chunks = await self.load_trimmed_actions(session_id, snapshot.agent_id) if snapshot.trimmed else []
        return Archived(summary, complete(snapshot.document, chunks), raw)

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        agent = encodable(agent_id or "")

        def read(db: sqlite3.Connection) -> list[Chunk]:
            rows = db.execute("SELECT * FROM actions WHERE session_id = ? AND agent = ?", (session_id, agent))
            where = f"{self.where}: actions that left {session_id}"
            return intact_chunks((row["first"], row["packed"], row["digest"], where) for row in rows)

        return await self.reading(read) or []

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        while limit is None or limit > 0:
            conditions, values = conditions_of(query, after)
            size = _PAGE if limit is None else min(_PAGE, limit)
            statement = f"""SELECT * FROM sessions WHERE {conditions}
                ORDER BY last_activity_at DESC, session_id DESC LIMIT {size}"""  # noqa: S608  # no value stands in it

            def read(
                db: sqlite3.Connection, text: str = statement, given: tuple[Any, ...] = values
            ) -> list[ArchivedSummary]:
                return [summary_of(row) for row in db.execute(text, given)]

            page = await self.reading(read) or []
            for one in page:
                yield one
            if len(page) < size:
                return
            after = Cursor(page[-1].last_activity_at, page[-1].session_id)
            limit = limit - size if limit is not None else None

    async def expired(self, now: datetime) -> AsyncGenerator[ArchivedVersion, None]:
        def read(db: sqlite3.Connection) -> list[ArchivedVersion]:
            statement = "SELECT * FROM sessions WHERE active AND expires_at < ? ORDER BY expires_at"
            return [version_of(row) for row in db.execute(statement, (optional_timestamp(now),))]

        for known in await self.reading(read) or []:
            yield known

    # -- the file

    async def writing(self, work: Work[T]) -> T:
        """The result of `work` in one transaction, which is on the disk then."""

        def run() -> T:
            with self._translated():
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._translated(), closing(self._connected("rwc")) as db:
                db.execute("PRAGMA synchronous = EXTRA")  # what was committed outlives a loss of power
                if db.execute("PRAGMA user_version").fetchone()[0] < VERSION:
                    db.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT")
                self._check_version(db)
                db.execute("BEGIN IMMEDIATE")
                result = work(db)
                db.execute("COMMIT")
                return result

        return await asyncio.to_thread(run)

    async def reading(self, work: Work[T]) -> T | None:
        """The result of `work`; None where there is no file yet."""

        def run() -> T | None:
            if not self._path.exists():
                return None
            with self._translated(), closing(self._connected("rw")) as db:
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    return None  # somebody is about to make the tables
                self._check_version(db)
                return work(db)

        return await asyncio.to_thread(run)

    def _check_folder(self) -> None:
        """Raise Refused where the file, which is not there yet, could not be made."""
        folder = next(one for one in self._path.absolute().parents if one.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise Refused(f"{self.where} cannot be made: {folder} is no folder that this user may write to")

    def _connected(self, mode: str) -> sqlite3.Connection:
        if self._path.is_dir():
            raise Refused(f"{self.where} is a folder: name a file in it")
        db = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, timeout=self._timeout, isolation_level=None
        )
        db.row_factory = sqlite3.Row
        return db

    def _check_version(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Refused(f"{self.where} was made by a newer awictl (version {version}): this one does not touch it")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raises what an error of SQLite in the block means."""
        try:
            yield
        except OSError as error:
            raise Refused(f"{self.where}: {error.strerror or error}: {error.filename or ''}") from error
        except sqlite3.OperationalError as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                raise Unreachable(f"{self.where} is in use by somebody else: try again") from error
            if "no such" in text:
                raise InvalidData(f"{self.where} is not an archive of awictl: {text}") from error
            if "readonly" in text or "unable to open" in text:
                raise Refused(f"{self.where}: {text}: check its folder and who may write there") from error
            raise AwiError(f"{self.where}: {text}") from error
        except sqlite3.DatabaseError as error:
            raise InvalidData(f"{self.where}: {error}") from error

    def _string(self, db: sqlite3.Connection, session_id: str) -> bytes | AwiError:
        """What the archive holds of a session, or why that is damaged."""
        row = db.execute("SELECT packed, digest FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
        if row is None:
            return self._not_read_back(session_id)
        try:
            return unpack(row["packed"], row["digest"], f"{self.where}: {session_id}")
        except AwiError as error:
            return error

    def _not_read_back(self, session_id: str) -> Unreachable:
        return Unreachable(f"{self.where}: {session_id} was not read back as written: nothing was deleted")
