"""The archive in MongoDB: the app's collection, with the app's fields and, beside them, what makes it lossless.

A document of `agentsessions` has two halves. The app's fields are a view of the session (`app_view.py`), for the
app's own tools and for queries. Under `awi` stands what counts: the session's string as it was in Redis, compressed,
with its SHA-256 and what tells whether a snapshot is newer. A string that is too large even so lies in
`agentsessions.parts`, and so do the actions that left a session before its end.

Everything is written with majority and journal, and read back from the primary with majority. A document is replaced
only while it still has the digest that was judged, so any number of writers may be at it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson import CodecOptions
from bson.codec_options import DatetimeConversion
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ...document.json_codec import encodable
from ...errors import AwiError, Refused, Unreachable
from ...settings import Settings
from .. import app_documents
from ..base import SAVE_TRIES, Archived, ArchivedSummary, ArchiveQuery, Cursor, not_settled
from ..compression import chunks_of, intact_chunks, pack, unpack
from ..snapshot import ArchivedVersion, Decision, Snapshot, count_of
from ..trajectory import Chunk, complete
from . import indexes
from .documents import (
    ACTION_COUNT_FIELDS,
    KNOWN_FIELDS,
    STORED_FIELDS,
    SUMMARY_FIELDS,
    Document,
    Write,
    conditions_of,
    document_of,
    extension,
    is_ours,
    part_names,
    summary_of,
    unchanged,
    version_of,
)
from .errors import WRITE_CONFLICT, not_usable, translated, write_faults

COLLECTION = "agentsessions"
PARTS = "agentsessions.parts"
#: The database where the URL names none: that of mongoose, and so of the app.
DEFAULT_DATABASE = "test"
#: Maximum seconds until a server that does not respond counts as unreachable. `session end` exits within five seconds
#: if MongoDB is down: the rest of them is for starting the interpreter, also on a slow machine, and for Redis.
REACH_SECONDS = 2.0
#: Seconds for which a server that could not be reached is not asked again.
AWAY_SECONDS = 1.0
#: Seconds that a server which is there may take for an answer, and a majority for a write, at the least.
WRITE_SECONDS = 30.0


class MongoArchive:
    """The `Archive` in a MongoDB database."""

    def __init__(self, client: AsyncMongoClient[Document], where: str, timeout: float) -> None:
        self._client = client
        #: Seconds until a server that is not there counts as unreachable.
        self.reach = min(timeout, REACH_SECONDS)
        self.where = where
        self._options: dict[str, Any] = {
            "codec_options": CodecOptions(
                tz_aware=True,
                tzinfo=UTC,
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,  # JavaScript's years go beyond 9999
            ),
            "write_concern": WriteConcern("majority", j=True, wtimeout=int(max(timeout, WRITE_SECONDS) * 1000)),
            "read_concern": ReadConcern("majority"),
            "read_preference": ReadPreference.PRIMARY,
        }
        self._sessions = self.collection(COLLECTION)
        self._parts = self.collection(PARTS)
        self._indexed = False
        #: Until when a failure to reach it counts.
        self._away: tuple[float, PyMongoError | None] = (0.0, None)

    @classmethod
    def open(cls, url: str, where: str, settings: Settings) -> MongoArchive:
        """The archive at a URL. Nothing is sent until the first request. Raises InvalidInput for a malformed URL."""
        reach = int(min(settings.timeout, REACH_SECONDS) * 1000)
        with translated(where):
            try:
                with warnings.catch_warnings():  # the app's driver knows parameters that this one does not
                    warnings.simplefilter("ignore")
                    client: AsyncMongoClient[Document] = AsyncMongoClient(
                        url,
                        appname="awictl",
                        serverSelectionTimeoutMS=reach,
                        connectTimeoutMS=reach,
                        socketTimeoutMS=int(max(settings.timeout, WRITE_SECONDS) * 1000),
                    )
            except (ValueError, TypeError, OSError):  # for some of what is malformed pymongo has no error of its own
                raise not_usable(where) from None
            return cls(client, where, settings.timeout)

    async def close(self) -> None:
        await self._client.close()

    def collection(self, name: str) -> AsyncCollection[Document]:
        """A collection of the archive's database, written and read as all of it is."""
        return self._client.get_default_database(DEFAULT_DATABASE).get_collection(name, **self._options)

    async def ping(self) -> dict[str, Any]:
        with translated(self.where), pymongo.timeout(self.reach):
            started = time.perf_counter()
            await self._client.admin.command("ping")
            latency = time.perf_counter() - started
            return {"latency_ms": round(latency * 1000, 3), "version": (await self._client.server_info())["version"]}

    async def missing_indexes(self) -> list[str]:
        with translated(self.where), pymongo.timeout(self.reach):
            return [", ".join(one.document["key"]) for one in await indexes.missing(self._sessions)]

    # -- writing

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        results: dict[str, AwiError | None] = {}
        pending = {one.session_id: one for one in snapshots}
        damaged: set[str] = set()
        divided: set[str] = set()  # those of which parts were written
        with translated(self.where):
            await self.reached()
            await self._prepare()
            for _ in range(SAVE_TRIES):
                known = await self._known(list(pending))
                verdicts: dict[str, Decision] = {}
                for session_id, snapshot in pending.items():
                    try:
                        verdict = snapshot.decide(known.get(session_id), self.where)
                    except Refused as error:
                        results[session_id] = error
                        if session_id in divided and session_id in known:
                            await self._forget_parts(snapshot, known[session_id].digest)
                    else:
                        same = verdict in (Decision.NOTHING, Decision.EXTEND)
                        verdicts[session_id] = Decision.REPLACE if same and session_id in damaged else verdict
                judged = [(pending[one], verdict, known.get(one)) for one, verdict in verdicts.items()]
                results |= await self._write(judged, divided)
                for session_id, raw in (await self._strings(list(verdicts))).items():
                    if isinstance(raw, AwiError):
                        damaged.add(session_id)
                    elif raw == pending[session_id].raw:
                        results[session_id] = None
                        if verdicts[session_id] is Decision.REPLACE and known[session_id].parts:
                            await self._forget_parts(known[session_id], pending[session_id].digest)
                pending = {one: snapshot for one, snapshot in pending.items() if one not in results}
                if not pending:
                    break
        return results | {session_id: not_settled(session_id, self.where) for session_id in pending}

    async def _write(
        self, judged: Iterable[tuple[Snapshot, Decision, ArchivedVersion | None]], divided: set[str]
    ) -> dict[str, AwiError | None]:
        """Carry out verdicts on snapshots. Returns what went wrong with which session.

        The ids of sessions that are kept in parts are added to `divided`.
        """
        parts: list[Write] = []
        writes: list[Write] = []
        now = datetime.now(UTC)
        for snapshot, verdict, known in judged:
            if verdict is Decision.EXTEND:
                writes.append(extension(snapshot))
            elif verdict is not Decision.NOTHING:
                document, pieces = document_of(snapshot, now)
                if pieces:
                    parts += pieces
                    divided.add(snapshot.session_id)
                writes.append(InsertOne(document) if known is None else ReplaceOne(unchanged(known), document))
        if parts:
            await self._parts.bulk_write(parts, ordered=False)
        if writes:
            try:
                await self._sessions.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                return write_faults(error, self.where)
        return {}

    async def _forget_parts(self, gone: ArchivedVersion | Snapshot, digest: str) -> None:
        """Remove the parts of what is not in the archive any more, or did not get there, since `digest` is."""
        if gone.digest != digest:
            wanted = {"sessionId": gone.session_id, "kind": "document", "digest": gone.digest}
            await self._parts.delete_many(wanted)

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        agent = encodable(agent_id or "")
        wanted: dict[str, tuple[Chunk, bytes, str]] = {}
        for piece, raw, digest in chunks_of(chunk):
            wanted[f"{session_id}:actions:{agent}:{piece.first}:{digest}"] = (piece, raw, digest)
        writes: list[Write] = []
        for name, (piece, raw, digest) in wanted.items():
            document = {
                "_id": name,
                "sessionId": session_id,
                "kind": "actions",
                "agent": agent,
                "first": piece.first,
                "digest": digest,
                "packed": pack(raw),
            }
            writes.append(ReplaceOne({"_id": name}, document, upsert=True))
        with translated(self.where):
            await self.reached()
            await self._prepare()
            with pymongo.timeout(self.reach):  # an update of the session waits for it
                try:
                    await self._parts.bulk_write(writes, ordered=False)
                except BulkWriteError as error:
                    if error.details["writeConcernErrors"] or not _only_conflicts(error):
                        raise
                found = await self._parts.find({"_id": {"$in": list(wanted)}}).to_list()
        back = {one["_id"]: unpack(one["packed"], one["digest"], f"{self.where}: {one['_id']}") for one in found}
        if back != {name: raw for name, (_, raw, _) in wanted.items()}:
            raise Unreachable(f"{self.where}: the actions that leave {session_id} were not read back as written")

    async def mark_ended(self, sessions: Sequence[ArchivedVersion]) -> int:
        if not sessions:
            return 0
        writes = [
            UpdateOne(
                {**unchanged(one), "sessionActive": True, "awi.expiresAt": one.expires_at},
                {"$set": {"sessionActive": False, "sessionEndedAt": one.expires_at}},
            )
            for one in sessions
        ]
        with translated(self.where), pymongo.timeout(self.reach):
            return (await self._sessions.bulk_write(writes, ordered=False)).modified_count

    async def reached(self) -> None:
        """Find out soon whether the server answers: the requests that follow may take their time."""
        until, fault = self._away
        if fault is not None and time.monotonic() < until:  # not every session of a list waits for it
            raise fault
        try:
            with pymongo.timeout(self.reach):
                await self._client.admin.command("ping")
        except PyMongoError as error:
            self._away = (time.monotonic() + AWAY_SECONDS, error)
            raise

    async def _prepare(self) -> None:
        """Make sure that the indexes are there, once."""
        if self._indexed:
            return
        if missing := await indexes.missing(self._sessions):
            await self._sessions.create_indexes(missing)
        await self._parts.create_index([("sessionId", ASCENDING), ("kind", ASCENDING)])
        self._indexed = True

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        damage: AwiError | None = None
        with translated(self.where):
            await self.reached()
        for _ in range(SAVE_TRIES):
            with translated(self.where):
                found = await self._sessions.find_one({"sessionId": session_id})
                if found is None:
                    return None
                if not is_ours(found):
                    return app_documents.archived(found)
                raw = (await self._unpacked([found]))[session_id]
            if not isinstance(raw, AwiError):
                snapshot = Snapshot.of(session_id, raw, now=datetime.now(UTC))
                chunks = await self.load_trimmed_actions(session_id, snapshot.agent_id) if snapshot.trimmed else []
                return Archived(summary_of(found), complete(snapshot.document, chunks), raw)
            damage = raw
            if not found["awi"].get("parts"):
                break  # else a newer one may have taken its place just now, and its parts away
        raise damage or AwiError()

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        wanted = {"sessionId": session_id, "kind": "actions", "agent": encodable(agent_id or "")}
        with translated(self.where):
            await self.reached()
            found = await self._parts.find(wanted).to_list()
        return intact_chunks(
            (one.get("first"), one.get("packed"), one.get("digest"), f"{self.where}: {one['_id']}") for one in found
        )

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        if limit == 0:
            return
        stages: list[Document] = [
            {"$match": {"$and": conditions_of(query, after)}},
            {"$sort": {"lastActivityAt": DESCENDING, "sessionId": DESCENDING}},
            *([{"$limit": limit}] if limit is not None else []),
            {"$project": {**SUMMARY_FIELDS, **(ACTION_COUNT_FIELDS if action_counts else {})}},
        ]
        with translated(self.where):
            await self.reached()
            cursor = await self._sessions.aggregate(stages, allowDiskUse=True)
            async with cursor:
                async for found in cursor:
                    yield summary_of(found) if is_ours(found) else app_documents.summary(found)

    async def expired(self, now: datetime) -> AsyncGenerator[ArchivedVersion, None]:
        wanted = {"sessionActive": True, "awi.expiresAt": {"$lt": now}}
        with translated(self.where):
            await self.reached()
            async with self._sessions.find(wanted, KNOWN_FIELDS).sort("awi.expiresAt", ASCENDING) as cursor:
                async for found in cursor:
                    yield version_of(found)

    async def _known(self, session_ids: list[str]) -> dict[str, ArchivedVersion]:
        found = await self._sessions.find({"sessionId": {"$in": session_ids}}, KNOWN_FIELDS).to_list()
        return {one["sessionId"]: version_of(one) for one in found}

    async def _strings(self, session_ids: list[str]) -> dict[str, bytes | AwiError]:
        """What the archive holds of these sessions now, or why that is damaged."""
        found = await self._sessions.find({"sessionId": {"$in": session_ids}}, STORED_FIELDS).to_list()
        return await self._unpacked([one for one in found if is_ours(one)])

    async def _unpacked(self, found: Iterable[Document]) -> dict[str, bytes | AwiError]:
        strings: dict[str, bytes | AwiError] = {}
        for one in found:
            session_id, awi = one["sessionId"], one["awi"]
            packed: Any = awi.get("packed")
            if count := count_of(awi.get("parts")):
                names = part_names(session_id, str(awi.get("digest")), count)
                parts = {part["_id"]: part["packed"] async for part in self._parts.find({"_id": {"$in": names}})}
                packed = b"".join(parts.get(name, b"") for name in names)
            try:
                strings[session_id] = unpack(packed, awi.get("digest"), f"{self.where}: {session_id}")
            except AwiError as error:
                strings[session_id] = error
        return strings


def _only_conflicts(error: BulkWriteError) -> bool:
    return all(fault.get("code") == WRITE_CONFLICT for fault in error.details["writeErrors"])
