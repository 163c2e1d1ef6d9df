"""A result that several requests share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

#: Seconds in which a result is used again, and how many times as long as it took to compute it.
SECONDS, REST_FACTOR = 2.0, 20

Result = TypeVar("Result")


class Recent(Generic[Result]):
    """Computes a result for all that ask at the same time, and keeps it, or the error, for a short time."""

    def __init__(self, compute: Callable[[], Awaitable[Result]], clock: Callable[[], float] = time.monotonic) -> None:
        self._compute = compute
        self._clock = clock
        self._task: asyncio.Task[Result] | None = None
        #: When it is computed again, on the clock.
        self._until = 0.0

    async def get(self) -> Result:
        """The result. Raises what its computation raised."""
        if self._task is None or (self._task.done() and self._clock() >= self._until):
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # also if nobody waits
        return await asyncio.shield(self._task)

    async def _run(self) -> Result:
        began = self._clock()
        try:
            return await self._compute()
        finally:
            now = self._clock()
            self._until = now + max(SECONDS, REST_FACTOR * (now - began))
