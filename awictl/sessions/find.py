"""Find a session: live in Redis or, as a fallback, in the archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import AwiError, InvalidData, NoSession, NotFound, Unreachable
from ..store.base import HistoryPage, SessionStore, Stored
from ..store.endings import SEPARATOR
from ..store.errors import no_session, not_in_archive


class Found(NamedTuple):
    """A session from Redis or from the archive."""

    #: Its string in Redis; None if it is from the archive.
    stored: Stored | None
    archived: Archived | None = None
    #: Where it is from and why, for a notice; empty if it is live and not being ended.
    origin: str = ""
    #: Whether Redis is unreachable, and may have a newer state.
    degraded: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """The archived document; empty if it is live."""
        return self.archived.document if self.archived is not None else {}


if TYPE_CHECKING:
    from ..archive.base import Archive, Archived

#: Opens the archive, if one is configured; called only if Redis does not have a session.
OpenArchive = Callable[[], "Archive | None"]


async def from_archive(session_id: str, open_archive: OpenArchive, missing: AwiError, store: str = "Redis") -> Found:
    """A session from the archive, after reading it from the store failed with `missing` (NotFound or Unreachable).

    `store`: its name. Raises `missing` if the archive does not have it either, or if there is no archive.
    """
    try:
        archive = open_archive()
        if archive is None:
            raise missing
        await archive.check_exists()
        archived = await archive.load(session_id)
    except NotFound as error:
        if error is missing:
            raise
        kind = Unreachable if isinstance(missing, Unreachable) else NotFound
        raise kind(f"{missing}; and {error}") from error
    except Unreachable as error:
        if error is missing or str(error) == str(missing):  # the archive is in the database of the live sessions
            raise missing from None
        raise Unreachable(f"{missing}; and {error}") from error
    except InvalidData as error:
        raise InvalidData(f"{missing}; whether it is archived is unknown: {error}") from error
    if archived is None:
        if isinstance(missing, NoSession):
            neither = not_in_archive(archive.where, str(missing))
            raise NoSession(f"{missing}; {neither}", session_id, archive_asked=True)
        raise missing
    degraded = isinstance(missing, Unreachable)
    why = f"{store} is unreachable and may have a newer state" if degraded else "not live"
    if archived.raw is None:
        if archived.summary.state.value == "live":
            why = "a session of the app in MongoDB, which kept only a part of it; awictl never changes it"
        else:
            why += "; archived by the app, which kept only a part of it"
    return Found(None, archived, f"{session_id} is read from the archive at {archive.where} ({why})", degraded)


async def find(session_id: str, store: SessionStore, open_archive: OpenArchive) -> Found:
    """A session from Redis, else from the archive. Raises NotFound, Unreachable."""
    try:
        stored = await store.read(session_id)
    except Unreachable as error:
        return await from_archive(session_id, open_archive, error, store.name)
    if stored is not None:
        return Found(stored)
    if taken := await store.endings.taken(session_id):
        from ..document.rejoin import rejoined  # few sessions are being ended

        notice = f"{session_id} is being ended; if that was interrupted, end it again, or run `awictl archive sweep`"
        return Found(Stored(rejoined(taken.split(SEPARATOR)), None), origin=notice)
    return await from_archive(session_id, open_archive, no_session(session_id, store.where))


async def why_missing(session_id: str, open_archive: OpenArchive, missing: NotFound) -> AwiError:
    """The error for writing to a session that is not live: `missing`, or a more precise one if the archive has it."""
    archive = open_archive()
    if archive is None:
        return missing
    try:
        await archive.check_exists()
        archived = await archive.load(session_id)
    except AwiError as error:
        return NotFound(f"{missing}; whether it is archived is unknown: {error}")
    if archived is None:
        neither = not_in_archive(archive.where, str(missing))
        return NoSession(f"{missing}; {neither}", session_id, archive_asked=True)
    if archived.raw is None:
        from ..archive.base import app_document_read_only

        return app_document_read_only(session_id, archive.where)
    return NotFound(
        f"session {session_id} is no longer live, but archived in {archive.where}: "
        f"`awictl archive restore {session_id}` restores it"
    )


def history_of(document: dict[str, Any], limit: int, offset: int, *, degraded: bool = False) -> HistoryPage:
    """A page of the trajectory of a whole document, newest first."""
    actions = document["history"]["actions"]
    return HistoryPage(actions[::-1][offset : offset + limit], len(actions), limit, offset, degraded)
