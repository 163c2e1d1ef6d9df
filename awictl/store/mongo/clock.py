"""The clock of the MongoDB server, by which sessions expire: all processes have to agree on it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

#: Seconds after which the clocks are compared again.
COMPARE_SECONDS = 60.0
#: Seconds by which the local wall clock and the monotonic clock may drift apart until the server is asked again: the
#: machine was suspended, or its clock was set.
_MAX_DRIFT = 1.0


class ServerClock:
    """The server's time, computed from the local monotonic clock and a measured offset.

    `ask` returns the server's time, by a request. `monotonic` and `wall` are the local clocks, in seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[datetime]],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._wall = wall
        #: The server's time, in seconds since 1970, at 0 of the monotonic clock.
        self._server_zero = 0.0
        self._wall_zero = 0.0
        #: When they were compared, by the monotonic clock.
        self._compared = -math.inf
        self._lock = asyncio.Lock()

    async def now(self) -> datetime:
        """The server's time, in milliseconds, as MongoDB stores dates. Usually no request."""
        if self._is_outdated():
            async with self._lock:
                if self._is_outdated():
                    await self._compare()
        milliseconds = int((self._server_zero + self._monotonic()) * 1000)
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)

    async def offset_ms(self) -> float:
        """Milliseconds by which the server's clock is ahead of the local one; negative if it is behind."""
        return ((await self.now()).timestamp() - self._wall()) * 1000

    def _is_outdated(self) -> bool:
        now = self._monotonic()
        drift = abs(self._wall() - now - self._wall_zero)
        return drift > _MAX_DRIFT or now - self._compared > COMPARE_SECONDS

    async def _compare(self) -> None:
        before = self._monotonic()
        server = (await self._ask()).timestamp()
        after = self._monotonic()
        self._server_zero = server - (before + after) / 2
        self._wall_zero = self._wall() - after
        self._compared = after
