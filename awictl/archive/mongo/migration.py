"""Move sessions that earlier versions of awictl archived in `agentsessions` to awictl's own collections.

Each step can be repeated: a session is inserted into `awi_sessions` and read back before its old document is replaced
by the app's view, or deleted. What cannot be read is left where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymongo import DeleteOne, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from ...document.action_keys import keys_of
from ...document.action_numbers import actions_of
from ...errors import AwiError, Refused
from ...store.mongo.connection import Document
from ...store.mongo.errors import only_duplicates
from ...util.batched import batched_by_bytes
from ..base import BATCH_BYTES, BATCH_SESSIONS
from ..chunks import Chunk, ChunkDecoder
from ..decision import ArchivedState
from ..merge import gaps_of, gaps_without, merge
from ..merged_trajectory import merge_loaded
from ..snapshot import Snapshot
from ..values import as_count, damaged_unless_readable
from . import legacy
from .actions import ArchivedActions
from .collections import Collections
from .documents import STORED_FIELDS, Write, document_of
from .stored_bytes import stored_bytes
from .values import as_datetime
from .views import view_of

_OLD: Document = {"awi.format": legacy.FORMAT}
#: What is read of an old document: not the app's view of it, which can be made again.
_FIELDS = dict.fromkeys(("sessionId", "sessionActive", "sessionEndedAt", "awi"), 1)


class OtherVersion(Refused):
    """`awi_sessions` has another version of a session, which lacks some of the actions of the old document."""


class Migration:
    """Moves old documents. `where` names the archive in messages; max_bytes: of a session."""

    def __init__(self, collections: Collections, actions: ArchivedActions, where: str, max_bytes: int) -> None:
        self._collections = collections
        self._actions = actions
        self._where = where
        self._max_bytes = max_bytes

    async def count(self) -> int:
        """Return the number of sessions to move."""
        return await self._collections.app_sessions.count_documents(legacy.WANTED)

    async def session_ids(self) -> AsyncGenerator[list[str], None]:
        """Iterate over the ids of the sessions to move, in batches that can be moved at once."""
        found = self._collections.app_sessions.find(legacy.WANTED, {"sessionId": 1, "awi.bytes": 1})
        batch: list[tuple[str, int]] = []
        async with found as cursor:
            async for one in cursor:
                size = as_count(one["awi"].get("bytes"))
                if batch and (len(batch) == BATCH_SESSIONS or size + sum(size for _, size in batch) > BATCH_BYTES):
                    yield [session_id for session_id, _ in batch]
                    batch = []
                batch.append((one["sessionId"], size))
        if batch:
            yield [session_id for session_id, _ in batch]

    async def adopt(
        self, session_ids: Sequence[str], gone: Collection[str] = frozenset()
    ) -> dict[str, AwiError | None]:
        """Move those of the sessions that an earlier version archived.

        gone: sessions that are not in Redis; of those that have ended, the app's view is left in `agentsessions`.
        Returns, by session id, None if it was moved, or the reason why not.
        """
        # almost always, none are left: the index of the field answers that at once, which matters to a sweep
        if not session_ids or await self._collections.app_sessions.find_one(_OLD, {"_id": 1}) is None:
            return {}
        wanted = {"sessionId": {"$in": list(session_ids)}, "awi.format": legacy.FORMAT}
        found = await self._collections.app_sessions.find(wanted, {"sessionId": 1, "awi.bytes": 1}).to_list()
        results: dict[str, AwiError | None] = {}
        batches = batched_by_bytes(found, lambda one: as_count(one["awi"].get("bytes")), BATCH_BYTES, BATCH_SESSIONS)
        for batch in batches:
            results |= await self._move([one["_id"] for one in batch], gone)
        return results

    async def _move(self, names: list[Any], gone: Collection[str]) -> dict[str, AwiError | None]:
        documents = await self._collections.app_sessions.find({"_id": {"$in": names}}, _FIELDS).to_list()
        results: dict[str, AwiError | None] = {}
        snapshots: dict[str, tuple[Document, Snapshot]] = {}
        for found in documents:
            if not legacy.is_legacy(found):
                continue  # another process has moved it
            try:
                snapshots[found["sessionId"]] = (found, await self._snapshot(found))
            except AwiError as error:
                results[found["sessionId"]] = error
        await self.move_actions(list(snapshots))
        chunks = await self._actions.load_many({name: one.agent_id for name, (_, one) in snapshots.items()})
        made = {name: _document(found, snapshot, chunks[name]) for name, (found, snapshot) in snapshots.items()}
        await self._insert(made.values())
        stored = {
            one["_id"]: await stored_bytes(one["_id"], one, self._collections.parts, self._where, self._max_bytes)
            async for one in self._collections.sessions.find({"_id": {"$in": list(made)}}, STORED_FIELDS)
        }
        removals: list[Write] = []
        superseded: set[str] = set()
        for name, (found, snapshot) in snapshots.items():
            if stored.get(name) != snapshot.raw:
                if await self._has_all(name, stored.get(name), snapshot, chunks[name]):
                    results[name] = None
                    superseded.add(name)
                    removals.append(DeleteOne({"_id": found["_id"], "awi.digest": found["awi"].get("digest")}))
                    continue
                results[name] = OtherVersion(
                    f"{self._where}: {name} is also archived in another version, so the one of an earlier awictl "
                    "was left in agentsessions"
                )
                continue
            results[name] = None
            still = {"_id": found["_id"], "awi.digest": found["awi"].get("digest")}
            if name in gone and made[name][0]["state"] != ArchivedState.LIVE.value:
                whole = snapshot.with_chunks(chunks[name], made[name][0]["first"])
                removals.append(ReplaceOne(still, view_of(whole, made[name][0])))
            else:
                removals.append(DeleteOne(still))
        if removals:
            await self._collections.app_sessions.bulk_write(removals, ordered=False)
        moved = [name for name, error in results.items() if error is None]
        if shown := [name for name in moved if name in gone and name not in superseded]:
            await self._collections.sessions.update_many({"_id": {"$in": shown}}, {"$unset": {"unpublished": 1}})
        await self._collections.legacy_parts.delete_many({"sessionId": {"$in": moved}, "kind": "document"})
        return results

    async def old_snapshots(self, session_ids: Sequence[str]) -> list[Snapshot]:
        """Return those of the sessions that an earlier version archived, without damaged ones."""
        wanted = {"sessionId": {"$in": list(session_ids)}, **_OLD}
        snapshots = []
        for found in await self._collections.app_sessions.find(wanted, _FIELDS).to_list():
            with suppress(AwiError):
                snapshots.append(await self._snapshot(found))
        return snapshots

    async def add_actions(self, old: Snapshot) -> None:
        """Add the actions of an old document to the newer version of the session that `awi_sessions` has."""
        found = await self._collections.sessions.find_one({"_id": old.session_id}) or {}
        raw = await stored_bytes(old.session_id, found, self._collections.parts, self._where, self._max_bytes)
        if not isinstance(raw, bytes):
            return
        new, first = Snapshot.parse(old.session_id, raw), as_count(found.get("first"))
        before = Chunk(old.first_ordinal, actions_of(old.document) or [])
        merged = merge(actions_of(new.document) or [], first, before)
        lacking = [replace(one, first=max(one.first + first - merged.first, 0)) for one in merged.chunks]
        await self._actions.save([(old.session_id, old.agent_id, one) for one in lacking])
        gaps = gaps_without(gaps_of(found.get("gaps")), lacking)
        same = {"_id": old.session_id, "digest": found.get("digest")}
        await self._collections.sessions.update_one(same, {"$set": {"gaps": [list(one) for one in gaps]}})

    async def _has_all(
        self, session_id: str, raw: bytes | AwiError | None, old: Snapshot, chunks: Sequence[Chunk]
    ) -> bool:
        """Whether another version in `awi_sessions` has all actions of an old one.

        It has them if a migration was interrupted after it moved the session, which went on since. raw: the bytes of
        that version. chunks: all that are archived of the session.
        """
        if not isinstance(raw, bytes):
            return False
        document = await self._collections.sessions.find_one({"_id": session_id}, {"first": 1}) or {}
        try:
            new = Snapshot.parse(session_id, raw).with_chunks(chunks, as_count(document.get("first")))
        except AwiError:
            return False
        missing = Counter(keys_of(old.with_chunks(chunks).actions)) - Counter(keys_of(new.actions))
        return not missing and old.started_at == new.started_at

    async def _snapshot(self, found: Document) -> Snapshot:
        """Return the session in an old document. Raises InvalidData if it is damaged."""
        session_id, awi = found["sessionId"], found["awi"]
        raw = await stored_bytes(session_id, awi, self._collections.legacy_parts, self._where, self._max_bytes)
        if isinstance(raw, AwiError):
            raise raw
        with damaged_unless_readable(f"{self._where}: {session_id}"):
            server = awi.get("server")
            return Snapshot.parse(
                session_id, raw, as_datetime(awi.get("expiresAt")), server if isinstance(server, str) else ""
            )

    async def _insert(self, made: Collection[tuple[Document, list[Write]]]) -> None:
        parts = [part for _, pieces in made for part in pieces]
        if parts:
            await self._collections.parts.bulk_write(parts, ordered=False)
        if inserts := [InsertOne(document) for document, _ in made]:
            try:
                await self._collections.sessions.bulk_write(inserts, ordered=False)
            except BulkWriteError as error:  # another process, or an earlier run, has inserted it
                if not only_duplicates(error):
                    raise

    async def finish(self) -> int:
        """Move what is left of trimmed actions, and delete parts of sessions that were moved. Returns what was moved.

        A process that is killed after it moved a session leaves the parts of the old document behind.
        """
        moved = await self.move_actions()
        parts = self._collections.legacy_parts
        for session_id in await parts.distinct("sessionId", {"kind": "document"}):
            if await self._collections.app_sessions.find_one({"sessionId": session_id, **_OLD}, {"_id": 1}) is None:
                await parts.delete_many({"sessionId": session_id, "kind": "document"})
        return moved

    async def move_actions(self, session_ids: Sequence[str] | None = None) -> int:
        """Move the trimmed actions of these sessions, or of all. Returns the number of chunks that were moved."""
        wanted: Document = {"kind": "actions"}
        if session_ids is not None:
            wanted["sessionId"] = {"$in": list(session_ids)}
        moved = 0
        batch: list[Document] = []
        size = 0
        async with self._collections.legacy_parts.find(wanted) as cursor:
            async for one in cursor:
                batch.append(one)
                size += len(one["packed"]) if isinstance(one.get("packed"), bytes) else 0
                if len(batch) == BATCH_SESSIONS or size > BATCH_BYTES:
                    moved += await self._move_chunks(batch)
                    batch, size = [], 0
        return moved + await self._move_chunks(batch)

    async def _move_chunks(self, found: list[Document]) -> int:
        chunks: list[tuple[str, str | None, Chunk]] = []
        done: list[Any] = []
        for one in found:
            decoder = ChunkDecoder(self._max_bytes)
            decoder.add(one.get("first"), one.get("packed"), one.get("digest"), f"{self._where}: {one['_id']}")
            if decoder.chunks and isinstance(one.get("sessionId"), str) and isinstance(one.get("agent"), str):
                chunks.append((one["sessionId"], one["agent"], decoder.chunks[0]))
                done.append(one["_id"])
        if chunks:
            await self._actions.save(chunks)
            await self._collections.legacy_parts.delete_many({"_id": {"$in": done}})
        return len(chunks)


def _document(found: Document, snapshot: Snapshot, chunks: Sequence[Chunk]) -> tuple[Document, list[Write]]:
    """Return the new document for an old one, and the writes of its parts."""
    merged = merge_loaded(snapshot, None, None).trajectory(chunks)
    archived_at = as_datetime(found["awi"].get("archivedAt"))
    document, parts = document_of(snapshot, merged, archived_at or datetime.now(UTC))
    state = legacy.state_of(found)
    if state is ArchivedState.ENDED and not snapshot.ended:
        state = ArchivedState.EXPIRED
    document |= {
        "state": state.value,
        "endedAt": as_datetime(found.get("sessionEndedAt")),
        "expiresAt": snapshot.expires_at,
        "seenAt": archived_at,
    }
    if state is ArchivedState.LIVE:
        document.pop("unpublished", None)
    else:
        document["unpublished"] = True
    return document, parts
