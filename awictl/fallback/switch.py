"""Redis, or the journal while Redis is away: for each operation on sessions, which of the two does it.

An operation goes to Redis. If Redis is away, it is done in the journal, with the same op_id. Before the next operation
of that session or agent reaches Redis, in any process, what is journaled of it is brought home. To find out whether
there is something, a process looks into the journal: at every operation while it knows of something, and for
`LOOK_SECONDS` after Redis has returned, or a connection to it was lost, be it an idle one; otherwise every
`PAUSE_SECONDS`, in the background.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import AwiError, NotFound, OutcomeUnknown, Unconfirmed, Unreachable, as_awi_error
from ..store.errors import ClientClosed, ReplyLost
from ..util.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..store.breaker import CircuitBreaker
    from .degraded import DegradedSessions
    from .homecoming import Homecoming
    from .journal import Journal
    from .known import KnownSessions

log = logging.getLogger("awictl")

T = TypeVar("T")

#: Seconds after Redis' return in which every operation looks into the journal.
LOOK_SECONDS = 10.0
#: Seconds between two looks of a process that knows of nothing in the journal, and of one whose Redis is away.
PAUSE_SECONDS, AWAY_SECONDS = 0.5, 0.1
#: Seconds before an operation that could not reach Redis is tried again, while the breaker is still closed: so a lost
#: connection, which the breaker tolerates, begins no journal.
RETRY_PAUSES = (0.01, 0.04, 0.0)
#: Seconds that the look of a process may take that does not look in the background, and after which it looks again if
#: that was too short.
FIRST_LOOK_SECONDS, AGAIN_SECONDS = 1.0, 10.0
#: Seconds after which a session is tried again that cannot be brought home, at most.
RETRY_SECONDS = 60.0
#: Seconds for which MongoDB is not asked again after it did not answer.
JOURNAL_AWAY_SECONDS = 1.0
#: Number of sessions that are brought home at the same time.
CONCURRENT = 8
#: Seconds between two deletions of what has been home for long.
CLEAN_SECONDS = 60.0
#: Maximum number of sessions and agents that this process remembers to have journaled.
MAX_JOURNALED = 65_536


class SessionFallback:
    """Decides for each operation. `open_degraded`, `open_homecoming`: create these services at first use."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        known: KnownSessions,
        open_degraded: Callable[[], DegradedSessions],
        open_homecoming: Callable[[], Homecoming],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.known = known
        #: How many operations were done in the journal.
        self.degraded_operations = 0
        self._breaker = breaker
        self._open_degraded = open_degraded
        self._open_homecoming = open_homecoming
        self._degraded: DegradedSessions | None = None
        self._clock = clock
        #: Whether something is, or may be, in the journal; and when that was looked up last.
        self._pending = False
        self._looked_at = -math.inf
        #: Whether `watch` looks in the background.
        self._watched = False
        #: How many connections had been lost, and until when to look because of that, by the clock; 0: not.
        self._losses, self._look_until = 0, 0.0
        #: Whether Redis has done an operation since the last one in the journal, and how often it had gone away then.
        self._was_there, self._outage = True, 0
        #: Sessions and agents that this process has journaled something of since everything was home.
        self._journaled: BoundedDict[str, None] = BoundedDict(MAX_JOURNALED)
        #: How many operations in the journal have begun, and how many of them have not finished.
        self._operations = self._running = 0
        #: Until when MongoDB is not asked again, and why.
        self._journal_away: tuple[float, Unreachable | None] = (0.0, None)
        self._homecoming: Homecoming | None = None
        #: Sessions that could not be brought home: how often, and when they are tried again.
        self._failed: dict[str, tuple[int, float]] = {}
        self._cleaned_at = clock()
        #: How often Redis had gone away when the sessions that are known were saved.
        self._saved = 0

    @property
    def degraded(self) -> DegradedSessions:
        """Sessions in the journal."""
        if self._degraded is None:
            self._degraded = self._open_degraded()
        return self._degraded

    @property
    def journal(self) -> Journal:
        """The journal."""
        return self.degraded.journal

    async def close(self) -> None:
        """Close the connections to the journal."""
        if self._degraded is not None:
            await self._degraded.journal.close()

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
                if self._has_to_look():
                    await self._bring_first(session_id, agent_id)
                result = await normal()
            except (Unconfirmed, ClientClosed):
                raise
            except ReplyLost as error:  # it may have been done: in the journal, nothing is in its way
                return await self._run_degraded(degraded, error, session_id, agent_id)
            except NotFound:
                if not await self._bring_unknown(session_id, agent_id):
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

    def _has_to_look(self) -> bool:
        """Whether something may be in the journal."""
        losses = self._breaker.lost_connections()
        if losses != self._losses:
            self._losses, self._look_until = losses, self._clock() + LOOK_SECONDS
        if self._look_until and self._clock() > self._look_until:
            self._look_until = 0.0
        if self._pending or self._look_until > 0 or self._breaker.seconds_closed() < LOOK_SECONDS:
            return True
        return not self._watched and self._clock() - self._looked_at > PAUSE_SECONDS

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
        for name in (session_id, agent_id):
            if name is not None:
                self._journaled[name] = None
        self._operations += 1
        self._running += 1
        try:
            result = await degraded()
        except Unreachable as error:
            self._journal_away = (self._clock() + JOURNAL_AWAY_SECONDS, error)
            raise _both(failure, error) from failure
        except NotFound as error:
            raise _both(failure, error) from failure  # Redis may have it
        finally:
            self._running -= 1
        self.degraded_operations += 1
        return result

    def _begin_outage(self) -> None:
        """Note that Redis is away, unless that is known already."""
        self._pending = True
        outage = self._breaker.times_opened
        if self._was_there or outage != self._outage:
            self._was_there, self._outage = False, outage
            self.degraded.begin_outage()

    # -- bringing home

    async def _bring_first(self, session_id: str | None, agent_id: str | None) -> None:
        """Bring home what is journaled of a session or an agent, before Redis is asked. Raises Unreachable."""
        try:
            if self._watched or self._pending:
                await self._look()
            else:
                await self._first_look()
                if not self._has_to_look():
                    return
            found = await self.journal.pending_of(session_id, agent_id)
        except Unreachable as error:
            # without MongoDB, only those have to wait of whom something is known to be there
            if session_id in self._journaled or agent_id in self._journaled:
                raise
            log.warning("whether something is journaled cannot be looked up: %s", error)
            return
        for one in found:
            await self._bring(one)

    async def _bring_unknown(self, session_id: str | None, agent_id: str | None) -> bool:
        """Bring home what began in the journal without the knowledge of this process. Returns whether there was any."""
        try:
            found = await self.journal.pending_of(session_id, agent_id)
            for one in found:
                await self._bring(one)
        except Unreachable as error:
            log.warning("whether something is journaled cannot be looked up: %s", error)
            return False
        return bool(found)

    async def _bring(self, session_id: str) -> None:
        """Bring a session home. Raises Unreachable if that fails, for whatever reason."""
        tries, again_at = self._failed.get(session_id, (0, 0.0))
        if self._clock() < again_at:
            raise Unreachable(f"{session_id} has journaled updates that cannot be brought home at the moment")
        if self._homecoming is None:
            self._homecoming = self._open_homecoming()
        try:
            await self._homecoming.bring(session_id)
        except Unreachable:
            raise
        except Exception as error:
            seconds = min(RETRY_SECONDS, 2.0**tries)
            self._failed[session_id] = (tries + 1, self._clock() + seconds)
            failure = as_awi_error(error)
            log.error("%s cannot be brought home; it is tried again in %g s: %s", session_id, seconds, failure)
            raise Unreachable(f"{session_id} has journaled updates that cannot be brought home: {failure}") from error
        self._failed.pop(session_id, None)

    async def _look(self) -> None:
        """Look whether anything is in the journal, unless that was done just now."""
        if self._clock() - self._looked_at < PAUSE_SECONDS:
            return
        self._looked_at = self._clock()
        began = (self._operations, self._running)
        pending = await self.journal.has_pending()
        if not pending and began == (self._operations, 0):
            self._pending = False
            self._journaled.clear()
        elif pending:
            self._pending = True

    async def _first_look(self) -> None:
        """Look into the journal in a process that has had nothing to do with it, and does not look in the background.

        It must not wait for a MongoDB that is away: that would delay every operation of a command.
        """
        try:
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._look()
        except (TimeoutError, Unreachable) as error:
            self._looked_at = self._clock() + AGAIN_SECONDS
            log.info("whether something is journaled cannot be looked up: %s", error)

    async def bring_all(self) -> int:
        """Bring all sessions home, the oldest first. Returns how many could not be. Raises Unreachable."""
        failed = 0
        slots = asyncio.Semaphore(CONCURRENT)

        async def bring(session_id: str) -> None:
            nonlocal failed
            async with slots:
                try:
                    await self._bring(session_id)
                except Unreachable:
                    failed += 1
                    if self._is_away():
                        raise

        async with asyncio.TaskGroup() as tasks:
            async for session_id in self.journal.pending():
                tasks.create_task(bring(session_id))
        return failed

    async def watch(self) -> None:
        """Bring home what is in the journal whenever Redis is there, until this is cancelled."""
        self._watched = self._pending = True  # before the first look
        while True:
            away = self._is_away()
            try:
                await (self._save_known() if away else self.step())
            except* AwiError as group:
                log.warning("the journal is not up to date: %s", group.exceptions[0])
            except* Exception:
                log.exception("the journal is not up to date")
            await asyncio.sleep(AWAY_SECONDS if away else PAUSE_SECONDS)

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

    async def step(self) -> None:
        """Look into the journal, and bring home what is there. Raises Unreachable."""
        self._looked_at = -math.inf
        await self._look()
        if self._pending:
            await self.bring_all()
            self._looked_at = -math.inf
            await self._look()
        if self._clock() - self._cleaned_at > CLEAN_SECONDS:
            self._cleaned_at = self._clock()
            await self.journal.clean()


def _both(failure: AwiError, error: AwiError) -> AwiError:
    """The error of Redis, which says what the journal could not do about it either."""
    if isinstance(failure, OutcomeUnknown):
        return failure
    return Unreachable(f"{failure}; and {error}")
