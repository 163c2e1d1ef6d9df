"""A session while its page is open: what it is, and what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...agents.secret import mask_whole_secrets
from ...diagnostics.follow import Event, EventKind, Follower
from ...document.json_codec import dumps
from ...document.keys import check_session_id
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction
from ...errors import AwiError, NoSession, NotFound, Refused, Unreachable
from ...sessions.manager import StateManager
from ...store.base import SessionVersion
from ...util.daemon_thread import in_daemon_thread
from ..http.events import event_stream
from ..http.responses import encoded_redacted, problem_of, text_response
from ..inspector import inspector_of, manager_of
from ..results.redacted_sessions import redacted_sessions
from .session_payload import payload_turns, session_payload

#: Seconds between two looks at a live session, and at one that is not.
POLL_SECONDS = 0.15
WAIT_SECONDS = 1.0
#: Seconds after which what MongoDB has of a session is read again while Redis is away.
REFRESH_SECONDS = 3.0
#: Milliseconds by which the time of expiry must move to be reported: that of a touch, not of a reading.
_TTL_MOVED = 1500
#: Maximum length of a stored string that a page shows, in characters.
MAX_RAW = 2_000_000

_Events = AsyncGenerator[tuple[str, Any], None]


async def events(request: Request) -> Response:
    """The stream of a session's events; see `SessionEvents`."""
    session_id = check_session_id(request.path_params["id"])
    redaction = inspector_of(request).options.redaction
    turns = inspector_of(request).shared(payload_turns)
    found = SessionEvents(manager_of(request), session_id, redaction, turns)
    return event_stream(request, found.events(), redacted=True)


async def raw(request: Request) -> Response:
    """The stored string of a session, or its beginning."""
    session_id = check_session_id(request.path_params["id"])
    manager = manager_of(request)
    redaction = inspector_of(request).options.redaction
    try:
        data = await (_stored(manager, session_id) if redaction is None else _redacted(manager, session_id, redaction))
    except NoSession as error:
        raise await manager.explain_missing(error) from None
    text = mask_whole_secrets(data.decode("utf-8", "backslashreplace"))  # before it is cut, which may cut a key in two
    left = len(text) - MAX_RAW
    return text_response(text if left <= 0 else f"{text[:MAX_RAW]}\n… {left} more characters")


async def _stored(manager: StateManager, session_id: str) -> bytes:
    found = await manager.find_session(session_id)
    if found.stored is not None:
        return found.stored.raw
    if found.archived is None or found.archived.raw is None:
        raise Refused(f"session {session_id} is not stored as a string: the app archived it, which kept a part of it")
    return found.archived.raw


async def _redacted(manager: StateManager, session_id: str, redaction: Redaction) -> bytes:
    """The document with all its actions: the string itself cannot be redacted."""
    whole = await manager.time_travel.whole(session_id)

    def document() -> bytes:
        [shown] = redacted_sessions([whole], Redactor(redaction))
        actions = [step.action for step in shown.steps if not step.overwritten]
        return dumps({**shown.document, "history": {**shown.document["history"], "actions": actions}})

    return await in_daemon_thread(document)


@dataclass
class _Known:
    """What the page has been told."""

    #: Ordinal of the newest action of the live session.
    last: int
    #: Whether it has no newer one. It has if the archive has more than Redis, which is then an earlier state.
    is_newest: bool
    #: When the session expires, in milliseconds of the event loop's clock; None if it does not.
    expires: float | None


@dataclass
class SessionAsRead:
    """A session as it was read, without what takes much memory: many pages are open for a long time."""

    #: What the page gets of it, as JSON.
    payload: bytes
    #: Differs if the session was written in between.
    state: tuple[bool, int, Any]
    known: _Known
    #: What happens to it, if it is live.
    changes: AsyncGenerator[Event, None] | None
    is_archived: bool
    degraded: bool

    @property
    def is_live(self) -> bool:
        return self.changes is not None


class SessionEvents:
    """The events of one session for one page:

    - `session`: the whole session; everything that the page knows of it is replaced;
    - `change`: `{steps, head, ttl_ms, bytes, now}`: new actions, and the document without its trajectory after them;
    - `ttl`: `{ttl_ms, now}`: the TTL was extended;
    - `gone`, `away`: `{message}`: the session does not exist any more, or cannot be read at the moment;
    - `back`: it can be read again;
    - `unreadable`: a problem, instead of the first `session`.
    """

    def __init__(
        self, manager: StateManager, session_id: str, redaction: Redaction | None, turns: asyncio.Semaphore
    ) -> None:
        """`turns`: held while the session is read as a whole."""
        self._manager = manager
        self._turns = turns
        self._id = session_id
        self._redaction = redaction
        #: Why it is gone, if the page has not been told yet.
        self._why_gone = ""

    async def events(self) -> _Events:
        """Yield the events until the page is closed."""
        reported, shown = "", None
        lost: str | None = None  # "away" or "gone", if that was the last event
        while True:
            version = await self._version()
            try:
                read = await self._read()
            except AwiError as error:
                if self._why_gone or (lost == "away" and isinstance(error, NotFound)):
                    lost = "gone"
                    yield lost, {"message": self._why_gone or str(error)}
                    self._why_gone = ""
                elif lost is None and str(error) != reported:
                    reported = str(error)
                    yield "unreadable", problem_of(await self._explained(error))
                # a session that is only archived has no version that would change when the archive is back
                await self._other_than(version, REFRESH_SECONDS if isinstance(error, Unreachable) else None)
                continue
            if read.is_live and lost is not None:
                lost = None
                yield "back", {}
            elif read.is_archived and (self._why_gone or lost == "away"):
                lost, self._why_gone = "gone", ""
                yield lost, {"message": f"session {self._id} has ended and is in the archive"}
            if read.is_live or read.is_archived or read.state != shown:
                shown, reported = read.state, ""
                yield "session", read.payload
            read.payload = b""
            if read.changes is not None:
                async with aclosing(self._followed(read.changes, read.known)) as found:
                    async for name, value in found:
                        lost = name if name == "away" else lost
                        yield name, value
                shown = None
            else:
                # if it is neither live nor archived, Redis is away, or the session is being ended
                again = REFRESH_SECONDS if read.degraded else WAIT_SECONDS
                await self._other_than(version, None if read.is_archived else again)

    async def _read(self) -> SessionAsRead:
        async with self._turns:
            whole = await self._manager.time_travel.whole(self._id)
            expires = _expiry(whole.stored.ttl_ms) if whole.stored is not None else None
            payload = await in_daemon_thread(lambda: encoded_redacted(session_payload(whole, self._redaction)))
        changes = None
        if whole.stored is not None and not whole.origin:
            follower = Follower(self._manager.store, self._manager.get_archived_session, self._id, POLL_SECONDS)
            changes = follower.events_since(whole.document, len(whole.stored.raw))
        last = whole.first + len(whole.document["history"]["actions"]) - 1
        is_newest = all(one.ordinal <= last for one in whole.steps[-1:])
        return SessionAsRead(
            payload,
            (whole.degraded, len(whole.steps), whole.document.get("last_updated")),
            _Known(last, is_newest, expires),
            changes,
            is_archived=whole.stored is None and not whole.degraded,
            degraded=whole.degraded,
        )

    async def _explained(self, error: AwiError) -> AwiError:
        return await self._manager.explain_missing(error) if isinstance(error, NoSession) else error

    async def _followed(self, changes: AsyncGenerator[Event, None], known: _Known) -> _Events:
        """The events of a live session until it has to be read as a whole again."""
        async with aclosing(changes) as found:
            async for event in found:
                match event.kind:
                    case EventKind.GONE:
                        self._why_gone = event.message
                        return
                    case EventKind.AWAY:
                        yield "away", {"message": event.message}
                        return
                    case EventKind.CHANGE if event.missed or self._redaction is not None or not known.is_newest:
                        return
                    case EventKind.CHANGE:
                        yield "change", _change(event, known)
                    case _ if _moved(event, known):
                        yield "ttl", {"ttl_ms": event.ttl_ms, "now": event.at}

    async def _version(self) -> SessionVersion | AwiError | None:
        """What changes with each write; None if the session is not live, or why that is not known."""
        try:
            found = await self._manager.store.versions([self._id])
        except AwiError as error:
            return error
        return next(iter(found.versions), None)

    async def _other_than(self, version: SessionVersion | AwiError | None, seconds: float | None = None) -> None:
        """Wait until the session is written or created, or the server goes away or is back, for at most `seconds`."""
        end = None if seconds is None else asyncio.get_running_loop().time() + seconds
        while end is None or asyncio.get_running_loop().time() < end:
            await asyncio.sleep(WAIT_SECONDS)
            now = await self._version()
            if isinstance(now, AwiError) != isinstance(version, AwiError):
                return
            if not isinstance(now, AwiError) and now != version:
                return


def _change(event: Event, known: _Known) -> dict[str, Any]:
    steps = [{"ordinal": ordinal, "action": one} for ordinal, one in enumerate(event.actions, known.last + 1)]
    known.last += len(steps)
    known.expires = _expiry(event.ttl_ms)
    return {"steps": steps, "head": event.head, "ttl_ms": event.ttl_ms, "bytes": event.bytes, "now": event.at}


def _expiry(ttl_ms: int | None) -> float | None:
    return None if ttl_ms is None else asyncio.get_running_loop().time() * 1000 + ttl_ms


def _moved(event: Event, known: _Known) -> bool:
    """Whether the session expires at another time than the page knows; it is noted as known."""
    before, known.expires = known.expires, _expiry(event.ttl_ms)
    if before is None or known.expires is None:
        return before is not known.expires
    if abs(before - known.expires) > _TTL_MOVED:
        return True
    known.expires = before
    return False


ROUTES = [Route("/api/sessions/{id}/events", events), Route("/api/sessions/{id}/raw", raw)]
