"""Keep a recent snapshot of every live session, so that what the app deletes and fails to save is in the archive.

The watcher looks at every session twice within the age that a snapshot may have: so even if it meets the sessions in
another order each time, no more than that age is between two looks at one session. It reads the documents of those
sessions only that were written to. Any number of watchers may run at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..errors import AwiError, InvalidData, Refused, UpdateConflict, as_awi_error
from ..store.base import SessionStore, SessionVersion, Stored
from ..util.batched import batched, batched_by_bytes
from .base import BATCH_BYTES, Archive
from .compression import digest_of
from .decision import Outdated
from .pace import Pace
from .sightings import Sighting, Sightings
from .transfer import Transfer, Transferred

#: Number of sessions that are looked at in one step.
STEP_SESSIONS = 100
#: Number of steps in progress: while the archive writes, the next sessions are read.
CONCURRENT_STEPS = 3
#: The part of a pass over which its steps are spread evenly. The rest is reserved for slow ones.
SPREAD = 0.8
#: Seconds by which a pass may take longer before that is reported.
SLACK_SECONDS = 1.0
#: Seconds between reading the version of a session and its document: a later write then has another expiry (see
#: `Sighting.is_same`).
SETTLE_SECONDS = 0.005


@dataclass
class Watched:
    """What a watcher did since it was last asked."""

    #: Number of snapshots that were archived.
    snapshots: int = 0
    #: Sessions that could not be archived, with the reason; each again only after it has changed.
    failed: dict[str, AwiError] = field(default_factory=dict)
    #: Duration of the longest pass, in seconds; and whether that is too long for the age that a snapshot may have.
    longest: float = 0.0
    too_slow: bool = False
    #: Why the latest pass stopped early; None if it did not.
    stopped: AwiError | None = None


class Watcher:
    """Archives the live sessions of a store again and again.

    age: maximum age of a snapshot, in seconds. pace: limits how many sessions are archived. scan_rate: maximum number
    of keys to scan per second; None for no limit.
    """

    def __init__(
        self, store: SessionStore, archive: Archive, age: float, *, pace: Pace, scan_rate: float | None
    ) -> None:
        self._store = store
        self._archive = archive
        self._transfer = Transfer(store, archive)
        self._period = age / 2
        self._pace = pace
        self._scan_rate = scan_rate
        #: The live sessions, as of the last look at each.
        self.sightings = Sightings()
        self._watched = Watched()

    def take(self) -> Watched:
        """Return what was done since the last call."""
        taken, self._watched = self._watched, Watched()
        return taken

    async def run(self, stop: asyncio.Event) -> None:
        """Look at all sessions, twice within the age of a snapshot, until `stop` is set. Errors do not end it."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self.look(stop)
            except Exception as error:
                self._watched.stopped = as_awi_error(error)
            await _sleep(stop, began + self._period - time.monotonic())

    async def look(self, stop: asyncio.Event) -> None:
        """Look at every session once, and archive those that changed. Raises if Redis or the archive is unreachable."""
        began, started_at = time.monotonic(), datetime.now(UTC)
        lock = asyncio.Lock()

        async def work() -> None:
            while True:
                async with lock:
                    session_ids = await anext(steps, None)
                if session_ids is None:
                    return
                await self._look_at(session_ids)

        async with aclosing(self._steps(began, stop)) as steps:
            tasks = [asyncio.create_task(work()) for _ in range(CONCURRENT_STEPS)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        if not stop.is_set():
            self.sightings.end_pass(started_at)
            watched = self._watched
            watched.longest = max(watched.longest, time.monotonic() - began)
            watched.too_slow = watched.longest > self._period + SLACK_SECONDS
            watched.stopped = None

    async def _steps(self, began: float, stop: asyncio.Event) -> AsyncGenerator[Sequence[str], None]:
        """The ids of all sessions, spread over the pass that began at this monotonic time."""
        expected = len(self.sightings) or await self._store.keyspace.size() or 1
        looked_at = 0
        async with aclosing(self._store.scan(self._scan_rate)) as batches:
            async for batch in batches:
                for session_ids in batched(batch, STEP_SESSIONS):
                    if stop.is_set():
                        return
                    yield session_ids
                    looked_at += len(session_ids)
                    due = began + self._period * SPREAD * min(1.0, looked_at / expected)
                    await _sleep(stop, due - time.monotonic())

    async def _look_at(self, session_ids: Sequence[str]) -> None:
        found = await self._store.versions(session_ids)
        now = datetime.now(UTC)
        self.sightings.set_clock(found, now)
        changed: list[SessionVersion] = []
        touched: list[SessionVersion] = []
        for version in found.versions:
            known = self.sightings.get(version.session_id)
            if known is None:
                changed.append(version)
            elif known.is_same(version):
                self.sightings.set(version.session_id, known._replace(seen_at=now))
                if known.expiry_is_stale(found.now_ms):
                    changed.append(version)
            elif known.digest and known.bytes == version.bytes:
                touched.append(version)
            else:
                changed.append(version)
        if changed or touched:
            await _pause(SETTLE_SECONDS)
            for batch in batched_by_bytes(touched, _size_of, BATCH_BYTES):
                changed += await self._without_unchanged(batch, now, found.now_ms)
            for batch in batched_by_bytes(changed, _size_of, BATCH_BYTES, self._pace.batch_size):
                await self._pace.wait(len(batch))
                await self._archive_batch(batch, now)

    async def _without_unchanged(
        self, touched: Sequence[SessionVersion], now: datetime, now_ms: int | None
    ) -> list[SessionVersion]:
        """Those sessions whose bytes are not archived, or whose archived expiry is stale."""
        documents = await self._store.read_many([one.session_id for one in touched])
        changed = []
        for version in touched:
            known, stored = self.sightings.get(version.session_id), documents.get(version.session_id)
            if known is None or not isinstance(stored, Stored) or digest_of(stored.raw) != known.digest:
                changed.append(version)
                continue
            seen = known._replace(expires_ms=version.expires_ms, seen_at=now)
            self.sightings.set(version.session_id, seen)
            if seen.expiry_is_stale(now_ms):
                changed.append(version)
        return changed

    async def _archive_batch(self, batch: Sequence[SessionVersion], now: datetime) -> None:
        results = await self._transfer.archive([one.session_id for one in batch])
        for version in batch:
            session_id, result = version.session_id, results.get(version.session_id)
            if isinstance(result, Transferred):
                self._watched.snapshots += 1
                digest = result.snapshot.digest
            elif isinstance(result, AwiError):
                self._watched.failed[session_id] = result
                if not _is_permanent(result):
                    continue
                digest = ""
            else:  # gone
                continue
            expiry = version.expires_ms
            self.sightings.set(session_id, Sighting(expiry, version.bytes, digest, expiry, now))


def _size_of(version: SessionVersion) -> int:
    return version.bytes


def _is_permanent(error: AwiError) -> bool:
    """Whether the same version of a session cannot be archived later either."""
    return isinstance(error, InvalidData | Refused) and not isinstance(error, Outdated | UpdateConflict)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, for at most this time."""
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
