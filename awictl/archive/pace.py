"""Limit how many sessions are archived per second."""

from __future__ import annotations

import asyncio
import time

from .base import BATCH_SESSIONS


class Pace:
    """A limit that all tasks share which archive sessions. rate: sessions per second; None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next = 0.0

    async def wait(self, count: int) -> None:
        """Wait until the next `count` sessions may be archived."""
        if self._rate is None:
            return
        now = time.monotonic()
        begin = max(now, self._next)
        self._next = begin + count / self._rate
        await asyncio.sleep(begin - now)

    @property
    def batch_size(self) -> int:
        """Maximum number of sessions in a batch; small if the rate is limited, so that the pace is even."""
        return BATCH_SESSIONS if self._rate is None else max(1, min(BATCH_SESSIONS, int(self._rate / 4)))
