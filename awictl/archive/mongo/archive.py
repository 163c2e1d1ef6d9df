"""The archive in MongoDB: sessions in collections of awictl's own (`collections.py`), and the app's view of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import pymongo
from pymongo import UpdateOne

from ...errors import AwiError, Unreachable
from ...settings import Settings
from ...store.mongo.connection import Document, MongoConnection
from ...store.mongo.errors import translate_errors
from ..base import Archived, ArchivedSummary, ArchiveQuery, Cursor, GoneSession
from ..chunks import Chunk
from ..compression import MAX_BYTES
from ..decision import ArchivedState, ArchivedVersion, Outdated
from ..snapshot import Snapshot
from . import indexes, legacy, listing, views
from .actions import ArchivedActions
from .collections import Collections
from .documents import VERSION_FIELDS, unchanged, version_of
from .migration import Migration, OtherVersion
from .reader import ArchiveReader
from .values import as_datetime
from .writer import SnapshotWriter


class MongoArchive:
    """The `Archive` in a MongoDB database."""

    def __init__(self, connection: MongoConnection, max_bytes: int = MAX_BYTES) -> None:
        self.where = connection.where
        self.connection = connection
        self.patience: float | None = connection.patience
        self.collections = Collections(connection)
        self._actions = ArchivedActions(self.collections, self.where, max_bytes)
        self._migration = Migration(self.collections, self._actions, self.where, max_bytes)
        self._reader = ArchiveReader(self.collections, self._actions, self.where, max_bytes)
        self._writer = SnapshotWriter(self.collections, self._actions, self._migration, self.where, max_bytes)
        self._indexed = False

    @classmethod
    def open(cls, url: str, where: str, settings: Settings) -> MongoArchive:
        """Return the archive at a URL, without connecting yet. Raises InvalidInput if the URL is malformed."""
        with translate_errors(where):
            return cls(MongoConnection.open(url, where, settings), settings.max_document_bytes)

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()

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
            return [
                f"{collection.name}: {', '.join(one.document['key'])}"
                for collection, lacking in await indexes.missing(self.collections)
                for one in lacking
            ]

    # -- writing

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots and read them back. See `Archive.save`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            await self._create_indexes()
            return await self._writer.save(snapshots)

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions before they are trimmed, and read them back. See `Archive.save_trimmed_actions`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            with pymongo.timeout(self.connection.connect_timeout):  # an update of the session waits for this
                await self._create_indexes()
                await self._actions.save([(session_id, agent_id, chunk)])

    async def mark_gone(self, sessions: Sequence[GoneSession]) -> int:
        """Record that sessions are no longer in Redis. See `Archive.mark_gone`."""
        if not sessions:
            return 0
        writes = []
        for version, state, ended_at, seen_at in sessions:
            change: Document = {"state": state.value, "endedAt": ended_at}
            if seen_at is not None:
                change["seenAt"] = seen_at
            if state is ArchivedState.EXPIRED:
                change["unpublished"] = True
            live = {**unchanged(version), "state": ArchivedState.LIVE.value, "expiresAt": version.expires_at}
            writes.append(UpdateOne(live, {"$set": change}))
        with translate_errors(self.where):
            await self.connection.check_reachable()
            # only `version_of` of an earlier awictl's document lacks the number of actions
            if old := [one.version.session_id for one in sessions if one.version.actions is None]:
                await self._create_indexes()
                await self._migration.adopt(old)
            return (await self.collections.sessions.bulk_write(writes, ordered=False)).modified_count

    async def publish(self, session_ids: Sequence[str]) -> None:
        """Show sessions to the app. See `Archive.publish`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            found = await self._reader.snapshots(session_ids)
            shown = (ArchivedState.ENDED.value, ArchivedState.EXPIRED.value)
            await views.publish(self.collections, [one for one in found if one[1].get("state") in shown])

    async def withdraw(self, session_ids: Sequence[str]) -> None:
        """Take back what `publish` added. See `Archive.withdraw`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            await views.withdraw(self.collections, session_ids)

    async def _create_indexes(self) -> None:
        """Create the indexes that are missing; the first time only."""
        if self._indexed:
            return
        for collection, lacking in await indexes.missing(self.collections):
            await collection.create_indexes(lacking)
        self._indexed = True

    # -- migrating

    async def count_old_sessions(self) -> int:
        """Return the number of sessions to migrate. See `Archive.count_old_sessions`."""
        with translate_errors(self.where), pymongo.timeout(self.connection.connect_timeout):
            return await self._migration.count()

    async def old_sessions(self) -> AsyncGenerator[list[str], None]:
        """Iterate over the sessions to migrate. See `Archive.old_sessions`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            async with aclosing(self._migration.session_ids()) as batches:
                async for batch in batches:
                    yield batch

    async def migrate(self, session_ids: Sequence[str], gone: Collection[str] = ()) -> dict[str, AwiError | None]:
        """Migrate sessions. See `Archive.migrate`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            await self._create_indexes()
            results = await self._migration.adopt(session_ids, gone)
            # an earlier version archived them again while this one was in use: neither has all actions
            if both := [session_id for session_id, error in results.items() if isinstance(error, OtherVersion)]:
                old = await self._migration.old_snapshots(both)
                saved = await self._writer.save(old)
                for snapshot in old:
                    if isinstance(saved[snapshot.session_id], Outdated):
                        await self._migration.add_actions(snapshot)
                results |= await self._migration.adopt(both, gone)
            return results

    async def migrate_actions(self) -> int:
        """Migrate trimmed actions. See `Archive.migrate_actions`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            await self._create_indexes()
            return await self._migration.finish()

    # -- reading

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            return await self._reader.load(session_id)

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. See `Archive.load_many`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            return await self._reader.load_many(session_ids)

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the actions of a session of this agent that are in chunks, without damaged ones."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            return await self._actions.load(session_id, agent_id)

    async def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """Iterate over the sessions that match, the latest activity first. See `Archive.find`."""
        if limit == 0:
            return
        with translate_errors(self.where):
            await self.connection.check_reachable()
            async with aclosing(listing.find(self.collections, query, after, limit, action_counts)) as found:
                async for summary in found:
                    yield summary

    async def live(self, server: str, seen_until: datetime | None = None) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions in state LIVE. See `Archive.live`."""
        servers = [server, None, ""]
        wanted: Document = {"state": ArchivedState.LIVE.value}
        if seen_until is not None:
            wanted["seenAt"] = {"$not": {"$gt": seen_until}}
        wanted |= {"server": {"$in": servers}, "_id": {"$type": "string"}}
        with translate_errors(self.where):
            await self.connection.check_reachable()
            async with self.collections.sessions.find(wanted, VERSION_FIELDS) as cursor:
                async for found in cursor:
                    yield version_of(found)
            old: Document = {**legacy.WANTED, "sessionActive": True, "awi.server": {"$in": servers}}
            async for version in self._old_versions(old):
                yield version

    async def _old_versions(self, wanted: Document) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions of earlier versions that are not in `awi_sessions` as well."""
        async with self.collections.app_sessions.find(wanted, legacy.VERSION_FIELDS) as cursor:
            while batch := await cursor.to_list(100):
                ids = [one["sessionId"] for one in batch]
                own = {one["_id"] async for one in self.collections.sessions.find({"_id": {"$in": ids}}, {"_id": 1})}
                for found in batch:
                    if found["sessionId"] not in own:
                        yield legacy.version_of(found)

    async def unpublished(self) -> AsyncGenerator[str, None]:
        """Iterate over the ids of sessions that are not published yet. See `Archive.unpublished`."""
        with translate_errors(self.where):
            await self.connection.check_reachable()
            async with self.collections.sessions.find({"unpublished": True}, {"_id": 1}) as cursor:
                async for found in cursor:
                    if isinstance(found["_id"], str):
                        yield found["_id"]

    async def ended_by_app(self, session_ids: Sequence[str]) -> dict[str, datetime | None]:
        """Return the sessions that the app archived. See `Archive.ended_by_app`."""
        wanted = {"sessionId": {"$in": list(session_ids)}, "sessionActive": False, "awi": {"$exists": False}}
        fields = {"sessionId": 1, "sessionEndedAt": 1}
        with translate_errors(self.where):
            await self.connection.check_reachable()
            found = await self.collections.app_sessions.find(wanted, fields).to_list()
        return {one["sessionId"]: as_datetime(one.get("sessionEndedAt")) for one in found}
