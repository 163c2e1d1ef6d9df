"""Run a scan once for all pages that want its result at the same time, and not too often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from ...document.timestamps import timestamp
from ...errors import AwiError
from ...util.end_tasks import end_tasks

log = logging.getLogger("awictl.ui")

#: Seconds after the end of a scan before which no other begins.
MIN_SECONDS = 10.0
#: How many times as long as it took a scan rests before it is repeated for a page that only stays open.
REST_FACTOR = 20

Result = TypeVar("Result")
#: Called with the number of keys, or of sessions, that were visited since the last call.
OnStep = Callable[[int], None]


class SharedScan(Generic[Result]):
    """One scan, its progress and its last result, which stays if a later scan fails."""

    def __init__(
        self,
        scan: Callable[[OnStep], Awaitable[Result]],
        *,
        turn: asyncio.Lock | None = None,
        rest_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`turn`: held while the scan runs, so that scans which share it run one after the other.

        `rest_seconds`: instead of MIN_SECONDS, for what reads only a little.
        """
        self._scan = scan
        self._turn = turn
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        #: The last result; None before the first.
        self.result: Result | None = None
        #: Why the last scan failed; None if it did not.
        self.problem: str | None = None
        #: Number of keys that the running scan has visited.
        self.visited = 0
        #: When the last result was complete, in UTC, and on the clock.
        self._completed: tuple[str, float] | None = None
        #: When the last scan ended, and how many seconds it took.
        self._ended: float | None = None
        self._took = 0.0

    @property
    def running(self) -> bool:
        """Whether a scan runs, or waits for its turn."""
        return self._task is not None and not self._task.done()

    def ask(self, *, again: bool = False) -> None:
        """Start the scan unless it runs, or ended too short a time ago. `again`: an operator asks for a new result."""
        if not self.running and self._due_in(again) <= 0:
            self.visited = 0
            self._task = asyncio.create_task(self._run())

    async def wait(self, seconds: float) -> None:
        """Wait until no scan runs, for at most `seconds`."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=seconds)

    def report(self) -> dict[str, Any]:
        """The progress, and how old the result is, as JSON-compatible data.

        `again_ms`: milliseconds until `ask(again=True)` starts a new scan.
        """
        at, completed = self._completed or (None, None)
        return {
            "running": self.running,
            "visited": self.visited if self.running else None,
            "at": at,
            "age_ms": round((self._clock() - completed) * 1000) if completed is not None else None,
            "took_ms": round(self._took * 1000) if self._ended is not None else None,
            "again_ms": 0 if self.running else max(0, round(self._due_in(again=True) * 1000)),
            "problem": self.problem,
        }

    async def close(self) -> None:
        """Stop the scan if it runs."""
        if self._task is not None:
            await end_tasks(self._task)

    def _due_in(self, again: bool) -> float:
        """Seconds until a scan may start; not positive if it may start now."""
        if self._ended is None:
            return 0.0
        rest = MIN_SECONDS if self._rest_seconds is None else self._rest_seconds
        if not again:
            rest = max(rest, self._took * REST_FACTOR)
        return self._ended + rest - self._clock()

    async def _run(self) -> None:
        async with self._turn if self._turn is not None else nullcontext():
            began = self._clock()
            try:
                self.result = await self._scan(self._step)
                self.problem = None
                self._completed = timestamp(), self._clock()
            except AwiError as error:
                self.problem = str(error)
            except Exception:
                log.exception("a scan of the inspector failed")
                self.problem = "The scan failed unexpectedly; the log of `awictl ui` says why."
            finally:
                self._ended = self._clock()
                self._took = self._ended - began

    def _step(self, count: int) -> None:
        self.visited += count
