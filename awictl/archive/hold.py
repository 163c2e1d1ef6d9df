"""Keep sessions from expiring while they wait for the archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType

from ..errors import AwiError
from ..store.base import SessionStore
from ..util.batched import batched

#: Maximum number of sessions in one request.
_BATCH = 500


class Hold:
    """Extends the TTL of sessions shortly before they would expire, again and again, until they are done.

    hold_ms: TTL that they get, in milliseconds. expiries: when each expires at the earliest, by the monotonic clock, in
    seconds. Use it as an async context manager; on entering, it raises the errors of the store.
    """

    def __init__(self, store: SessionStore, hold_ms: int, expiries: Mapping[str, float]) -> None:
        self._store = store
        self._hold_ms = hold_ms
        self._expiries = dict(expiries)
        self._task: asyncio.Task[None] | None = None

    def done(self, session_ids: Iterable[str]) -> None:
        """Leave these sessions alone from now on."""
        for session_id in session_ids:
            self._expiries.pop(session_id, None)

    async def __aenter__(self) -> Hold:
        await self._extend()
        self._task = asyncio.create_task(self._repeat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._hold_ms / 4000)
            with suppress(AwiError):  # the sweep meets the same error when it reads the sessions
                await self._extend()

    async def _extend(self) -> None:
        soon = time.monotonic() + self._hold_ms / 2000
        expiring = [session_id for session_id, expiry in self._expiries.items() if expiry < soon]
        for some in batched(expiring, _BATCH):
            now = time.monotonic()
            await self._store.set_min_ttl(some, self._hold_ms)
            self._expiries |= {one: now + self._hold_ms / 1000 for one in some if one in self._expiries}
