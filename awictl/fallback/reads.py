"""Read sessions while Redis is away: from the journal, or else from the archive. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import AwiError, NotFound, Unreachable

# Most reads are answered by Redis, and do not need these.
if TYPE_CHECKING:
    from ..sessions.find import Found, OpenArchive
    from ..sessions.reader import LastDiff, SessionReader
    from ..store.base import AgentSession, HistoryPage
    from .degraded import DegradedSessions
    from .switch import SessionFallback


class FallbackReader:
    """`SessionReader` with a fallback."""

    def __init__(
        self, normal: SessionReader, open_fallback: Callable[[], SessionFallback | None], open_archive: OpenArchive
    ) -> None:
        self._normal = normal
        self._open_fallback = open_fallback
        self._open_archive = open_archive

    async def find(self, session_id: str) -> Found:
        """See `SessionReader.find`."""
        try:
            found = await self._normal.find(session_id)
            if not found.degraded:
                return found
        except (Unreachable, NotFound) as error:
            if (journaled := await self._journaled(session_id, error)) is not None:
                return journaled
            raise
        return await self._journaled(session_id) or found

    async def history(
        self, session_id: str, limit: int = 20, offset: int = 0, *, max_bytes: int | None = None
    ) -> HistoryPage:
        """See `SessionReader.history`."""
        try:
            return await self._normal.history(session_id, limit, offset, max_bytes=max_bytes)
        except Unreachable as error:
            degraded = self._degraded
            page = await degraded.history(session_id, limit, offset, max_bytes) if degraded is not None else None
            if page is not None:
                return page
            from ..sessions.find import from_archive, history_of

            found = await from_archive(session_id, self._open_archive, error)
            return history_of(found.document, limit, offset, degraded=True)

    async def find_history(self, session_id: str, limit: int = 20, offset: int = 0) -> tuple[HistoryPage, Found | None]:
        """See `SessionReader.find_history`."""
        try:
            page, found = await self._normal.find_history(session_id, limit, offset)
            if not page.degraded:
                return page, found
        except (Unreachable, NotFound) as error:
            if (journaled := await self._page(session_id, limit, offset, error)) is not None:
                return journaled
            raise
        return await self._page(session_id, limit, offset) or (page, found)

    async def diff(self, session_id: str) -> LastDiff:
        """See `SessionReader.diff`."""
        try:
            return await self._normal.diff(session_id)
        except Unreachable:
            degraded = self._degraded
            diff = await degraded.diff(session_id) if degraded is not None else None
            if diff is None:
                raise
            return diff

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """See `SessionReader.agent_session`."""
        try:
            return await self._normal.agent_session(agent_id)
        except Unreachable:
            degraded = self._degraded
            session_id = await degraded.session_of(agent_id) if degraded is not None else None
            if session_id is None:
                raise
            from ..store.base import AgentSession

            return AgentSession(session_id, None, exists=True, degraded=True)

    @property
    def _degraded(self) -> DegradedSessions | None:
        fallback = self._open_fallback()
        return fallback.degraded if fallback is not None else None

    async def _journaled(self, session_id: str, error: AwiError | None = None) -> Found | None:
        """A session from the journal; None if it has nothing that Redis may lack, or is away, too.

        `error`: that of Redis. If Redis does not have the session, it is still to be brought there.
        """
        from ..sessions.find import Found

        degraded = self._degraded
        try:
            stored = await degraded.stored(session_id) if degraded is not None else None
        except Unreachable:
            return None
        if degraded is None or stored is None:
            return None
        away = not isinstance(error, NotFound)
        return Found(stored, origin=_origin(session_id, degraded, away=away), degraded=away)

    async def _page(
        self, session_id: str, limit: int, offset: int, error: AwiError | None = None
    ) -> tuple[HistoryPage, Found] | None:
        from ..sessions.find import Found

        degraded, away = self._degraded, not isinstance(error, NotFound)
        if degraded is None:
            return None
        try:
            if not away and await degraded.stored(session_id) is None:
                return None  # it was brought home, and is gone since
            page = await degraded.history(session_id, limit, offset, None)
        except Unreachable:
            return None
        if page is None:
            return None
        found = Found(None, origin=_origin(session_id, degraded, away=away), degraded=away)
        return page._replace(degraded=away), found


def _origin(session_id: str, degraded: DegradedSessions, *, away: bool) -> str:
    why = "Redis is unreachable and may have a newer state" if away else "it is not in Redis yet"
    return f"{session_id} is read from the journal at {degraded.journal.where} ({why})"
