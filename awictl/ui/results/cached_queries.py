"""The entries of the query cache, the sessions whose active query each is, and the query if a session still has it."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from ...document.json_codec import dumps
from ...document.keys import is_cache_key
from ...document.schema import active_query
from ...errors import AwiError
from ...query_cache.cache import Cached
from ...query_cache.diagnose import listed_query
from ...sessions.manager import StateManager
from .shared_scan import OnStep

#: Maximum number of entries that are kept: those with the longest TTLs, which were cached last.
MAX_ENTRIES = 1_000
#: Maximum number of sessions that are named per entry.
MAX_SESSIONS = 20
#: Maximum size in bytes of a query, as JSON, that is kept.
MAX_QUERY_BYTES = 4_096


@dataclass(frozen=True)
class CachedQueries:
    """The result of a scan."""

    #: Number of entries, and the sum of their sizes.
    total: int
    bytes: int
    #: At most MAX_ENTRIES, the longest TTL first: `cache_key`, `has_page` (whether that is a valid key), `bytes`,
    #: `count`, `error`, `sessions` (the first MAX_SESSIONS that have it as their active query), `session_count`, and
    #: `query` (`filters` and `sort`; null if no session has it any more, or it is too large).
    rows: Sequence[dict[str, Any]]
    #: When each of them expires, in seconds of the monotonic clock; None if it has no TTL.
    expiries: Sequence[float | None]
    #: Why the sessions could not be scanned; None if they were.
    sessions_problem: str | None

    def with_rows(self, rows: Sequence[dict[str, Any]]) -> CachedQueries:
        """Return the same with other rows."""
        return replace(self, rows=rows)


async def scan_cached(manager: StateManager, rate: float | None, on_step: OnStep) -> CachedQueries:
    """Scan the cache, then the sessions. `rate`: keys per second. Raises Unreachable, AccessDenied."""
    total, size, order = 0, 0, count()
    kept: list[tuple[float, int, dict[str, Any]]] = []  # a heap, the one that expires first first
    async with aclosing(manager.cache.list(rate=rate, sessions=False)) as found:
        async for cached in found:
            on_step(1)
            total += 1
            size += cached.bytes
            expires = time.monotonic() + cached.ttl_ms / 1000 if cached.ttl_ms is not None else math.inf
            one = expires, -next(order), _row(cached)
            if len(kept) < MAX_ENTRIES:
                heapq.heappush(kept, one)
            else:
                heapq.heappushpop(kept, one)
    kept.sort(key=lambda one: one[:2], reverse=True)
    rows = [row for *_, row in kept]
    problem = None
    if rows:
        try:
            await _add_sessions(manager, {row["cache_key"]: row for row in rows}, rate, on_step)
        except AwiError as error:
            problem = str(error)
    return CachedQueries(total, size, rows, [one[0] if one[0] < math.inf else None for one in kept], problem)


def _row(cached: Cached) -> dict[str, Any]:
    return {
        "cache_key": cached.cache_key,
        "has_page": is_cache_key(cached.cache_key),
        "bytes": cached.bytes,
        "count": cached.count,
        "error": cached.error,
        "sessions": [],
        "session_count": 0,
        "query": None,
    }


async def _add_sessions(
    manager: StateManager, rows: dict[str, dict[str, Any]], rate: float | None, on_step: OnStep
) -> None:
    async with aclosing(manager.list_sessions(rate=rate)) as sessions:
        async for listed in sessions:
            on_step(1)
            active = active_query(listed.head)
            row = rows.get(active[0]) if active is not None else None
            if row is None:
                continue
            row["session_count"] += 1
            if row["session_count"] > MAX_SESSIONS:
                continue
            row["sessions"].append(listed.session_id)
            if row["query"] is None:  # of a session that has moved on, it is known no more
                found = listed_query(listed)
                query = found.query if found is not None else None
                if query is not None and len(dumps(query)) <= MAX_QUERY_BYTES:
                    row["query"] = dict(zip(("filters", "sort"), query, strict=True))
