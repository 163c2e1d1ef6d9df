"""The archive in MongoDB: the app's collection, with the app's fields and, beside them, the exact bytes.

A document of `agentsessions` has two halves. The app's fields are a view of the session (`app_view.py`), for the app's
own tools and for queries. The field `awi` has the session's bytes as they were in Redis, compressed, with their
SHA-256 and the revision that decides whether a snapshot is newer. Bytes that are too large for one document are split
into parts in `agentsessions.parts`. Trimmed actions are stored in that collection too.

Writes are confirmed by a majority and the journal, and read back from the primary. A document is replaced only if it
still has the digest that was compared with the snapshot, so any number of processes may write at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pymongo
from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from ...document.json_codec import encodable
from ...errors import AwiError, Refused, Unreachable, as_awi_error
from ...settings import Settings
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
from ..chunks import Chunk, ChunkDecoder, EncodedChunk, encode_chunk
from ..compression import MAX_BYTES, compress, decompress
from ..decision import ArchivedVersion, Decision, decide
from ..snapshot import Snapshot
from ..values import damaged_unless_readable
from . import app_documents, indexes
from .connection import Document, MongoConnection
from .documents import (
    ACTION_COUNT_FIELDS,
    STORED_FIELDS,
    SUMMARY_FIELDS,
    VERSION_FIELDS,
    Write,
    conditions_of,
    document_of,
    extension,
    is_ours,
    summary_of,
    unchanged,
    version_of,
)
from .errors import DUPLICATE_KEY, translate_errors, write_errors
from .stored_bytes import stored_bytes

COLLECTION = "agentsessions"
PARTS = "agentsessions.parts"


class MongoArchive:
    """The `Archive` in a MongoDB database."""

    def __init__(self, connection: MongoConnection, max_bytes: int = MAX_BYTES) -> None:
        self.where = connection.where
        self._max_bytes = max_bytes
        self.connection = connection
        self.patience: float | None = connection.patience
        self._sessions = connection.collection(COLLECTION)
        self._parts = connection.collection(PARTS)
        self._indexed = False

    @classmethod
    def open(cls, url: str, where: str, settings: Settings) -> MongoArchive:
        """Return the archive at a URL, without connecting yet. Raises InvalidInput if the URL is malformed."""
        with translate_errors(where):
            return cls(MongoConnection.open(url, where, settings), settings.max_document_bytes)

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()

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
        """Do nothing: a database without collections is an empty archive."""

    def suspend(self, error: Unreachable) -> None:
        """Raise this error for a moment instead of trying again: the server did not finish in time."""
        self.connection.suspend(error)

    async def ping(self) -> dict[str, Any]:
        """Measure the latency of the server. Returns `latency_ms` and `version`."""
        return await self.connection.ping()

    async def missing_indexes(self) -> list[str]:
        """Return the fields of each index that does not exist yet; the first `save` creates it."""
        with translate_errors(self.where), pymongo.timeout(self.connection.connect_timeout):
            return [", ".join(one.document["key"]) for one in await indexes.missing(self._sessions)]

    # -- writing

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots and read them back. See `Archive.save`."""
        results: dict[str, AwiError | None] = {}
        pending = {one.session_id: one for one in snapshots}
        damaged: set[str] = set()
        split: set[str] = set()  # those of which parts were written
        with translate_errors(self.where):
            await self.connection.check_reachable()
            await self._create_indexes()
            for _ in range(MAX_SAVE_ATTEMPTS):
                archived = await self._versions(list(pending))
                decisions: dict[str, Decision] = {}
                for session_id, snapshot in pending.items():
                    try:
                        decision = decide(snapshot, archived.get(session_id), self.where)
                    except Refused as error:
                        results[session_id] = error
                        if session_id in split and session_id in archived:
                            await self._delete_parts(snapshot, archived[session_id].digest)
                    else:
                        same_bytes = decision in (Decision.NOTHING, Decision.EXTEND)
                        decisions[session_id] = Decision.REPLACE if same_bytes and session_id in damaged else decision
                writes = [(pending[one], decision, archived.get(one)) for one, decision in decisions.items()]
                results |= await self._write(writes, split)
                for session_id, raw in (await self._read_back(list(decisions))).items():
                    if isinstance(raw, AwiError):
                        damaged.add(session_id)
                    elif raw == pending[session_id].raw:
                        results[session_id] = None
                        if decisions[session_id] is Decision.REPLACE and archived[session_id].parts:
                            await self._delete_parts(archived[session_id], pending[session_id].digest)
                pending = {one: snapshot for one, snapshot in pending.items() if one not in results}
                if not pending:
                    break
        return results | {session_id: concurrent_writers(session_id, self.where) for session_id in pending}

    async def _write(
        self, decided: Iterable[tuple[Snapshot, Decision, ArchivedVersion | None]], split: set[str]
    ) -> dict[str, AwiError | None]:
        """Carry out the decisions, given with the versions that they are based on. Returns errors by session id.

        The ids of sessions that are split into parts are added to `split`.
        """
        parts: list[Write] = []
        writes: list[Write] = []
        errors: dict[str, AwiError | None] = {}
        now = datetime.now(UTC)
        for snapshot, decision, archived in decided:
            if decision is Decision.EXTEND:
                writes.append(extension(snapshot))
            elif decision is not Decision.NOTHING:
                try:
                    document, pieces = document_of(snapshot, now)
                except Exception as error:  # whatever it contains, it must not keep the others from being archived
                    errors[snapshot.session_id] = as_awi_error(error)
                    continue
                if pieces:
                    parts += pieces
                    split.add(snapshot.session_id)
                writes.append(InsertOne(document) if archived is None else ReplaceOne(unchanged(archived), document))
        if parts:
            await self._parts.bulk_write(parts, ordered=False)
        if writes:
            try:
                await self._sessions.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                return errors | write_errors(error, self.where)
        return errors

    async def _delete_parts(self, version: ArchivedVersion | Snapshot, archived_digest: str) -> None:
        """Delete the parts of a version that was replaced, or not archived, unless it is the archived one."""
        if version.digest != archived_digest:
            wanted = {"sessionId": version.session_id, "kind": "document", "digest": version.digest}
            await self._parts.delete_many(wanted)

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions before they are trimmed, and read them back. See `Archive.save_trimmed_actions`."""
        agent = encodable(agent_id or "")
        wanted: dict[str, EncodedChunk] = {}
        for encoded in encode_chunk(chunk):
            wanted[f"{session_id}:actions:{agent}:{encoded.chunk.first}:{encoded.digest}"] = encoded
        writes: list[Write] = []
        for name, encoded in wanted.items():
            document = {
                "_id": name,
                "sessionId": session_id,
                "kind": "actions",
                "agent": agent,
                "first": encoded.chunk.first,
                "digest": encoded.digest,
                "packed": compress(encoded.raw),
            }
            writes.append(ReplaceOne({"_id": name}, document, upsert=True))
        with translate_errors(self.where):
            await self.connection.check_reachable()
            with pymongo.timeout(self.connection.connect_timeout):  # an update of the session waits for this
                await self._create_indexes()
                try:
                    await self._parts.bulk_write(writes, ordered=False)
                except BulkWriteError as error:
                    if error.details["writeConcernErrors"] or not _only_duplicates(error):
                        raise
                found = await self._parts.find({"_id": {"$in": list(wanted)}}).to_list()
        back = {
            one["_id"]: decompress(one["packed"], one["digest"], f"{self.where}: {one['_id']}", limit=self._max_bytes)
            for one in found
        }
        if back != {name: encoded.raw for name, encoded in wanted.items()}:
            raise Unreachable(f"{self.where}: the trimmed actions of {session_id} were not read back as written")

    async def mark_ended(self, sessions: Sequence[ArchivedVersion]) -> int:
        """Mark sessions as ended at their expiry, unless they have changed since. Returns the number marked."""
        if not sessions:
            return 0
        writes = [
            UpdateOne(
                {**unchanged(one), "sessionActive": True, "awi.expiresAt": one.expires_at},
                {"$set": {"sessionActive": False, "sessionEndedAt": one.expires_at}},
            )
            for one in sessions
        ]
        with translate_errors(self.where):
            await self.connection.check_reachable()
            return (await self._sessions.bulk_write(writes, ordered=False)).modified_count

    async def _create_indexes(self) -> None:
        """Create the indexes that are missing; the first time only."""
        if self._indexed:
            return
        if missing := await indexes.missing(self._sessions):
            await self._sessions.create_indexes(missing)
        await self._parts.create_index([("sessionId", ASCENDING), ("kind", ASCENDING)])
        self._indexed = True

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""
        damage: AwiError | None = None
        with translate_errors(self.where):
            await self.connection.check_reachable()
        for _ in range(MAX_SAVE_ATTEMPTS):
            with translate_errors(self.where):
                found = await self._sessions.find_one({"sessionId": session_id})
                if found is None:
                    return None
                if not is_ours(found):
                    return await self._archived(found, None)
                raw = await self._stored_bytes(found)
            if not isinstance(raw, AwiError):
                return await self._archived(found, raw)
            damage = raw
            if not found["awi"].get("parts"):
                break  # otherwise another process may have replaced it and deleted the old parts: read it again
        raise damage or AwiError()

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. See `Archive.load_many`."""
        results: dict[str, Archived | AwiError] = {}
        with translate_errors(self.where):
            await self.connection.check_reachable()
            documents = await self._sessions.find({"sessionId": {"$in": list(session_ids)}}).to_list()
        for found in documents:
            session_id = found["sessionId"]
            try:
                if not is_ours(found):
                    results[session_id] = await self._archived(found, None)
                elif found["awi"].get("parts"):
                    if (loaded := await self.load(session_id)) is not None:
                        results[session_id] = loaded
                else:
                    results[session_id] = await self._archived(found, await self._stored_bytes(found))
            except AwiError as error:
                results[session_id] = error
        return results

    async def _archived(self, found: Document, raw: bytes | AwiError | None) -> Archived:
        """Return the session in a document with these bytes; None for a document of the app. Raises InvalidData."""
        if isinstance(raw, AwiError):
            raise raw
        with damaged_unless_readable(f"{self.where}: {found['sessionId']}"):
            if raw is None:
                return app_documents.archived(found)
            snapshot = await complete_snapshot(self, Snapshot.parse(found["sessionId"], raw))
            return Archived(summary_of(found), snapshot.full_document, raw)

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the actions that were trimmed from a session of this agent, without damaged chunks."""
        wanted = {"sessionId": session_id, "kind": "actions", "agent": encodable(agent_id or "")}
        with translate_errors(self.where):
            await self.connection.check_reachable()
            decoder = ChunkDecoder(self._max_bytes)
            async with self._parts.find(wanted) as cursor:
                async for one in cursor:
                    where = f"{self.where}: {one['_id']}"
                    decoder.add(one.get("first"), one.get("packed"), one.get("digest"), where)
            return decoder.chunks

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """Iterate over the sessions that match, the latest activity first. See `Archive.find`."""
        if limit == 0:
            return
        stages: list[Document] = [
            {"$match": {"$and": conditions_of(query, after)}},
            {"$sort": {"lastActivityAt": DESCENDING, "sessionId": DESCENDING}},
            *([{"$limit": limit}] if limit is not None else []),
            {"$project": {**SUMMARY_FIELDS, **(ACTION_COUNT_FIELDS if action_counts else {})}},
        ]
        with translate_errors(self.where):
            await self.connection.check_reachable()
            cursor = await self._sessions.aggregate(stages, allowDiskUse=True)
            async with cursor:
                async for found in cursor:
                    yield summary_of(found) if is_ours(found) else app_documents.summary(found)

    async def expired(self, now: datetime) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions that are marked as active but were due to expire before `now`, the earliest first."""
        wanted = {"sessionActive": True, "awi.expiresAt": {"$lt": now}, "sessionId": {"$type": "string"}}
        with translate_errors(self.where):
            await self.connection.check_reachable()
            async with self._sessions.find(wanted, VERSION_FIELDS).sort("awi.expiresAt", ASCENDING) as cursor:
                async for found in cursor:
                    yield version_of(found)

    async def _versions(self, session_ids: list[str]) -> dict[str, ArchivedVersion]:
        found = await self._sessions.find({"sessionId": {"$in": session_ids}}, VERSION_FIELDS).to_list()
        return {one["sessionId"]: version_of(one) for one in found}

    async def _read_back(self, session_ids: list[str]) -> dict[str, bytes | AwiError]:
        """Return the archived bytes of each session, or the error if they are damaged."""
        found = await self._sessions.find({"sessionId": {"$in": session_ids}}, STORED_FIELDS).to_list()
        return {one["sessionId"]: await self._stored_bytes(one) for one in found if is_ours(one)}

    async def _stored_bytes(self, found: Document) -> bytes | AwiError:
        return await stored_bytes(found, self._parts, self.where, self._max_bytes)


def _only_duplicates(error: BulkWriteError) -> bool:
    """Whether all that failed is that another process has written the same chunk."""
    return all(details.get("code") == DUPLICATE_KEY for details in error.details["writeErrors"])
