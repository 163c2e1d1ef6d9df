"""The sweep: archive sessions that are about to expire, and archive and delete those that have ended.

Any number of sweepers may run at once. They sometimes do the same work twice; that has no effect, because the archive
decides for each session which version is kept. The TTL of a session that cannot be archived is extended, to just
below the margin, so that the next sweep finds it again. A session that could expire while it waits for the archive is
kept for as long as that may take.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..document.keys import is_session_id
from ..document.schema import has_ended
from ..errors import AwiError, as_awi_error
from ..store.base import SessionStore
from ..util.batched import batched_by_bytes
from .base import BATCH_BYTES, BATCH_SESSIONS, Archive
from .decision import ArchivedVersion
from .hold import Hold
from .transfer import Transfer, Transferred, deadline, seconds_for

#: Number of batches in progress: while the archive writes one, the next one is read and compressed.
CONCURRENT_BATCHES = 3
#: A session that is not in Redis is marked as expired this long after its expiry, to allow for clock skew.
EXPIRY_GRACE = timedelta(seconds=2)
#: The same if the archive does not know which server it was on.
UNKNOWN_SERVER_GRACE = timedelta(days=1)
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
    #: Number of sessions, archived by earlier sweeps, that have expired since and are now marked as ended.
    expired: int = 0
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
        self._rate = rate
        self._scan_rate = scan_rate
        self._scanned_at = 0.0
        #: The sessions that the previous sweep archived, and this one so far. They may expire.
        self._archived_before: set[str] = set()
        self._archived_now: set[str] = set()

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
        """Archive these sessions, and mark sessions that have expired since an earlier sweep as ended.

        progress: called after each batch with its number of sessions. stop: polled before each batch; if it returns
        true, no further batch is started. Errors are returned in the result, not raised. If the archive cannot be
        reached, the remaining sessions are not tried, but their TTL is extended.
        """
        swept = Swept(found=len(due))
        started_at = time.monotonic()
        batches = iter(list(_batches(due, self._rate)))
        started = 0
        hold = self._hold(due)

        async def work() -> None:
            nonlocal started
            for batch in batches:
                if stop():
                    return
                if self._rate is not None:
                    pause = started_at + started / self._rate - time.monotonic()
                    started += len(batch)
                    await asyncio.sleep(max(0.0, pause))
                    if stop():
                        return
                await self._sweep_batch(batch, swept)
                hold.done(one.session_id for one in batch)
                progress(len(batch))

        try:
            with _fewer_collections():
                async with hold, asyncio.TaskGroup() as workers:
                    for _ in range(CONCURRENT_BATCHES):
                        workers.create_task(work())
        except AwiError as error:  # Redis does not answer, so nothing can be read or held
            swept.stopped = error
            swept.failed = {one.session_id: error for one in due}
        if swept.stopped is None and not stop():
            await self._mark_expired(swept)
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

    async def expired(self) -> AsyncGenerator[list[ArchivedVersion], None]:
        """Iterate, in batches, over archived sessions that have expired but are not marked as ended yet."""
        batch: list[ArchivedVersion] = []
        async for archived in self._archive.expired(datetime.now(UTC) - EXPIRY_GRACE):
            if self._may_mark(archived):
                batch.append(archived)
            if len(batch) == BATCH_SESSIONS:
                yield await self._without_live(batch)
                batch = []
        if batch:
            yield await self._without_live(batch)

    def _may_mark(self, archived: ArchivedVersion) -> bool:
        """Whether a session that is not on this server has ended.

        It may be live on another server: so only those that were live on this one, as far as the archive knows. Earlier
        versions did not record that; what they archived is taken to have ended after a day.
        """
        if not is_session_id(archived.session_id):  # another program wrote it: no session can have this id
            return False
        if archived.server:
            return archived.server == self._store.identity
        return archived.expires_at is not None and archived.expires_at < datetime.now(UTC) - UNKNOWN_SERVER_GRACE

    async def _without_live(self, batch: Sequence[ArchivedVersion]) -> list[ArchivedVersion]:
        live = {one.session_id for one in await self._store.lifetimes([one.session_id for one in batch])}
        return [one for one in batch if one.session_id not in live]

    async def _mark_expired(self, swept: Swept) -> None:
        try:
            async with aclosing(self.expired()) as batches:
                while True:
                    async with deadline(self._archive):
                        batch = await anext(batches, None)
                        if batch is None:
                            return
                        swept.expired += await self._archive.mark_ended(batch)
        except Exception as error:
            swept.stopped = as_awi_error(error)


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Raise the threshold of the garbage collector: documents consist of many small objects without cycles.

    With the default threshold, it took more than a quarter of the CPU time of a sweep of 15 KB sessions.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 200_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _batches(due: Sequence[Candidate], rate: float | None) -> Iterator[list[Candidate]]:
    """Divide the candidates into batches; if the rate is limited, into small ones, so that the pace is even."""
    most = BATCH_SESSIONS if rate is None else max(1, min(BATCH_SESSIONS, int(rate / 4)))
    return batched_by_bytes(due, lambda one: one.bytes, BATCH_BYTES, most)
