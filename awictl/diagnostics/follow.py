"""Following one session: what changes in it, as it changes. Nothing is written, and no expiry put off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..document.json_codec import json_equal
from ..document.keys import check_session_id
from ..document.merge import DocumentDifference, compare
from ..document.timestamps import timestamp
from ..errors import AwiError, InvalidData, NoSession
from ..store.base import Listed, no_session

if TYPE_CHECKING:
    from ..sessions.manager import StateManager

#: Newest actions that are read first to find the new ones among them; four times as many each time they do not do.
_PAGE = 20
_GROWTH = 4
#: Actions by which it is told which ones are known.
_REMEMBERED = 20


class Kind(StrEnum):
    """What happened since the last look."""

    #: The first look.
    SESSION = "session"
    CHANGE = "change"
    #: Nothing but time.
    NOTHING = "nothing"
    #: The session is not there any more.
    GONE = "gone"
    #: It cannot be read: the server is away, or what is stored is damaged. Told once, until it is back.
    AWAY = "away"
    BACK = "back"


@dataclass(frozen=True)
class Event:
    """What a look at a session told."""

    kind: Kind
    #: When, as ISO 8601.
    at: str
    #: The document without its trajectory; that of the last look where there is none now.
    head: dict[str, Any]
    ttl_ms: int | None = None
    #: How many actions the trajectory holds.
    total: int | None = None
    #: The fields that changed since the last look, but the history.
    changes: DocumentDifference = field(default_factory=lambda: DocumentDifference({}))
    #: The new actions, oldest first.
    actions: Sequence[Any] = ()
    #: Whether there were more new ones, which have left the trajectory by now.
    missed: bool = False
    #: Why it is gone, or cannot be read.
    words: str = ""


class Follower:
    """Looks at one session again and again."""

    def __init__(self, manager: StateManager, session_id: str, interval: float) -> None:
        """`interval`: seconds between two looks."""
        self._manager = manager
        self._id = check_session_id(session_id)
        self._interval = interval
        self._head: dict[str, Any] = {}
        self._bytes = -1
        self._total: int | None = None
        self._known: list[Any] = []
        self._away = False

    async def events(self, latest: int) -> AsyncGenerator[Event, None]:
        """What happens, for as long as the session is there; first that it is, with its `latest` actions.

        Raises NoSession where it is not there at the first look, and what keeps that from being made.
        """
        listed = await self._listed()
        if listed is None:
            raise no_session(self._id, self._manager.store.where)
        self._remember(listed)
        page = await self._manager.get_action_history(self._id, max(latest, _REMEMBERED))
        self._known = page.trajectory[:_REMEMBERED]
        yield self._event(Kind.SESSION, listed, actions=page.trajectory[:latest][::-1])
        while True:
            await asyncio.sleep(self._interval)
            event = await self._look()
            yield event
            if event.kind is Kind.GONE:
                return

    async def _look(self) -> Event:
        try:
            listed = await self._listed()
            if listed is None:
                return await self._gone()
            back, self._away = self._away, False
            if listed.bytes == self._bytes and listed.head == self._head:
                return self._event(Kind.BACK if back else Kind.NOTHING, listed)
            actions, missed = await self._new_actions()
        except NoSession:
            return await self._gone()
        except AwiError as error:
            told, self._away = self._away, True
            return self._event(Kind.NOTHING if told else Kind.AWAY, words=str(error))
        changes = compare(_without_history(self._head), _without_history(listed.head))
        self._remember(listed)
        kind = Kind.BACK if back else Kind.CHANGE if actions or changes else Kind.NOTHING
        return self._event(kind, listed, changes=changes, actions=actions, missed=missed)

    async def _listed(self) -> Listed | None:
        for listed in await self._manager.store.list([self._id]):
            if listed.error is not None:
                raise InvalidData(f"session {self._id} cannot be read: {listed.error}")
            return listed
        return None

    def _remember(self, listed: Listed) -> None:
        self._head, self._bytes, self._total = listed.head, listed.bytes, listed.actions

    async def _new_actions(self) -> tuple[list[Any], bool]:
        """The actions that were not there at the last look, oldest first; and whether some of them are gone.

        By what they are rather than by their numbers, since those of the app stick at 100.
        """
        limit = _PAGE
        while True:
            page = await self._manager.get_action_history(self._id, limit)
            new = _before(page.trajectory, self._known)
            if new is not None or len(page.trajectory) >= page.total:
                break
            limit *= _GROWTH
        fresh = page.trajectory if new is None else page.trajectory[:new]
        missed = new is None and bool(self._known)
        self._known = [*fresh, *([] if missed else self._known)][:_REMEMBERED]
        return fresh[::-1], missed

    async def _gone(self) -> Event:
        """The last event; the actions that came before the end are in the archive, if it was archived."""
        try:
            archived = await self._manager.get_archived_session(self._id)
        except AwiError as error:
            words = f"{self._id} is gone; whether it is archived cannot be told: {error}"
            return self._event(Kind.GONE, words=words)
        if archived is None:
            return self._event(Kind.GONE, words=f"{self._id} is gone: it expired, ended or was deleted")
        trajectory = archived.document["history"]["actions"][::-1]
        fresh = trajectory[: _before(trajectory, self._known) or 0][::-1]
        words = f"{self._id} is not live any more, but in the archive (`awictl archive show {self._id}`)"
        return self._event(Kind.GONE, actions=fresh, words=words)

    def _event(self, kind: Kind, listed: Listed | None = None, **others: Any) -> Event:
        ttl_ms = listed.ttl_ms if listed is not None else None
        return Event(kind, timestamp(), self._head, ttl_ms, self._total, **others)


def _before(trajectory: Sequence[Any], known: Sequence[Any]) -> int | None:
    """How many actions are newer than the known ones, both newest first; None where no known one is among them."""
    for start in range(len(trajectory)):
        rest = trajectory[start : start + len(known)]
        if known and all(json_equal(one, other) for one, other in zip(rest, known, strict=False)):
            return start
    return None if trajectory or known else 0


def _without_history(head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in head.items() if key != "history"}
