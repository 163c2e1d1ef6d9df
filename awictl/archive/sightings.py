"""What a watcher remembers of the live sessions: which version of each is archived, and when it was last there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from ..document.timestamps import EPOCH
from ..store.base import SessionVersion, SessionVersions

#: Two expiries that differ by no more than this, in milliseconds, may be those of one write (see `SessionVersion`).
SAME_EXPIRY_MS = 2


class Sighting(NamedTuple):
    """A live session as it was last seen. A tuple, because there is one for every live session: about 500 bytes."""

    #: When it expires, in milliseconds since 1970 by the server's clock; None if it has no TTL or that is unknown.
    expires_ms: int | None
    #: Length of its string in bytes.
    bytes: int
    #: Digest of the bytes that are archived (`Snapshot.digest`); empty if this version cannot be archived.
    digest: str
    #: The expiry that the archive has, in the same unit.
    archived_expiry_ms: int | None
    #: When it was last in Redis.
    seen_at: datetime

    def is_same(self, version: SessionVersion) -> bool:
        """Whether nothing has been written to the session since.

        Every write sets the expiry anew, and two writes have different expiries, unless they are made within the same
        moment; so a document has to be read a moment after its version. Sessions without a TTL have no version.
        """
        return (
            self.expires_ms is not None
            and version.expires_ms is not None
            and abs(version.expires_ms - self.expires_ms) <= SAME_EXPIRY_MS
            and version.bytes == self.bytes
        )

    def expiry_is_stale(self, now_ms: int | None) -> bool:
        """Whether the archive should get the session's present expiry, which is later than the one that it has.

        So that a session that is only touched causes few writes, that is so if less than half of its remaining time is
        left by the archived expiry. Then the archived expiry of a session that is watched is never past.
        """
        if now_ms is None or self.expires_ms is None or self.archived_expiry_ms is None:
            return False
        if self.expires_ms - self.archived_expiry_ms <= 1000:
            return False
        return self.archived_expiry_ms - now_ms < (self.expires_ms - now_ms) / 2


class Sightings:
    """The sightings of all live sessions, by session id."""

    def __init__(self) -> None:
        self._sightings: dict[str, Sighting] = {}
        #: Ids of the sessions that were not there any more in the last complete pass.
        self.missing: set[str] = set()
        #: The server's clock minus this one's, in milliseconds.
        self._clock_offset_ms = 0

    def __len__(self) -> int:
        return len(self._sightings)

    def get(self, session_id: str) -> Sighting | None:
        """Return the sighting of a session; None if there is none."""
        return self._sightings.get(session_id)

    def set(self, session_id: str, sighting: Sighting) -> None:
        """Record a sighting."""
        self._sightings[session_id] = sighting

    def forget(self, session_ids: Iterable[str]) -> None:
        """Forget sessions that are gone."""
        for session_id in session_ids:
            self._sightings.pop(session_id, None)
            self.missing.discard(session_id)

    def set_clock(self, found: SessionVersions, now: datetime) -> None:
        """Compare the server's clock with this one."""
        if found.now_ms is not None:
            self._clock_offset_ms = found.now_ms - round(now.timestamp() * 1000)

    def expiry(self, sighting: Sighting) -> datetime | None:
        """When a session expires, by this clock; None if it has no TTL or that is unknown."""
        if sighting.expires_ms is None:
            return None
        return EPOCH + timedelta(milliseconds=sighting.expires_ms - self._clock_offset_ms)

    def end_pass(self, started_at: datetime) -> None:
        """Note which sessions were not seen in a pass over all sessions that started then."""
        self.missing = {session_id for session_id, one in self._sightings.items() if one.seen_at < started_at}
