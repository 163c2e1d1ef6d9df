"""Load archived sessions: awictl's own, those of earlier versions, and the app's documents."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import AwiError
from ...store.mongo.connection import Document
from ..base import MAX_SAVE_ATTEMPTS, Archived, archived_snapshot, only
from ..chunks import Chunk
from ..snapshot import Snapshot
from ..values import as_count, damaged_unless_readable
from . import app_documents, documents, legacy
from .actions import ArchivedActions
from .collections import Collections
from .stored_bytes import stored_bytes


class ArchiveReader:
    """Loads sessions. `where` names the archive in messages; max_bytes: of a session."""

    def __init__(self, collections: Collections, actions: ArchivedActions, where: str, max_bytes: int) -> None:
        self._collections = collections
        self._actions = actions
        self._where = where
        self._max_bytes = max_bytes

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""
        return only(await self.load_many([session_id]), session_id)

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. See `Archive.load_many`."""
        results: dict[str, Archived | AwiError] = {}
        pending = list(session_ids)
        for _ in range(MAX_SAVE_ATTEMPTS):
            found = {name: (one, snapshot) for name, one, snapshot in await self._own(pending)}
            missing = [one for one in pending if one not in found]
            others = await self._others(missing)
            if missing and len(others) < len(missing):  # one may have been moved between the two requests
                again = [one for one in missing if one not in others]
                found |= {name: (one, snapshot) for name, one, snapshot in await self._own(again)}
            results |= await self._complete(found)
            results |= others
            # the parts of a session that another process has replaced meanwhile are deleted: read it again
            pending = [
                name for name, (one, snapshot) in found.items() if isinstance(snapshot, AwiError) and one.get("parts")
            ]
            if not pending:
                break
        return results

    async def snapshots(self, session_ids: Sequence[str]) -> list[tuple[Snapshot, Document]]:
        """Return sessions of awictl with their whole trajectories, and their documents; without damaged ones."""
        found = await self._own(session_ids)
        good = {name: (one, snapshot) for name, one, snapshot in found if isinstance(snapshot, Snapshot)}
        chunks = await self._chunks(good)
        return [
            (snapshot.with_chunks(chunks.get(name, ()), as_count(one.get("first"))), one)
            for name, (one, snapshot) in good.items()
        ]

    async def _own(self, session_ids: Sequence[str]) -> list[tuple[str, Document, Snapshot | AwiError]]:
        """Return the documents of sessions in `awi_sessions`, each with its snapshot, or why it cannot be read."""
        if not session_ids:
            return []
        documents_found = await self._collections.sessions.find({"_id": {"$in": list(session_ids)}}).to_list()
        return [(one["_id"], one, await self._snapshot(one["_id"], one, old=False)) for one in documents_found]

    async def _others(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return the sessions that only the app's collection has."""
        if not session_ids:
            return {}
        wanted = {"sessionId": {"$in": list(session_ids)}, "awi.view": {"$exists": False}}
        results: dict[str, Archived | AwiError] = {}
        for found in await self._collections.app_sessions.find(wanted).to_list():
            name = found["sessionId"]
            try:
                if not legacy.is_legacy(found):
                    with damaged_unless_readable(f"{self._where}: {name}"):
                        results[name] = app_documents.archived(found)
                    continue
                snapshot = await self._snapshot(name, found["awi"], old=True)
                if isinstance(snapshot, AwiError):
                    raise snapshot
                chunks = await self._actions.load(name, snapshot.agent_id)
                with damaged_unless_readable(f"{self._where}: {name}"):
                    results[name] = archived_snapshot(
                        legacy.summary_of(found), snapshot, snapshot.first_ordinal, chunks
                    )
            except AwiError as error:
                results[name] = error
        return results

    async def _snapshot(self, session_id: str, fields: Document, *, old: bool) -> Snapshot | AwiError:
        """Return the snapshot that is stored in a document, or why it cannot be read."""
        parts = self._collections.legacy_parts if old else self._collections.parts
        raw = await stored_bytes(session_id, fields, parts, self._where, self._max_bytes)
        if isinstance(raw, AwiError):
            return raw
        try:
            with damaged_unless_readable(f"{self._where}: {session_id}"):
                return Snapshot.parse(session_id, raw)
        except AwiError as error:
            return error

    async def _chunks(self, found: dict[str, tuple[Document, Snapshot]]) -> dict[str, list[Chunk]]:
        """Return the chunks of sessions, also if a snapshot has all actions: later ones may have been trimmed since."""
        return await self._actions.load_many({name: snapshot.agent_id for name, (_, snapshot) in found.items()})

    async def _complete(self, found: dict[str, tuple[Document, Snapshot | AwiError]]) -> dict[str, Archived | AwiError]:
        """Return sessions with their whole trajectories."""
        results: dict[str, Archived | AwiError] = {
            name: snapshot for name, (_, snapshot) in found.items() if isinstance(snapshot, AwiError)
        }
        good = {name: (one, snapshot) for name, (one, snapshot) in found.items() if isinstance(snapshot, Snapshot)}
        chunks = await self._chunks(good)
        for name, (one, snapshot) in good.items():
            try:
                with damaged_unless_readable(f"{self._where}: {name}"):
                    first, own = as_count(one.get("first")), chunks.get(name, ())
                    results[name] = archived_snapshot(documents.summary_of(one), snapshot, first, own)
            except AwiError as error:
                results[name] = error
        return results
