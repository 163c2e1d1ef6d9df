"""A cache of API keys that were looked up, which a flood of unknown secrets does not affect.

Keys that exist and secrets that do not are kept apart, each bounded. Concurrent lookups of one secret share a query,
and few secrets that were never found before are looked up at the same time.

A key that was suspended or revoked elsewhere must be refused within seconds, but the key store must not be asked at
each request. So all cached keys are checked together in the background, and a key whose last check is older than
`CHECK_SECONDS` is looked up again before it is accepted. While the key store is unreachable, keys that were found are
accepted for up to `CACHE_SECONDS` after their lookup, in the state in which they were last seen.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AwiError
from ..util.bounded_dict import BoundedByteDict, BoundedDict
from .api_keys import AgentKey, KeyState

log = logging.getLogger("awictl")

#: Seconds for which a key that was found is cached, and for which it is cached that a secret is unknown.
CACHE_SECONDS = 60.0
MISS_SECONDS = 5.0
#: Seconds between two checks of all cached keys, and maximum age of the check of a key that is accepted. A change is
#: noticed within 5 seconds: the rest is for a request that is being answered.
REFRESH_SECONDS = 1.5
CHECK_SECONDS = 4.0
#: The time of the lookup of a key that has to be looked up again, by any clock.
NEVER = -math.inf
#: Maximum number of cached keys, and their maximum size in bytes; and of secrets that are known to be unknown.
CACHED_KEYS = 10_000
CACHED_KEYS_BYTES = 16_777_216
CACHED_MISSES = 10_000
#: Maximum number of concurrent lookups of secrets that have not been found before.
MAX_LOOKUPS = 8

#: The states of a cached key that a check may confirm: it ignores the expiry.
_CONFIRMED = (KeyState.ACTIVE, KeyState.EXPIRED)

#: Looks up a secret, given with its digest, in the key store.
LookUp = Callable[[str, str], Awaitable[AgentKey | None]]
#: Returns the ids of the agents, among those with these keys, whose key is neither revoked nor suspended.
Check = Callable[[Sequence[AgentKey]], Awaitable[set[str]]]


@dataclass(slots=True, eq=False)
class CachedKey:
    """A key that was found, when it was looked up, and when it was last checked (by the clock of the cache)."""

    key: AgentKey
    found: float
    checked: float


class KeyCache:
    """Caches the results of `look_up` by the digest of the secret. Safe to share between tasks."""

    def __init__(self, look_up: LookUp, check: Check, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._check = check
        self._clock = clock
        self._found: BoundedByteDict[str, CachedKey] = BoundedByteDict(
            CACHED_KEYS, CACHED_KEYS_BYTES, lambda _, entry: _size_of(entry.key)
        )
        #: The time at which a secret has to be looked up again.
        self._unknown: BoundedDict[str, float] = BoundedDict(CACHED_MISSES)
        self._running: dict[str, _Lookup] = {}
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)
        #: Checks the cached keys in the background, as long as there are any.
        self._refresher: asyncio.Task[None] | None = None
        #: Whether the key store was unreachable at the last check or lookup.
        self._unreachable = False
        #: Incremented when keys are forgotten: a check that began before is of no use.
        self._generation = 0

    def fresh(self, digest: str) -> AgentKey | None:
        """The key, if it may be accepted as it is cached; None if it has to be looked up."""
        entry = self._found.get(digest)
        if entry is None:
            return None
        now = self._clock()
        if now >= entry.found + CACHE_SECONDS or (now >= entry.checked + CHECK_SECONDS and not self._unreachable):
            return None
        return entry.key

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

    def forget(self, agent_id: str) -> None:
        """Let the keys of an agent be looked up again, and ignore lookups and checks that are still running."""
        for entry in self._found.values():
            if entry.key.agent_id == agent_id:
                entry.found = NEVER
        self._running.clear()
        self._generation += 1

    async def refresh(self) -> None:
        """Check the state of all cached keys; those that are not as they are cached have to be looked up again.

        If the key store is unreachable, the cached keys stay as they are.
        """
        started, generation = self._clock(), self._generation
        entries = self._recent()
        try:
            usable = await self._check([one.key for one in entries])
        except AwiError as error:
            self._note_unreachable(error)
            return
        self._unreachable = False
        if generation != self._generation:
            return
        for entry in entries:
            if entry.key.agent_id in usable and entry.key.state() in _CONFIRMED:
                entry.checked = started
            else:
                entry.found = NEVER

    async def close(self) -> None:
        """End the check in the background."""
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.wait([self._refresher])

    async def _refresh_often(self) -> None:
        while self._recent():
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    def _recent(self) -> list[CachedKey]:
        """The keys that need not be looked up again if a check finds them unchanged."""
        oldest = self._clock() - CACHE_SECONDS
        return [one for one in self._found.values() if one.found > oldest]

    async def _find(self, secret: str, digest: str) -> AgentKey | None:
        this = asyncio.current_task()
        started = self._clock()
        try:
            key = await self._looked_up(secret, digest)
            self._unreachable = False
            if self._is_running(digest, this):
                self._remember(digest, key, started)
            return key
        except AwiError as error:
            entry = self._found.get(digest)
            if entry is None or self._clock() >= entry.found + CACHE_SECONDS:
                raise
            self._note_unreachable(error)
            return entry.key
        finally:
            if self._is_running(digest, this):
                del self._running[digest]

    async def _looked_up(self, secret: str, digest: str) -> AgentKey | None:
        if self.was_found(digest):
            return await self._look_up(secret, digest)
        async with self._slots:
            return await self._look_up(secret, digest)

    def _note_unreachable(self, error: AwiError) -> None:
        if not self._unreachable:
            log.warning(
                "API keys cannot be checked: %s; cached keys are accepted for up to %.0f s more", error, CACHE_SECONDS
            )
        self._unreachable = True

    def _is_running(self, digest: str, task: asyncio.Task[Any] | None) -> bool:
        """Whether `task` is the current lookup of a secret: nothing was forgotten since it began."""
        lookup = self._running.get(digest)
        return lookup is not None and lookup.task is task

    def _remember(self, digest: str, key: AgentKey | None, started: float) -> None:
        if key is None:
            self._unknown[digest] = self._clock() + MISS_SECONDS
            self._found.pop(digest, None)
            return
        self._found[digest] = CachedKey(key, started, started)
        self._unknown.pop(digest, None)
        if self._refresher is None or self._refresher.done():
            self._refresher = asyncio.create_task(self._refresh_often())


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
