"""Follow the changes of one session by polling. Writes nothing and does not extend the TTL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..document.action_numbers import required_actions
from ..document.json_codec import json_equal
from ..document.keys import check_session_id
from ..document.merge import DocumentDifference, compare
from ..document.schema import as_object
from ..document.timestamps import timestamp
from ..errors import AwiError, InvalidData, NoSession
from ..store.base import HistoryPage, Listed, SessionStore
from ..store.errors import no_session

if TYPE_CHECKING:
    from ..archive.base import Archived

#: Loads a session from the archive; None if it is not there, or no archive is configured.
LoadArchived = Callable[[str], Awaitable["Archived | None"]]

#: Newest actions that a poll reads at first, and the factor by which it reads more as long as all of them are new.
_PAGE = 20
_GROWTH = 4
#: Newest actions that are kept to recognize, at the next poll, which actions are new.
_KNOWN_ACTIONS = 20


class EventKind(StrEnum):
    """What a poll found."""

    #: The first poll: the whole state.
    SESSION = "session"
    #: The state changed, or there are new actions.
    CHANGE = "change"
    #: At most the TTL changed.
    NOTHING = "nothing"
    #: The session does not exist any more. This is the last event.
    GONE = "gone"
    #: The session cannot be read: the server is unreachable, or the document is invalid. Not repeated until BACK.
    AWAY = "away"
    #: The session can be read again.
    BACK = "back"


@dataclass(frozen=True)
class Event:
    """The result of one poll."""

    kind: EventKind
    #: Time of the poll, in ISO 8601.
    at: str
    #: The document without its actions; if it cannot be read, that of the last successful poll.
    head: dict[str, Any]
    ttl_ms: int | None = None
    #: Number of actions in the trajectory.
    total: int | None = None
    #: Length of the string in bytes, as it was read last.
    bytes: int = 0
    #: The fields that changed since the last poll, without the history.
    changes: DocumentDifference = field(default_factory=lambda: DocumentDifference({}))
    #: The new actions, oldest first.
    actions: Sequence[Any] = ()
    #: Whether there were more new actions, which have already been trimmed from the trajectory.
    missed: bool = False
    #: Why the session is gone or cannot be read.
    message: str = ""


class Follower:
    """Polls one session."""

    def __init__(self, store: SessionStore, load_archived: LoadArchived, session_id: str, interval: float) -> None:
        """`interval`: seconds between two polls. Raises InvalidInput if `session_id` is not a session ID."""
        self._store = store
        self._load_archived = load_archived
        self._id = check_session_id(session_id)
        self._interval = interval
        self._head: dict[str, Any] = {}
        self._bytes = -1
        self._total: int | None = None
        self._known: list[Any] = []
        self._away = False

    async def events(self, latest: int) -> AsyncGenerator[Event, None]:
        """Yield one event per poll until the session is gone.

        `latest`: number of existing actions in the first event. Raises NoSession if the session does not exist at the
        first poll, and the error of that poll if it fails; later errors are events.
        """
        listed = await self._read()
        if listed is None:
            raise no_session(self._id, self._store.where)
        self._keep(listed)
        page = await self._history(max(latest, _KNOWN_ACTIONS))
        self._known = page.trajectory[:_KNOWN_ACTIONS]
        yield self._event(EventKind.SESSION, listed, actions=page.trajectory[:latest][::-1])
        async with aclosing(self._polls()) as events:
            async for event in events:
                yield event

    def events_since(self, document: dict[str, Any], size: int) -> AsyncGenerator[Event, None]:
        """Yield one event per poll until the session is gone, which was read before as `document`, of `size` bytes.

        Raises InvalidData, at once, if that has no trajectory. Errors of polls are events. Only the newest actions of
        the document are kept.
        """
        actions = required_actions(document)
        history = {name: value for name, value in document["history"].items() if name != "actions"}
        self._head, self._bytes, self._total = {**document, "history": history}, size, len(actions)
        self._known = actions[-_KNOWN_ACTIONS:][::-1]
        return self._polls()

    async def _polls(self) -> AsyncGenerator[Event, None]:
        while True:
            await asyncio.sleep(self._interval)
            event = await self._poll()
            yield event
            if event.kind is EventKind.GONE:
                return

    async def _poll(self) -> Event:
        try:
            listed = await self._read()
            if listed is None:
                return await self._gone()
            back, self._away = self._away, False
            if listed.bytes == self._bytes and listed.head == self._head:
                return self._event(EventKind.BACK if back else EventKind.NOTHING, listed)
            actions, missed = await self._new_actions(listed)
        except NoSession:
            return await self._gone()
        except AwiError as error:
            reported, self._away = self._away, True
            return self._event(EventKind.NOTHING if reported else EventKind.AWAY, message=str(error))
        changes = compare(_without_history(self._head), _without_history(listed.head))
        self._keep(listed)
        kind = EventKind.BACK if back else EventKind.CHANGE if actions or changes else EventKind.NOTHING
        return self._event(kind, listed, changes=changes, actions=actions, missed=missed)

    async def _read(self) -> Listed | None:
        for listed in await self._store.list([self._id]):
            if listed.error is not None:
                raise InvalidData(f"session {self._id} cannot be read: {listed.error}")
            return listed
        return None

    async def _history(self, limit: int) -> HistoryPage:
        page = await self._store.history(self._id, limit, 0)
        if page is None:
            raise no_session(self._id, self._store.where)
        return page

    def _keep(self, listed: Listed) -> None:
        self._head, self._bytes, self._total = listed.head, listed.bytes, listed.actions

    async def _new_actions(self, listed: Listed) -> tuple[list[Any], bool]:
        """Return the actions since the last poll, oldest first, and whether some of them were already trimmed.

        Actions are compared by content, because the app's `t` sticks at 100 (DESIGN, section 2). Those that were added
        after `listed` was read are left to the next poll, so that its head is the state after those that are returned.
        """
        limit = _PAGE
        while True:
            page = await self._history(limit)
            count = _count_new(page.trajectory, self._known)
            if count is not None or len(page.trajectory) >= page.total:
                break
            limit *= _GROWTH
        end = len(page.trajectory) if count is None else count
        later = min(_count_later(page, listed), end)
        new = page.trajectory[later:end]
        missed = count is None and bool(self._known)
        self._known = [*new, *([] if missed else self._known)][:_KNOWN_ACTIONS]
        return new[::-1], missed

    async def _gone(self) -> Event:
        """Return the last event, with the actions between the last poll and the end if the session was archived."""
        try:
            archived = await self._load_archived(self._id)
        except AwiError as error:
            message = f"session {self._id} is gone; the archive could not be checked for it: {error}"
            return self._event(EventKind.GONE, message=message)
        if archived is None:
            message = f"session {self._id} is gone: it expired, was ended or was deleted"
            return self._event(EventKind.GONE, message=message)
        trajectory = archived.document["history"]["actions"][::-1]
        new = trajectory[: _count_new(trajectory, self._known) or 0][::-1]
        message = f"session {self._id} has ended and is in the archive (`awictl archive show {self._id}`)"
        return self._event(EventKind.GONE, actions=new, message=message)

    def _event(self, kind: EventKind, listed: Listed | None = None, **fields: Any) -> Event:
        ttl_ms = listed.ttl_ms if listed is not None else None
        return Event(kind, timestamp(), self._head, ttl_ms, self._total, self._bytes, **fields)


def _count_new(trajectory: Sequence[Any], known: Sequence[Any]) -> int | None:
    """Count the actions that are newer than the known ones, both newest first; None if no known one is found."""
    for start in range(len(trajectory)):
        rest = trajectory[start : start + len(known)]
        if known and all(json_equal(one, other) for one, other in zip(rest, known, strict=False)):
            return start
    return None if trajectory or known else 0


def _count_later(page: HistoryPage, listed: Listed) -> int:
    """Count the actions that were added after the head was read."""
    last = as_object(listed.head.get("history")).get("last_action")
    if last is None:
        return max(page.total - (listed.actions or 0), 0)
    return next((at for at, one in enumerate(page.trajectory) if json_equal(one, last)), 0)


def _without_history(head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in head.items() if key != "history"}
