"""Redis, or the journal while Redis is away: for each operation on sessions, which of the two does it.

An operation goes to Redis. If Redis is away, it is done in the journal, with the same op_id. Before the next operation
of that session or agent reaches Redis, in any process, what is journaled of it is brought home. To find out whether
there is something, a process looks into the journal: at every operation while it knows of something, and for a while
after Redis has returned, or a connection to it was lost, be it an idle one; otherwise every half a second, in the
background or with its next operation (see `bringer`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import AwiError, NotFound, OutcomeUnknown, Unconfirmed, Unreachable
from ..store.errors import ClientClosed, MalformedReply, ReplyLost
from .bringer import PAUSE_SECONDS, JournalBringer

if TYPE_CHECKING:
    from ..store.breaker import CircuitBreaker
    from .degraded import DegradedSessions
    from .homecoming import Homecoming
    from .journal import Journal
    from .known import KnownSessions

log = logging.getLogger("awictl")

T = TypeVar("T")

#: Seconds between two looks at a Redis that is away.
AWAY_SECONDS = 0.1
#: Seconds before an operation that could not reach Redis is tried again, while the breaker is still closed: so a lost
#: connection, which the breaker tolerates, begins no journal.
RETRY_PAUSES = (0.01, 0.04, 0.0)
#: Seconds for which MongoDB is not asked again after it did not answer.
JOURNAL_AWAY_SECONDS = 1.0


class SessionFallback:
    """Decides for each operation. `open_journal` and the others: create these services at first use."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        known: KnownSessions,
        open_journal: Callable[[], Journal],
        open_degraded: Callable[[Journal], DegradedSessions],
        open_homecoming: Callable[[], Homecoming],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.known = known
        self._breaker = breaker
        self._open_journal = open_journal
        self._open_degraded = open_degraded
        self._journal: Journal | None = None
        self._degraded: DegradedSessions | None = None
        self._clock = clock
        self._bringer = JournalBringer(breaker, lambda: self.journal, open_homecoming, clock)
        #: Whether Redis has done an operation since the last one in the journal, and how often it had gone away then.
        self._was_there, self._outage = True, 0
        #: Until when MongoDB is not asked again, and why.
        self._journal_away: tuple[float, Unreachable | None] = (0.0, None)
        #: How often Redis had gone away when the sessions that are known were saved.
        self._saved = 0

    @property
    def degraded(self) -> DegradedSessions:
        """Sessions in the journal."""
        if self._degraded is None:
            self._degraded = self._open_degraded(self.journal)
        return self._degraded

    @property
    def journal(self) -> Journal:
        """The journal."""
        if self._journal is None:
            self._journal = self._open_journal()
        return self._journal

    async def close(self) -> None:
        """Close the connections to the journal."""
        if self._journal is not None:
            await self._journal.close()

    def is_idle(self) -> bool:
        """Whether Redis answers, nothing is known to be in the journal, and Redis was not away a moment ago."""
        return self._was_there and self._breaker.is_closed and not self._bringer.has_to_look()

    async def run(
        self,
        normal: Callable[[], Awaitable[T]],
        degraded: Callable[[], Awaitable[T]],
        *,
        session_id: str | None = None,
        agent_id: str | None = None,
    ) -> T:
        """Do an operation in Redis (`normal`) or, if Redis is away, in the journal (`degraded`).

        `session_id`, `agent_id`: the session that it concerns, or the agent. Raises the errors of both.
        """
        if self._is_away():
            return await self._run_degraded(degraded, self._breaker.refusal(), session_id, agent_id)
        for pause in RETRY_PAUSES:
            try:
                if self._bringer.has_to_look():
                    await self._bringer.bring_first(session_id, agent_id)
                result = await normal()
            except (Unconfirmed, ClientClosed, MalformedReply):
                raise
            except ReplyLost as error:  # it may have been done: in the journal, nothing is in its way
                return await self._run_degraded(degraded, error, session_id, agent_id)
            except NotFound:
                if not await self._bringer.bring_unknown(session_id, agent_id):
                    raise
                result = await normal()
                self._was_there = True
                return result
            except Unreachable as error:
                failure: AwiError = error
            except OutcomeUnknown as error:
                if not self._is_away():
                    raise
                failure = error
            else:
                self._was_there = True
                return result
            if self._is_away():
                break
            await asyncio.sleep(pause)
        return await self._run_degraded(degraded, failure, session_id, agent_id)

    async def record_end(self, session_id: str, normal: Callable[[str], Awaitable[None]]) -> bool:
        """Record the end of a session, which `normal` does in Redis. Returns whether it was done in the journal."""

        async def in_redis() -> bool:
            await normal(session_id)
            return False

        async def in_journal() -> bool:
            await self.degraded.record_end(session_id)
            return True

        degraded = await self.run(in_redis, in_journal, session_id=session_id)
        self.known.forget(session_id)
        return degraded

    async def journal_end(self, session_id: str, head: dict[str, Any]) -> None:
        """Record an end in the journal that Redis has, but that cannot be archived, because Redis has gone away since.

        Otherwise, other processes would go on with the session. `head`: the session before. Raises Unreachable.
        """
        self.known.saw(session_id, head)
        why = Unreachable(f"{session_id} has ended")
        await self._run_degraded(lambda: self.degraded.record_end(session_id), why, session_id, None)
        self.known.forget(session_id)

    def _is_away(self) -> bool:
        return not self._breaker.is_closed

    async def _run_degraded(
        self, degraded: Callable[[], Awaitable[T]], failure: AwiError, session_id: str | None, agent_id: str | None
    ) -> T:
        """Do an operation in the journal, after `failure` of Redis."""
        until, why = self._journal_away
        if why is not None and self._clock() < until:
            raise _both(failure, why)
        self._begin_outage()
        try:
            with self._bringer.journaling(session_id, agent_id):
                return await degraded()
        except Unreachable as error:
            self._journal_away = (self._clock() + JOURNAL_AWAY_SECONDS, error)
            raise _both(failure, error) from failure
        except NotFound as error:
            raise _both(failure, error) from failure  # Redis may have it

    def _begin_outage(self) -> None:
        """Note that Redis is away, unless that is known already."""
        self._bringer.pending = True
        outage = self._breaker.times_opened
        if self._was_there or outage != self._outage:
            self._was_there, self._outage = False, outage
            self.degraded.begin_outage()

    async def bring_all(self) -> int:
        """Bring all sessions home, the oldest first. Returns how many could not be. Raises Unreachable."""
        return await self._bringer.bring_all()

    async def step(self) -> None:
        """Look into the journal, and bring home what is there. Raises Unreachable."""
        await self._bringer.step()

    async def watch(self) -> None:
        """Bring home what is in the journal whenever Redis is there, until this is cancelled."""
        self._bringer.watched = self._bringer.pending = True  # before the first look
        while True:
            away = self._is_away()
            try:
                await (self._save_known() if away else self._bringer.step())
            except AwiError as error:
                log.warning("the journal is not up to date: %s", error)
            except Exception:
                log.exception("the journal is not up to date")
            for _ in range(1 if away else round(PAUSE_SECONDS / AWAY_SECONDS)):
                await asyncio.sleep(AWAY_SECONDS)
                if self._is_away() is not away:  # what this process knows, others may need at once
                    break

    async def _save_known(self) -> None:
        """Save what this process knows of sessions in the journal, once after Redis went away."""
        if self._saved != self._breaker.times_opened and self._clock() >= self._journal_away[0]:
            self._begin_outage()
            saved = self._breaker.times_opened
            try:
                await self.degraded.save_known(self._is_away)
            except Unreachable as error:
                self._journal_away = (self._clock() + JOURNAL_AWAY_SECONDS, error)
                raise
            self._saved = saved


def _both(failure: AwiError, error: AwiError) -> AwiError:
    """The error of Redis, which says what the journal could not do about it either."""
    if isinstance(failure, OutcomeUnknown):
        return failure
    return Unreachable(f"{failure}; and {error}")
