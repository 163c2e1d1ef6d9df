"""How a session leaves Redis: archived, read back, compared, and only then deleted, if it is still the same.

A crash at any step leaves it in at least one of the two, and doing it again converges: an archive takes the same
snapshot twice without a trace, and a session that was deleted was archived before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import AwiError, InvalidData, UpdateConflict
from ..store.base import DeleteOutcome, SessionStore, Stored
from .base import Archive
from .snapshot import Outdated, Snapshot

#: Times that a session is archived again because it changed before it could be deleted.
FINISH_TRIES = 20


@dataclass(frozen=True)
class Transferred:
    """A session that is in the archive."""

    snapshot: Snapshot
    #: Whether it has left Redis.
    deleted: bool = False


class Transfer:
    """Takes sessions from a store to an archive."""

    def __init__(self, store: SessionStore, archive: Archive) -> None:
        self._store = store
        self._archive = archive

    async def archive(self, session_ids: Sequence[str]) -> dict[str, Transferred | AwiError]:
        """Archive sessions as they are now. Those that have gone are left out of what is returned.

        Raises Unreachable where nothing could be archived; other errors are about one session and stand in its place.
        """
        results: dict[str, Transferred | AwiError] = {}
        seen: dict[str, bytes] = {}
        pending = list(session_ids)
        while pending:
            snapshots: list[Snapshot] = []
            found = await self._store.read_many(pending)
            now = datetime.now(UTC)
            for session_id, stored in found.items():
                try:
                    if isinstance(stored, AwiError):
                        raise stored
                    if stored.raw != seen.get(session_id):
                        snapshots.append(await self._snapshot(session_id, stored, now))
                except InvalidData as error:
                    results[session_id] = InvalidData(f"{self._store.where}: {session_id} cannot be archived: {error}")
                except AwiError as error:
                    results[session_id] = error
            saved = await self._archive.save(snapshots) if snapshots else {}
            for snapshot in snapshots:
                results[snapshot.session_id] = saved[snapshot.session_id] or Transferred(snapshot)
            # a newer state is there: somebody archived that while this one was on its way, unless it is still the same
            for session_id in pending:
                if session_id not in found and isinstance(results.get(session_id), Outdated):
                    del results[session_id]
            pending = [one.session_id for one in snapshots if isinstance(saved[one.session_id], Outdated)]
            seen = {one.session_id: one.raw for one in snapshots}
        return results

    async def archive_and_delete(self, session_ids: Sequence[str]) -> dict[str, Transferred | AwiError]:
        """Archive sessions and delete those that have ended, again where one changed meanwhile. See `archive`."""
        results: dict[str, Transferred | AwiError] = {}
        pending = list(session_ids)
        for _ in range(FINISH_TRIES):
            if not pending:
                return results
            kept = await self.archive(pending)
            results |= kept
            ended = [one.snapshot for one in kept.values() if isinstance(one, Transferred) and one.snapshot.ended]
            outcomes = await asyncio.gather(*map(self._delete, ended))
            pending = []
            for snapshot, outcome in zip(ended, outcomes, strict=True):
                if isinstance(outcome, AwiError):
                    results[snapshot.session_id] = outcome
                elif outcome is DeleteOutcome.CHANGED:
                    pending.append(snapshot.session_id)
                else:
                    results[snapshot.session_id] = Transferred(snapshot, deleted=True)
        changing = UpdateConflict(f"{self._store.where}: it kept changing while it was archived: it was not deleted")
        return results | dict.fromkeys(pending, changing)

    async def _delete(self, snapshot: Snapshot) -> DeleteOutcome | AwiError:
        try:
            return await self._store.delete(snapshot.session_id, snapshot.mapped_agent, snapshot.raw)
        except AwiError as error:
            return error

    async def _snapshot(self, session_id: str, stored: Stored, now: datetime) -> Snapshot:
        snapshot = Snapshot.of(session_id, stored.raw, ttl_ms=stored.ttl_ms, now=now)
        if not snapshot.trimmed:
            return snapshot
        chunks = await self._archive.load_trimmed_actions(session_id, snapshot.agent_id)
        return Snapshot.of(session_id, stored.raw, ttl_ms=stored.ttl_ms, now=now, chunks=chunks)
