"""Look into the journal, and bring home what is there, before Redis is asked for it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import Unreachable, as_awi_error
from ..util.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..store.breaker import CircuitBreaker
    from .homecoming import Homecoming
    from .journal import Journal

log = logging.getLogger("awictl")

#: Seconds after Redis' return, or after the loss of a connection, in which every operation looks into the journal.
LOOK_SECONDS = 10.0
#: Seconds between two looks of a process that knows of nothing in the journal.
PAUSE_SECONDS = 0.5
#: Seconds that a look may take, since operations wait for it; and after which it is tried again if MongoDB is away.
LOOK_TIMEOUT, BLIND_SECONDS = 1.0, 1.0
#: Seconds after which a session is tried again that cannot be brought home, at most.
RETRY_SECONDS = 60.0
#: Number of sessions that are brought home at the same time.
CONCURRENT = 8
#: Seconds between two deletions of what has been home for long.
CLEAN_SECONDS = 60.0
#: Maximum number of sessions and agents that this process remembers to have journaled.
MAX_JOURNALED = 65_536


class JournalBringer:
    """Knows whether something may be in the journal. `open_journal`, `open_homecoming`: open these at first use."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        open_journal: Callable[[], Journal],
        open_homecoming: Callable[[], Homecoming],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = breaker
        self._open_journal = open_journal
        self._open_homecoming = open_homecoming
        self._homecoming: Homecoming | None = None
        self._clock = clock
        #: Whether something is, or may be, in the journal.
        self.pending = False
        #: Whether somebody looks in the background.
        self.watched = False
        self._looked_at = -math.inf
        #: Until when not to look, since MongoDB is away, and why.
        self._blind_until, self._why_blind = -math.inf, Unreachable()
        #: How many connections had been lost, and until when to look because of that, by the clock; 0: not.
        self._losses, self._look_until = 0, 0.0
        #: Sessions and agents that this process has journaled something of since everything was home.
        self._journaled: BoundedDict[str, None] = BoundedDict(MAX_JOURNALED)
        #: How many operations in the journal have begun, and how many of them have not finished.
        self._operations = self._running = 0
        #: Sessions that could not be brought home: how often, and when they are tried again.
        self._failed: dict[str, tuple[int, float]] = {}
        self._cleaned_at = clock()

    @contextmanager
    def journaling(self, session_id: str | None, agent_id: str | None) -> Iterator[None]:
        """Note an operation in the journal, which the block does."""
        self.pending = True
        for name in (session_id, agent_id):
            if name is not None:
                self._journaled[name] = None
        self._operations += 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def has_to_look(self) -> bool:
        """Whether something may be in the journal."""
        losses = self._breaker.lost_connections()
        if losses != self._losses:
            self._losses, self._look_until = losses, self._clock() + LOOK_SECONDS
        if self._look_until and self._clock() > self._look_until:
            self._look_until = 0.0
        if self.pending or self._look_until > 0 or self._breaker.seconds_closed() < LOOK_SECONDS:
            return True
        return not self.watched and self._clock() - self._looked_at > PAUSE_SECONDS  # its next operation looks

    async def bring_first(self, session_id: str | None, agent_id: str | None) -> None:
        """Bring home what is journaled of a session or an agent, before Redis is asked. Raises Unreachable.

        While MongoDB is away, only those have to wait of whom this process knows that something is there.
        """
        try:
            if self._clock() < self._blind_until:
                raise self._why_blind
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._look()
                found = await self._open_journal().pending_of(session_id, agent_id) if self.has_to_look() else []
        except (TimeoutError, Unreachable) as error:
            if not isinstance(error, Unreachable):
                error = Unreachable(f"the journal at {self._open_journal().where} did not answer in time")
            if self._clock() >= self._blind_until:
                log.warning("whether something is journaled cannot be looked up: %s", error)
                self._blind_until, self._why_blind = self._clock() + BLIND_SECONDS, error
            if session_id in self._journaled or agent_id in self._journaled:
                raise error from None
            return
        for one in found:
            await self._bring(one)
        await self._archive_ended()

    async def bring_unknown(self, session_id: str | None, agent_id: str | None) -> bool:
        """Bring home what began in the journal without the knowledge of this process. Returns whether there was any."""
        try:
            found = await self._open_journal().pending_of(session_id, agent_id)
            for one in found:
                await self._bring(one)
            await self._archive_ended()
        except Unreachable as error:
            log.warning("whether something is journaled cannot be looked up: %s", error)
            return False
        return bool(found)

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
                    if not self._breaker.is_closed:
                        raise

        try:
            async with asyncio.TaskGroup() as tasks:
                async for session_id in self._open_journal().pending():
                    tasks.create_task(bring(session_id))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        await self._archive_all_ended()
        return failed

    async def _archive_all_ended(self) -> None:
        if self._homecoming is not None:
            await asyncio.gather(*(self._homecoming.archive_ended() for _ in range(CONCURRENT)))

    async def _archive_ended(self) -> None:
        """Archive what was brought home and has ended, unless that is done in the background: an agent waits."""
        if self._homecoming is not None and not self.watched:
            await self._homecoming.archive_ended()

    async def step(self) -> None:
        """Look into the journal, and bring home what is there. Raises Unreachable."""
        self._looked_at = -math.inf
        await self._look()
        if self.pending:
            await self.bring_all()
            self._looked_at = -math.inf
            await self._look()
        await self._archive_all_ended()  # those that requests have brought home
        if self._clock() - self._cleaned_at > CLEAN_SECONDS:
            self._cleaned_at = self._clock()
            await self._open_journal().clean()

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
        pending = await self._open_journal().has_pending()
        if not pending and began == (self._operations, 0):
            self.pending = False
            self._journaled.clear()
        elif pending:
            self.pending = True
