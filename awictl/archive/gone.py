"""Find archived sessions that are no longer in Redis, and record what became of them.

A session that is gone has ended, if the app has a document of it; or else has expired, if it was due to; or else has
vanished: the app deletes a session before it saves it, and ignores a failed save (DESIGN, section 2). A document of the
app from before the session's last update does not count: the app wrote the session back after that, and could not save
a second document. The expiry that the archive has is at most half a TTL too early (see `Sighting.expiry_is_stale`); a
watcher knows the exact one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from ..document.keys import is_session_id
from ..document.timestamps import EPOCH
from ..store.base import SessionStore
from ..util.batched import batched
from .base import BATCH_SESSIONS, Archive, GoneSession
from .decision import ArchivedState, ArchivedVersion
from .sightings import Sightings
from .transfer import deadline

#: A session that is not in Redis counts as expired this long after its expiry, to allow for clock skew.
EXPIRY_GRACE = timedelta(seconds=2)
#: The same if the archive does not know which server it was on.
UNKNOWN_SERVER_GRACE = timedelta(days=1)
#: How long the app may take to save a session after it deleted it, in seconds.
APP_SAVE_SECONDS = 2.0
#: How much later than the app's end an update may be that was made before it: clocks differ.
SAVED_AFTER = timedelta(seconds=2)
#: Seconds between two looks at whether to stop.
_POLL_SECONDS = 0.1
#: Number of archived sessions that are compared with the store in one request.
_COMPARED = 500


class GoneFinder:
    """Finds sessions that an archive has as live, and that are gone. Raises the errors of both.

    sightings: those of a watcher; empty if nothing watches the sessions. seen_until: do not look for sessions that were
    archived after that; None: look for all. skip: nor for these. The time alone does not tell: archives round it down
    to a millisecond, and clocks are set.
    """

    def __init__(
        self,
        store: SessionStore,
        archive: Archive,
        sightings: Sightings,
        seen_until: datetime | None = None,
        skip: Collection[str] = (),
    ) -> None:
        self._store = store
        self._archive = archive
        self._sightings = sightings
        self._seen_until = seen_until
        self._skip = skip

    async def find(self) -> list[GoneSession]:
        """Return the sessions that are gone at the moment. Writes nothing."""
        return await self._judge(await self._missing())

    async def find_settled(self, stop: Callable[[], bool]) -> list[GoneSession]:
        """Return the sessions that are gone, after the app had time to save those that it ended.

        stop: polled while it waits for that; if it returns true, the sessions in question are left out.
        """
        gone = await self.find()
        settled = [one for one in gone if one.state is not ArchivedState.VANISHED]
        if vanished := [one.version for one in gone if one.state is ArchivedState.VANISHED]:
            await _wait_for_app(stop)
            if not stop():
                settled += await self._judge(await self._without_live(vanished))
        return settled

    async def _missing(self) -> list[ArchivedVersion]:
        """The sessions of this server that are live in the archive, and not in the store."""
        missing: list[ArchivedVersion] = []
        async with aclosing(self._archive.live(self._store.identity, self._seen_until)) as versions:
            while True:
                batch: list[ArchivedVersion] = []
                async with deadline(self._archive):
                    while len(batch) < _COMPARED and (version := await anext(versions, None)) is not None:
                        # an id of another form: another program wrote it
                        if is_session_id(version.session_id) and version.session_id not in self._skip:
                            batch.append(version)
                if not batch:
                    return missing
                missing += await self._without_live(batch)

    async def _without_live(self, versions: Sequence[ArchivedVersion]) -> list[ArchivedVersion]:
        """Those that are neither live nor being ended."""
        there = {one.session_id for one in await self._store.lifetimes([one.session_id for one in versions])}
        if len(there) < len(versions):
            there |= set(await self._store.endings.ids())
        return [one for one in versions if one.session_id not in there]

    async def _judge(self, missing: Sequence[ArchivedVersion]) -> list[GoneSession]:
        gone: list[GoneSession] = []
        for batch in batched(missing, BATCH_SESSIONS):
            async with deadline(self._archive):
                ended = await self._archive.ended_by_app([one.session_id for one in batch])
            now = datetime.now(UTC)
            for version in batch:
                if version.session_id in ended and not _was_written_back(version, ended[version.session_id]):
                    gone.append(GoneSession(version, ArchivedState.ENDED, ended[version.session_id]))
                elif (one := self._without_end(version, now)) is not None:
                    gone.append(one)
        return gone

    def _without_end(self, version: ArchivedVersion, now: datetime) -> GoneSession | None:
        """What became of a session that nobody ended; None if it may be live on another server.

        Earlier versions of awictl did not record the server. What they archived is taken to have expired after a day.
        """
        sighting = self._sightings.get(version.session_id)
        seen_at = sighting.seen_at if sighting is not None else None
        expires_at = self._sightings.expiry(sighting) if sighting is not None else version.expires_at
        grace = EXPIRY_GRACE if version.server else UNKNOWN_SERVER_GRACE
        if expires_at is not None and expires_at < now - grace:
            return GoneSession(version, ArchivedState.EXPIRED, expires_at, seen_at)
        if not version.server or (expires_at is not None and expires_at < now):
            return None
        return GoneSession(version, ArchivedState.VANISHED, None, seen_at)


def _was_written_back(version: ArchivedVersion, ended_at: datetime | None) -> bool:
    """Whether a session was updated after the app had ended it."""
    updated = timedelta(milliseconds=version.revision.updated_ms)
    return ended_at is not None and updated > ended_at - EPOCH + SAVED_AFTER


async def _wait_for_app(stop: Callable[[], bool]) -> None:
    """Give the app the time that it may take to save a session."""
    until = time.monotonic() + APP_SAVE_SECONDS
    while not stop() and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  # `stop` is polled
        await asyncio.sleep(min(_POLL_SECONDS, left))
