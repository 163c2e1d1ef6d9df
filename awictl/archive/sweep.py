"""The sweep: archive sessions that are about to expire, and archive and delete those that have ended.

Any number of sweepers may run at once. They sometimes do the same work twice; that has no effect, because the archive
decides for each session which version is kept. The TTL of a session that cannot be archived is extended, to just
below the margin, so that the next sweep finds it again. A session that could expire while it waits for the archive is
kept for as long as that may take.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..document.schema import has_ended
from ..errors import AwiError, as_awi_error
from ..store.base import SessionStore
from ..util.batched import batched, batched_by_bytes
from ..util.fewer_collections import fewer_collections
from .base import BATCH_BYTES, BATCH_SESSIONS, Archive, GoneSession
from .decision import ArchivedState
from .gone import GoneFinder
from .hold import Hold
from .pace import Pace
from .sightings import Sightings
from .transfer import Transfer, Transferred, deadline, publish, seconds_for
from .watcher import Watcher

#: Number of batches in progress: while the archive writes one, the next one is read and compressed.
CONCURRENT_BATCHES = 3
#: Seconds after which a watched archive is searched for sessions that are gone although the watcher misses none: those
#: that another sweep archived.
GONE_CHECK_SECONDS = 600.0
#: Minimum time, in milliseconds, for which a session is kept that waits for the archive.
MIN_HOLD_MS = 10_000


@dataclass(frozen=True)
class Candidate:
    """A session that is due to be archived."""

    session_id: str
    #: Milliseconds until it expires; None if it has ended and has no TTL.
    ttl_ms: int | None
    #: Size of its document.
    bytes: int


@dataclass
class Swept:
    """What a sweep did."""

    #: Number of sessions that were due.
    found: int = 0
    #: Of those, the ones that are now in the archive.
    archived: int = 0
    #: Of those, the ones that have ended and were deleted from Redis.
    deleted: int = 0
    #: Number of sessions, archived as live before, that are gone from Redis: they expired, the app ended them and saved
    #: them itself, or they vanished (see `gone.py`).
    expired: int = 0
    ended_by_app: int = 0
    vanished: int = 0
    #: Sessions that could not be archived, with the reason.
    failed: dict[str, AwiError] = field(default_factory=dict)
    #: Of those, the ones whose TTL was extended because they would have expired soon.
    held: int = 0
    seconds: float = 0.0
    #: Why the sweep stopped early; None if it was completed.
    stopped: AwiError | None = None


class Sweeper:
    """Sweeps a store into an archive.

    margin_ms: archive sessions with a shorter TTL than this. rate: maximum number of sessions to archive per second;
    None for no limit. scan_rate: maximum number of keys to scan per second.
    """

    def __init__(
        self, store: SessionStore, archive: Archive, margin_ms: int, *, rate: float | None, scan_rate: float | None
    ) -> None:
        self._store = store
        self._archive = archive
        self._transfer = Transfer(store, archive)
        self._margin_ms = margin_ms
        self._pace = Pace(rate)
        self._scan_rate = scan_rate
        self._sightings = Sightings()
        self._gone_checked_at = -math.inf
        self._scanned_at = 0.0
        #: The sessions that the previous sweep archived, and this one so far. They may expire.
        self._archived_before: set[str] = set()
        self._archived_now: set[str] = set()

    def watcher(self, age: float) -> Watcher:
        """A watcher of the same store and archive that shares the limits of this sweeper, and what it finds out.

        age: maximum age of a snapshot, in seconds.
        """
        watcher = Watcher(self._store, self._archive, age, pace=self._pace, scan_rate=self._scan_rate)
        self._sightings = watcher.sightings
        return watcher

    async def candidates(self) -> list[Candidate]:
        """Return the sessions that expire within the margin or have ended, those that expire first coming first."""
        due: dict[str, Candidate] = {}
        self._scanned_at = time.monotonic()
        async for batch in self._store.scan(self._scan_rate):
            without_ttl: dict[str, int] = {}
            for one in await self._store.lifetimes(batch):
                if one.ttl_ms is None:
                    without_ttl[one.session_id] = one.bytes
                elif one.ttl_ms < self._margin_ms:
                    due[one.session_id] = Candidate(one.session_id, one.ttl_ms, one.bytes)
            for listed in await self._store.list(list(without_ttl)):
                if listed.ttl_ms is None and has_ended(listed.head):
                    due[listed.session_id] = Candidate(listed.session_id, None, without_ttl[listed.session_id])
        return sorted(due.values(), key=lambda one: (one.ttl_ms is None, one.ttl_ms or 0))

    async def sweep(
        self,
        due: Sequence[Candidate],
        progress: Callable[[int], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Swept:
        """Archive these sessions, and record which sessions, archived by earlier sweeps, are gone.

        progress: called after each batch with its number of sessions. stop: polled before each batch; if it returns
        true, no further batch is started. Errors are returned in the result, not raised. If the archive cannot be
        reached, the remaining sessions are not tried, but their TTL is extended.
        """
        swept = Swept(found=len(due))
        started_at, began_at = time.monotonic(), datetime.now(UTC)
        batches = iter(list(batched_by_bytes(due, lambda one: one.bytes, BATCH_BYTES, self._pace.batch_size)))
        hold = self._hold(due)

        async def work() -> None:
            for batch in batches:
                if stop():
                    return
                await self._pace.wait(len(batch))
                if stop():
                    return
                await self._sweep_batch(batch, swept)
                hold.done(one.session_id for one in batch)
                progress(len(batch))

        try:
            with fewer_collections():
                async with hold, asyncio.TaskGroup() as workers:
                    for _ in range(CONCURRENT_BATCHES):
                        workers.create_task(work())
        except AwiError as error:  # Redis does not answer, so nothing can be read or held
            swept.stopped = error
            swept.failed = {one.session_id: error for one in due}
        if swept.stopped is None and not stop():
            await self._finish(swept, stop, began_at)
        self._archived_before, self._archived_now = self._archived_now, set()
        swept.seconds = time.monotonic() - started_at
        return swept

    async def _sweep_batch(self, batch: Sequence[Candidate], swept: Swept) -> None:
        session_ids = [one.session_id for one in batch]
        results: dict[str, Transferred | AwiError] = {}
        if swept.stopped is None:
            try:
                results = await self._transfer.archive_and_delete(session_ids)
            except Exception as error:
                failure = as_awi_error(error)
                results = dict.fromkeys(session_ids, failure)
                if failure is error:  # the archive as a whole fails; otherwise, only something in this batch does
                    swept.stopped = failure
        else:
            results = dict.fromkeys(session_ids, swept.stopped)
        failed = {name: result for name, result in results.items() if isinstance(result, AwiError)}
        archived = {name: result for name, result in results.items() if isinstance(result, Transferred)}
        self._archived_now.update(archived)
        swept.archived += len(archived)
        swept.deleted += sum(one.deleted for one in archived.values())
        swept.failed |= failed
        expiring = [one.session_id for one in batch if one.ttl_ms is not None and one.session_id in failed]
        if expiring:
            try:
                held = await self._store.set_min_ttl(expiring, self._margin_ms - 1)
                swept.held += held  # a statement of its own: other batches change the counter during the await
            except Exception as error:
                swept.stopped = swept.stopped or as_awi_error(error)

    def _hold(self, due: Sequence[Candidate]) -> Hold:
        """Keep the sessions that could expire before the archive has answered, or is known not to answer.

        Those that the previous sweep archived are left to expire; otherwise frequent sweeps would keep them for ever.
        """
        sizes = [one.bytes for one in due] or [0]
        patience = seconds_for(self._archive, max(*sizes, min(sum(sizes), BATCH_BYTES))) or 0.0
        hold_ms = min(max(MIN_HOLD_MS, int(patience * 2000)), self._margin_ms - 1)
        expiries = {
            one.session_id: self._scanned_at + one.ttl_ms / 1000
            for one in due
            if one.ttl_ms is not None and one.session_id not in self._archived_before
        }
        return Hold(self._store, hold_ms, expiries)

    async def gone(self) -> list[GoneSession]:
        """Return the sessions that the archive has as live, and that are gone. Writes nothing."""
        return await GoneFinder(self._store, self._archive, self._sightings).find()

    async def _finish(self, swept: Swept, stop: Callable[[], bool], began_at: datetime) -> None:
        try:
            await self._mark_gone(swept, stop, began_at)
            await self._publish()
        except Exception as error:
            swept.stopped = as_awi_error(error)

    async def _mark_gone(self, swept: Swept, stop: Callable[[], bool], began_at: datetime) -> None:
        """Record which sessions are gone. Skipped if a watcher misses none, except now and then.

        What this sweep has just archived was there after `began_at`; the next sweep finds out if it is gone since. But
        a watcher is asked about each session that it misses only once.
        """
        now = time.monotonic()
        missing = set(self._sightings.missing)
        if len(self._sightings) and not missing and now - self._gone_checked_at < GONE_CHECK_SECONDS:
            return
        seen_until, skip = (None, set[str]()) if len(self._sightings) else (began_at, self._archived_now)
        gone = await GoneFinder(self._store, self._archive, self._sightings, seen_until, skip).find_settled(stop)
        swept.expired += await self._mark(gone, ArchivedState.EXPIRED)
        swept.ended_by_app += await self._mark(gone, ArchivedState.ENDED)
        swept.vanished += await self._mark(gone, ArchivedState.VANISHED)
        if not stop():
            self._sightings.forget(missing)
            self._gone_checked_at = now

    async def _mark(self, gone: Sequence[GoneSession], state: ArchivedState) -> int:
        """Record those of the sessions that are in this state now. Returns the number recorded."""
        count = 0
        for batch in batched([one for one in gone if one.state is state], BATCH_SESSIONS):
            async with deadline(self._archive):
                count += await self._archive.mark_gone(batch)
        return count

    async def _publish(self) -> None:
        """Show sessions to the app that have ended or expired, if that has not been done yet."""
        async with deadline(self._archive):
            waiting = [one async for one in self._archive.unpublished()]
        for batch in batched(waiting, BATCH_SESSIONS):
            async with deadline(self._archive):
                await publish(self._store, self._archive, batch)
