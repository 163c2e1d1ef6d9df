"""Transfer sessions from Redis to the archive: archive, read back, compare, then delete what has not changed since.

A crash at any step leaves the session in at least one of the two. Repeating the transfer converges: saving a snapshot
is idempotent, and a session is deleted only after it was archived.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import AwiError, InvalidData, Refused, Unreachable, UpdateConflict, as_awi_error
from ..store.base import DeleteOutcome, SessionStore, Stored
from .base import Archive
from .decision import Outdated
from .snapshot import Snapshot

log = logging.getLogger("awictl")

#: Number of times that a session is archived again because it changed before it could be deleted.
MAX_DELETE_ATTEMPTS = 20
#: Number of times that a session is read again because the archive may have a newer version.
MAX_ARCHIVE_ATTEMPTS = 20
#: How much of the sessions an archive is expected to take within a second, beyond its `patience`.
BYTES_PER_SECOND = 2_097_152


def seconds_for(archive: Archive, size: int = 0) -> float | None:
    """How long an archive may take for sessions of `size` bytes; None for no limit."""
    return None if archive.patience is None else archive.patience + size / BYTES_PER_SECOND


@asynccontextmanager
async def deadline(archive: Archive, size: int = 0) -> AsyncIterator[None]:
    """One deadline over all requests to an archive in the block. Raises Unreachable after it.

    A server may accept connections and answer pings while its writes hang, for example if its disk does.
    """
    seconds = seconds_for(archive, size)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        error = Unreachable(
            f"{archive.where} answers, but did not finish within {seconds:.1f} s; is its disk full or slow, or a "
            "majority of its replicas missing? (--timeout changes how long awictl waits)"
        )
        archive.suspend(error)
        raise error from None


async def publish(store: SessionStore, archive: Archive, session_ids: Sequence[str]) -> None:
    """Show archived sessions to the app that are not in the store.

    The app, which does not compare before it writes, may write a session back after it was deleted. It could not save
    its own document of that session if the archive showed one: so the store is asked again afterwards.
    """
    there = {one.session_id for one in await store.lifetimes(session_ids)}
    if gone := [one for one in session_ids if one not in there]:
        await archive.publish(gone)
        if back := [one.session_id for one in await store.lifetimes(gone)]:
            await archive.withdraw(back)


@dataclass(frozen=True)
class Transferred:
    """A session that is in the archive."""

    snapshot: Snapshot
    #: Whether it was deleted from Redis.
    deleted: bool = False


class Transfer:
    """Moves sessions from a store to an archive."""

    def __init__(self, store: SessionStore, archive: Archive) -> None:
        self._store = store
        self._archive = archive

    async def archive(self, session_ids: Sequence[str]) -> dict[str, Transferred | AwiError]:
        """Archive sessions as they are now.

        Returns the outcome of each session, or the error that concerns only this one. Sessions that are not in the
        store any more are left out. Raises Unreachable if nothing could be archived.
        """
        results: dict[str, Transferred | AwiError] = {}
        # Outdated: another process may have archived a newer state meanwhile. If the session has gone since, that
        # process deleted it. Otherwise what is read from now on is newer than what that process archived.
        pending: dict[str, str] = dict.fromkeys(session_ids, "")
        for _ in range(MAX_ARCHIVE_ATTEMPTS):
            found = await self._store.read_many(list(pending))
            size = sum(len(stored.raw) for stored in found.values() if isinstance(stored, Stored))
            async with deadline(self._archive, size):
                snapshots = self._snapshots(found, pending, results)
                saved = await self._save(snapshots)
            for snapshot in snapshots:
                results[snapshot.session_id] = saved[snapshot.session_id] or Transferred(snapshot)
            for session_id in pending:
                if session_id not in found and isinstance(results.get(session_id), Outdated):
                    del results[session_id]
            pending = {name: error.digest for name, error in saved.items() if isinstance(error, Outdated)}
            if not pending:
                break
        return results

    async def archive_string(self, session_id: str, raw: bytes, newer_than: str = "") -> Transferred:
        """Archive a session whose string is not a session in the store any more. Raises why it could not be.

        newer_than: digest of the version that the archive had when this one still was the newest.
        """
        results: dict[str, Transferred | AwiError] = {}
        async with deadline(self._archive, len(raw)):
            snapshots = self._snapshots({session_id: Stored(raw, None)}, {session_id: newer_than}, results)
            saved = await self._save(snapshots)
        for error in (*results.values(), *saved.values()):
            if isinstance(error, AwiError):
                raise error
        return Transferred(snapshots[0])

    async def archive_and_delete(self, session_ids: Sequence[str]) -> dict[str, Transferred | AwiError]:
        """Archive sessions and delete those that have ended; if one has changed meanwhile, archive it again.

        Returns and raises what `archive` does.
        """
        results: dict[str, Transferred | AwiError] = {}
        pending = list(session_ids)
        for _ in range(MAX_DELETE_ATTEMPTS):
            if not pending:
                return results
            archived = await self.archive(pending)
            results |= archived
            ended = [one.snapshot for one in archived.values() if isinstance(one, Transferred) and one.snapshot.ended]
            outcomes = await asyncio.gather(*map(self._delete, ended))
            pending = []
            deleted = []
            for snapshot, outcome in zip(ended, outcomes, strict=True):
                if isinstance(outcome, AwiError):
                    results[snapshot.session_id] = outcome
                elif outcome is DeleteOutcome.CHANGED:
                    pending.append(snapshot.session_id)
                else:
                    results[snapshot.session_id] = Transferred(snapshot, deleted=True)
                    deleted.append(snapshot.session_id)
            if deleted:
                await self.publish(deleted)
        changing = UpdateConflict(
            f"{self._store.where}: the session kept changing while it was archived; it was not deleted"
        )
        return results | dict.fromkeys(pending, changing)

    async def publish(self, session_ids: Sequence[str]) -> None:
        """Show sessions to the app that were archived and deleted. If that fails, the next sweep does it."""
        try:
            async with deadline(self._archive):
                await publish(self._store, self._archive, session_ids)
        except AwiError as error:
            log.warning("%s; the app's own view of the archive is completed by the next sweep", error)

    async def _delete(self, snapshot: Snapshot) -> DeleteOutcome | AwiError:
        try:
            return await self._store.delete(snapshot.session_id, snapshot.mapped_agent_id, snapshot.raw)
        except AwiError as error:
            return error

    def _snapshots(
        self,
        found: Mapping[str, Stored | AwiError],
        newer_than: Mapping[str, str],
        results: dict[str, Transferred | AwiError],
    ) -> list[Snapshot]:
        """The snapshots of sessions that were just read. The errors of the others are added to `results`.

        newer_than: by session, the digest of the version that the archive had before they were read.
        """
        now = datetime.now(UTC)
        snapshots = []
        for session_id, stored in found.items():
            try:
                if isinstance(stored, AwiError):
                    raise stored
                expires_at = now + timedelta(milliseconds=stored.ttl_ms) if stored.ttl_ms is not None else None
                identity = self._store.identity
                snapshots.append(Snapshot.parse(session_id, stored.raw, expires_at, identity, newer_than[session_id]))
            except InvalidData as error:
                results[session_id] = InvalidData(f"{self._store.where}: {session_id} cannot be archived: {error}")
            except Exception as error:
                results[session_id] = as_awi_error(error)
        return snapshots

    async def _save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Save snapshots. An error that only some of them cause does not keep the others from being archived.

        Raises Unreachable and Refused, which concern the archive as a whole.
        """
        if not snapshots:
            return {}
        try:
            return await self._archive.save(snapshots)
        except (Unreachable, Refused):
            raise
        except Exception as error:
            if len(snapshots) == 1:
                return {snapshots[0].session_id: as_awi_error(error)}
            half = len(snapshots) // 2
            return await self._save(snapshots[:half]) | await self._save(snapshots[half:])
