"""A cache of API keys that were looked up, which a flood of unknown secrets does not affect.

Keys that exist and secrets that do not are kept apart, each bounded. Concurrent lookups of one secret share a query,
and few secrets that were never found before are looked up at the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..util.bounded_dict import BoundedByteDict, BoundedDict
from .api_keys import AgentKey

#: Seconds for which a key that was found is cached, and for which it is cached that a secret is unknown.
CACHE_SECONDS = 60.0
MISS_SECONDS = 5.0
#: Maximum number of cached keys, and their maximum size in bytes; and of secrets that are known to be unknown.
CACHED_KEYS = 10_000
CACHED_KEYS_BYTES = 16_777_216
CACHED_MISSES = 10_000
#: Maximum number of concurrent lookups of secrets that have not been found before.
MAX_LOOKUPS = 8

#: Looks up a secret, given with its digest, in the key store.
LookUp = Callable[[str, str], Awaitable[AgentKey | None]]


class KeyCache:
    """Caches the results of `look_up` by the digest of the secret. Safe to share between tasks."""

    def __init__(self, look_up: LookUp, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        #: The key, and the time at which it has to be looked up again.
        self._found: BoundedByteDict[str, tuple[AgentKey, float]] = BoundedByteDict(
            CACHED_KEYS, CACHED_KEYS_BYTES, lambda _, entry: _size_of(entry[0])
        )
        #: The time at which a secret has to be looked up again.
        self._unknown: BoundedDict[str, float] = BoundedDict(CACHED_MISSES)
        self._running: dict[str, _Lookup] = {}
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)

    def fresh(self, digest: str) -> AgentKey | None:
        """The key, if it was looked up within `CACHE_SECONDS`; otherwise None."""
        entry = self._found.get(digest)
        return entry[0] if entry is not None and entry[1] > self._clock() else None

    def was_found(self, digest: str) -> bool:
        """Whether the key was found before, however long ago."""
        return digest in self._found

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """The key with this secret; None if there is none."""
        key = self.fresh(digest)
        if key is not None:
            return key
        if self._unknown.get(digest, 0.0) > self._clock():
            return None
        lookup = self._running.get(digest)
        if lookup is None:
            lookup = self._running[digest] = _Lookup(asyncio.create_task(self._find(secret, digest)))
        lookup.waiting += 1
        try:
            return await asyncio.shield(lookup.task)
        finally:
            lookup.waiting -= 1
            if not lookup.waiting and not lookup.task.done():  # all callers have given up
                lookup.task.cancel()
                if self._is_running(digest, lookup.task):
                    del self._running[digest]

    def clear(self) -> None:
        """Forget all results, also those of lookups that are still running."""
        self._found.clear()
        self._unknown.clear()
        self._running.clear()

    async def _find(self, secret: str, digest: str) -> AgentKey | None:
        this = asyncio.current_task()
        try:
            if self.was_found(digest):
                key = await self._look_up(secret, digest)
            else:
                async with self._slots:
                    key = await self._look_up(secret, digest)
            if self._is_running(digest, this):
                self._remember(digest, key)
            return key
        finally:
            if self._is_running(digest, this):
                del self._running[digest]

    def _is_running(self, digest: str, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` is the current lookup of a secret: the cache was not cleared since it began."""
        lookup = self._running.get(digest)
        return lookup is not None and lookup.task is task

    def _remember(self, digest: str, key: AgentKey | None) -> None:
        if key is not None:
            self._found[digest] = key, self._clock() + CACHE_SECONDS
            self._unknown.pop(digest, None)
        else:
            self._unknown[digest] = self._clock() + MISS_SECONDS
            self._found.pop(digest, None)


class _Lookup:
    """A lookup that several callers may wait for."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[AgentKey | None]) -> None:
        self.task = task
        self.waiting = 0


def _size_of(key: AgentKey) -> int:
    """The approximate size of a key in memory, in bytes: four per character, and the objects."""
    texts = (key.agent_id, key.name, key.description, key.suspension_reason)
    return 1_024 + 4 * sum(len(text) for text in texts if text is not None)
