"""The newest version of a session that is known without Redis: from this process' memory, and from the archive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ..archive.base import ArchiveQuery
from ..document.action_numbers import actions_of, t_of
from ..document.byte_layout import decode, encode
from ..document.schema import SESSION_START, as_object, as_text, has_ended
from ..document.timestamps import EPOCH
from ..errors import InvalidData
from .known import KnownSessions
from .progress import is_newer, updated_ms
from .versions import with_actions, with_later

if TYPE_CHECKING:
    from ..archive.base import Archive, ArchivedSummary
    from ..sessions.find import OpenArchive
    from .journal import Journal

#: How many of an agent's latest archived sessions are looked at.
SEARCHED_SESSIONS = 5


class Version(NamedTuple):
    """A version of a session."""

    #: The stored string.
    raw: bytes
    #: The document without its trajectory.
    head: dict[str, Any]


class Newest(NamedTuple):
    """What is known of a session."""

    #: The newest version; None if there is none, or it is over.
    version: Version | None
    #: Whether the session has ended or expired, as far as is known.
    over: bool = False


class NewestVersions:
    """Finds the newest versions of sessions. `ttl`: how long a session lasts without being used."""

    def __init__(self, known: KnownSessions, open_archive: OpenArchive, ttl: timedelta) -> None:
        self._known = known
        self._open_archive = open_archive
        self._ttl = ttl

    async def find(self, session_id: str) -> Newest:
        """The newest version of a session that may still be live. Raises Unreachable."""
        head = self._known.head(session_id)
        archive: Archive | None = self._open_archive()
        try:
            archived = await archive.load(session_id) if archive is not None else None
        except InvalidData:
            if head is None:
                raise
            archived = None
        document = decode(archived.raw) if archived is not None and archived.raw is not None else None
        if archived is not None and (document is None or not archived.summary.active):
            if document is None or head is None or not is_newer(head, document):
                self._known.forget(session_id, archived.summary.agent_id)
                return Newest(None, over=True)
            document = None
        elif archived is not None and head is None and not self._may_be_live(archived.summary):
            document = None
        if head is not None and (document is None or is_newer(head, document)):
            return Newest(_version(_joined(head, document, self._known.actions(session_id))))
        return Newest(_version(document) if document is not None else None)

    async def session_of(self, agent_id: str) -> str | None:
        """The session that an agent used last, and that may still be live; None if there is none."""
        known = self._known.session_of(agent_id)
        archive = self._open_archive()
        if archive is None:
            return known
        head = self._known.head(known) if known is not None else None
        since = EPOCH + timedelta(milliseconds=updated_ms(head)) if head is not None else None
        async with aclosing(archive.find(ArchiveQuery(agent=agent_id, since=since), limit=SEARCHED_SESSIONS)) as found:
            async for one in found:
                if one.agent_id == agent_id and one.session_id != known and self._may_be_live(one):
                    return one.session_id
        return known

    async def recorded_session_of(self, agent_id: str, journal: Journal) -> str | None:
        """The session that an agent used last by what processes have recorded of it since Redis went away.

        None if there is none, or it is over. Only the process that recorded it may have known it.
        """
        read = [await journal.read(one) for one in await journal.pending_of(None, agent_id)]
        found = [(entry, base) for entry, base in read if entry is not None and base is not None]
        if not found:
            return None
        entry, base = max(found, key=lambda one: updated_ms(one[1].head))
        over = entry.superseded or has_ended(base.document) or (await self.find(entry.session_id)).over
        return entry.session_id if not over else None

    def _may_be_live(self, summary: ArchivedSummary) -> bool:
        seen = [one for one in (summary.last_activity_at, summary.last_seen_at) if one is not None]
        return summary.active and bool(seen) and max(seen) > datetime.now(UTC) - self._ttl


def _version(document: dict[str, Any]) -> Version:
    history = {name: value for name, value in as_object(document.get("history")).items() if name != "actions"}
    return Version(encode(document), {**document, "history": history})


def _joined(head: dict[str, Any], archived: dict[str, Any] | None, written: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document of a head, with what is known of its trajectory: that of the archive, and the actions since then.

    `written`: the actions that this process wrote. What is missing in between is counted as trimmed.
    """
    actions = list(actions_of(archived) or ()) if archived is not None else []
    last = as_object(head.get("history")).get("last_action")
    if not actions and (not isinstance(last, dict) or (written and t_of(written[0]) == 1)):
        actions.append(_start(head))
    return with_actions(head, with_later(actions, [*written, last]))


def _start(head: dict[str, Any]) -> dict[str, Any]:
    """The first action of a session, as it was created."""
    started = as_text(as_object(head.get("statistics")).get("session_start")) or head.get("last_updated")
    return {"t": 0, "action": SESSION_START, "input": {}, "delta": {}, "timestamp": started}
