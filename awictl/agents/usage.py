"""How much agents are used: requests are counted in memory, and written together every few seconds.

The counts of awictl's own server, for each agent and operation. They are statistics: what a killed process has not
written yet is lost, and what was written without a reply may be counted twice. Nothing is written to the app's keys.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import AwiError

log = logging.getLogger("awictl")

#: Seconds between two writes of the counts.
FLUSH_SECONDS = 10.0
#: Maximum number of agents whose counts are kept until they are written; requests of further ones are not counted.
MAX_AGENTS = 10_000


@dataclass(frozen=True)
class Use:
    """The requests of an agent since the last write."""

    agent_id: str
    #: Whether the app created the agent's key.
    of_app: bool
    requests: int
    last_used: datetime
    #: Requests by operation.
    operations: Mapping[str, int]


@dataclass(frozen=True)
class Usage:
    """The requests of an agent that are stored."""

    requests: int = 0
    #: None if unknown.
    last_used: datetime | None = None
    #: By operation, as it is stored: for awictl's counts a number for each.
    operations: Mapping[str, Any] = field(default_factory=dict)


#: Adds counts to those that are stored.
Write = Callable[[Sequence[Use]], Awaitable[None]]


class _Counts:
    """The requests of an agent that are not written yet."""

    __slots__ = ("last_used", "of_app", "operations")

    def __init__(self, of_app: bool) -> None:
        self.of_app = of_app
        self.last_used = 0.0
        self.operations: Counter[str] = Counter()


class UsageCounter:
    """Counts requests, and writes the counts with `write`. Safe to share between tasks."""

    def __init__(self, write: Write, clock: Callable[[], float] = time.time) -> None:
        self._write = write
        self._clock = clock
        self._counts: dict[str, _Counts] = {}
        #: Number of requests that were not counted, because too many agents wait.
        self._uncounted = 0
        self._writer: asyncio.Task[None] | None = None

    def count(self, agent_id: str, operation: str, *, of_app: bool) -> None:
        """Count a request. Writes nothing now."""
        counts = self._counts.get(agent_id)
        if counts is None:
            if len(self._counts) >= MAX_AGENTS:
                self._uncounted += 1
                return
            counts = self._counts[agent_id] = _Counts(of_app)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write_often())
        counts.operations[operation] += 1
        counts.last_used = self._clock()

    async def flush(self) -> None:
        """Write the counts. If the store is unreachable, they are kept for the next time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._write([_use(agent_id, one) for agent_id, one in counts.items()])
        except BaseException as error:
            self._keep(counts)
            if not isinstance(error, AwiError):
                raise
            log.warning("the usage of %s agents was not written, and is kept: %s", f"{len(counts):,}", error)
        if self._uncounted:
            log.warning("%s requests were not counted: too many agents at once", f"{self._uncounted:,}")
            self._uncounted = 0

    async def close(self) -> None:
        """Write the counts for the last time."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self.flush()

    async def _write_often(self) -> None:
        while self._counts:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    def _keep(self, counts: dict[str, _Counts]) -> None:
        """Add counts that could not be written to those that were made meanwhile."""
        for agent_id, old in counts.items():
            new = self._counts.get(agent_id)
            if new is not None:
                new.operations.update(old.operations)
            elif len(self._counts) < MAX_AGENTS:
                self._counts[agent_id] = old
            else:
                self._uncounted += old.operations.total()


def _use(agent_id: str, counts: _Counts) -> Use:
    last_used = datetime.fromtimestamp(counts.last_used, UTC)
    return Use(agent_id, counts.of_app, counts.operations.total(), last_used, dict(counts.operations))
