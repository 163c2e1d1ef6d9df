"""The sweep: sessions that are about to expire, or have ended, go to the archive before Redis forgets them.

Any number of sweepers may run at once. They do the same work twice now and then, and that leaves no trace: what
counts is decided by the archive, for each session. What cannot be archived is not let go either: its expiry is put
off, by so little that the next sweep finds it again.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..document.schema import has_ended
from ..errors import AwiError
from ..store.base import SessionStore
from .base import Archive
from .snapshot import ArchivedVersion
from .transfer import Transfer, Transferred

#: Sessions, and bytes of them, that are archived together at the most (one larger session goes alone).
BATCH_SESSIONS = 100
BATCH_BYTES = 4_194_304
#: Batches under way at the same time: while the archive writes one, the next is read and packed.
BATCHES_AT_ONCE = 3
#: A session that should have expired so long ago and is gone has expired, whatever the clocks say.
LAPSE = timedelta(seconds=2)


@dataclass(frozen=True)
class Candidate:
    """A session that should be archived now."""

    session_id: str
    #: Milliseconds until it expires; None where it never does, because it has ended.
    ttl_ms: int | None
    bytes: int


@dataclass
class Swept:
    """What a sweep did."""

    #: Sessions that were due.
    found: int = 0
    #: Of those, in the archive now as they are.
    archived: int = 0
    #: Of those, ended, and deleted from Redis.
    deleted: int = 0
    #: Sessions archived by an earlier sweep that have expired since: marked as ended.
    expired: int = 0
    #: Sessions that could not be archived, and why.
    failed: dict[str, AwiError] = field(default_factory=dict)
    #: Of those, the ones that would have expired soon: their expiry was put off.
    held: int = 0
    seconds: float = 0.0
    #: Why nothing more could be archived, if so.
    stopped: AwiError | None = None


class Sweeper:
    """Sweeps a store into an archive."""

    def __init__(
        self, store: SessionStore, archive: Archive, margin_ms: int, *, rate: float | None, scan_rate: float | None
    ) -> None:
        self._store = store
        self._archive = archive
        self._transfer = Transfer(store, archive)
        self._margin_ms = margin_ms
        self._rate = rate
        self._scan_rate = scan_rate

    async def candidates(self) -> list[Candidate]:
        """The sessions that expire within the margin or have ended, the most urgent first."""
        due: dict[str, Candidate] = {}
        async for batch in self._store.scan(self._scan_rate):
            lasting: dict[str, int] = {}
            for one in await self._store.lifetimes(batch):
                if one.ttl_ms is None:
                    lasting[one.session_id] = one.bytes
                elif one.ttl_ms < self._margin_ms:
                    due[one.session_id] = Candidate(one.session_id, one.ttl_ms, one.bytes)
            for listed in await self._store.list(list(lasting)):
                if listed.ttl_ms is None and has_ended(listed.head):
                    due[listed.session_id] = Candidate(listed.session_id, None, lasting[listed.session_id])
        return sorted(due.values(), key=lambda one: (one.ttl_ms is None, one.ttl_ms or 0))

    async def sweep(
        self,
        due: Sequence[Candidate],
        progress: Callable[[int], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Swept:
        """Archive these sessions, and mark those that expired since an earlier sweep as ended.

        `progress` is told after each batch how many sessions it had; once `stop` says so, no further batch is begun.
        Errors are told in what is returned; where the archive cannot be reached, the rest is not tried, but held.
        """
        swept = Swept(found=len(due))
        began = time.monotonic()
        batches = iter(list(_batches(due, self._rate)))
        started = 0

        async def work() -> None:
            nonlocal started
            for batch in batches:
                if stop():
                    return
                if self._rate is not None:
                    pause = began + started / self._rate - time.monotonic()
                    started += len(batch)
                    await asyncio.sleep(max(0.0, pause))
                    if stop():
                        return
                await self._batch(batch, swept)
                progress(len(batch))

        with _rarely_collecting():
            async with asyncio.TaskGroup() as workers:
                for _ in range(BATCHES_AT_ONCE):
                    workers.create_task(work())
        if swept.stopped is None and not stop():
            await self._mark_expired(swept)
        swept.seconds = time.monotonic() - began
        return swept

    async def _batch(self, batch: Sequence[Candidate], swept: Swept) -> None:
        names = [one.session_id for one in batch]
        results: dict[str, Transferred | AwiError] = dict.fromkeys(names, swept.stopped) if swept.stopped else {}
        if swept.stopped is None:
            try:
                results = await self._transfer.archive_and_delete(names)
            except AwiError as error:
                swept.stopped = error
                results = dict.fromkeys(names, error)
        failed = {name: result for name, result in results.items() if isinstance(result, AwiError)}
        kept = [result for result in results.values() if isinstance(result, Transferred)]
        swept.archived += len(kept)
        swept.deleted += sum(one.deleted for one in kept)
        swept.failed |= failed
        passing = [one.session_id for one in batch if one.ttl_ms is not None and one.session_id in failed]
        if passing:
            try:
                held = await self._store.set_min_ttl(passing, self._margin_ms - 1)
                swept.held += held  # not in one step: other batches count meanwhile
            except AwiError as error:
                swept.stopped = swept.stopped or error

    async def expired(self) -> AsyncIterator[list[ArchivedVersion]]:
        """The sessions in the archive that have expired, in batches."""
        batch: list[ArchivedVersion] = []
        async for known in self._archive.expired(datetime.now(UTC) - LAPSE):
            batch.append(known)
            if len(batch) == BATCH_SESSIONS:
                yield await self._gone(batch)
                batch = []
        if batch:
            yield await self._gone(batch)

    async def _gone(self, batch: Sequence[ArchivedVersion]) -> list[ArchivedVersion]:
        alive = {one.session_id for one in await self._store.lifetimes([one.session_id for one in batch])}
        return [one for one in batch if one.session_id not in alive]

    async def _mark_expired(self, swept: Swept) -> None:
        try:
            async for batch in self.expired():
                swept.expired += await self._archive.mark_ended(batch)
        except AwiError as error:
            swept.stopped = error


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Let the garbage collector look less often: documents are many small objects without cycles.

    Measured on sessions of 15 KB, it took more than a quarter of the sweep's own processor time.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 200_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _batches(due: Sequence[Candidate], rate: float | None) -> Iterator[list[Candidate]]:
    """The candidates in batches that are archived together; small ones where only so many a second are wanted."""
    most = BATCH_SESSIONS if rate is None else max(1, min(BATCH_SESSIONS, int(rate / 4)))
    batch: list[Candidate] = []
    size = 0
    for one in due:
        if batch and (len(batch) == most or size + one.bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.bytes
    if batch:
        yield batch
