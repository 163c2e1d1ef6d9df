"""The entries of the query cache, the sessions whose active query each is, and the query if a session still has it."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..document.json_codec import dumps
from ..errors import AwiError
from ..query_cache.cache import Cached
from ..query_cache.diagnose import listed_query
from ..sessions.manager import StateManager
from .shared_scan import OnStep

#: Maximum number of entries that are kept: those with the longest TTLs, which were cached last.
MAX_ENTRIES = 1_000
#: Maximum number of sessions that are named per entry.
MAX_SESSIONS = 20
#: Maximum size in bytes of a query, as JSON, that is kept.
MAX_QUERY_BYTES = 4_096


@dataclass
class CachedQuery:
    """An entry of the cache, and what sessions know of it."""

    cached: Cached
    #: When it was read, in seconds of the monotonic clock.
    read_at: float
    #: The first MAX_SESSIONS sessions that have it as their active query, and how many there are.
    sessions: list[str] = field(default_factory=list)
    session_count: int = 0
    #: `{"filters", "sort"}`; None if no session has the query any more, or it is too large.
    query: dict[str, Any] | None = None


@dataclass(frozen=True)
class CachedQueries:
    """The result of a scan."""

    #: Number of entries, and the sum of their sizes.
    total: int
    bytes: int
    #: At most MAX_ENTRIES, the longest TTL first.
    entries: Sequence[CachedQuery]
    #: Why the sessions could not be scanned; None if they were.
    sessions_problem: str | None


async def scan_cached(manager: StateManager, rate: float | None, on_step: OnStep) -> CachedQueries:
    """Scan the cache, then the sessions. `rate`: keys per second. Raises Unreachable, AccessDenied."""
    total, size, order = 0, 0, count()
    kept: list[tuple[float, int, CachedQuery]] = []  # a heap, the shortest TTL first
    async with aclosing(manager.cache.list(rate=rate, sessions=False)) as found:
        async for cached in found:
            on_step(1)
            total += 1
            size += cached.bytes
            ttl = cached.ttl_ms if cached.ttl_ms is not None else math.inf
            one = ttl, -next(order), CachedQuery(cached, time.monotonic())
            if len(kept) < MAX_ENTRIES:
                heapq.heappush(kept, one)
            else:
                heapq.heappushpop(kept, one)
    entries = [entry for *_, entry in sorted(kept, key=lambda one: one[:2], reverse=True)]
    problem = None
    if entries:
        try:
            await _add_sessions(manager, {one.cached.cache_key: one for one in entries}, rate, on_step)
        except AwiError as error:
            problem = str(error)
    return CachedQueries(total, size, entries, problem)


async def _add_sessions(
    manager: StateManager, entries: dict[str, CachedQuery], rate: float | None, on_step: OnStep
) -> None:
    async with aclosing(manager.list_sessions(rate=rate)) as sessions:
        async for listed in sessions:
            on_step(1)
            active = listed_query(listed)
            entry = entries.get(active.cache_key) if active is not None else None
            if active is None or entry is None:
                continue
            entry.session_count += 1
            if len(entry.sessions) < MAX_SESSIONS:
                entry.sessions.append(active.session_id)
            if entry.query is None and active.query is not None:
                filters, sort = active.query
                if len(dumps(active.query)) <= MAX_QUERY_BYTES:
                    entry.query = {"filters": filters, "sort": sort}
