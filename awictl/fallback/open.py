"""Open the fallback of a store of sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..settings import Settings
from ..store.base import SessionStore
from .known import KnownSessions
from .switch import SessionFallback

# imported when Redis is away, or something is in the journal
if TYPE_CHECKING:
    from ..sessions.earlier_sessions import EarlierSessions
    from ..sessions.end import SessionEndings
    from ..sessions.find import OpenArchive
    from ..sessions.update import Updater
    from ..store.breaker import CircuitBreaker
    from .degraded import DegradedSessions
    from .homecoming import Homecoming
    from .journal import Journal


def open_fallback(
    store: SessionStore,
    settings: Settings,
    breaker: CircuitBreaker,
    open_archive: OpenArchive,
    services: Callable[[], tuple[Updater, SessionEndings, EarlierSessions]],
) -> SessionFallback:
    """The fallback of a store. `services`: returns those of the store. Sends nothing yet."""
    known = KnownSessions(settings.session_ttl_ms / 1000)

    def open_journal() -> Journal:
        from .journal import Journal

        return Journal.open(settings, store.identity)

    def open_degraded(journal: Journal) -> DegradedSessions:
        from .degraded import DegradedSessions

        return DegradedSessions(journal, known, settings, open_archive)

    def open_homecoming() -> Homecoming:
        from ..archive.connect import required
        from ..sessions.trimmed import TrimmedActions
        from .homecoming import Homecoming

        trimmed = TrimmedActions(lambda: required(open_archive()))
        journal, ttl_ms = fallback.journal, settings.session_ttl_ms
        return Homecoming(store, journal, *services(), trimmed, open_archive, ttl_ms)

    fallback = SessionFallback(breaker, known, open_journal, open_degraded, open_homecoming)
    return fallback
