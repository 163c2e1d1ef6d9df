"""Rate limits that one process counts by itself, while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..document.keys import RATE_LIMIT_WINDOW_MS
from ..errors import RateLimited
from ..sessions.get_or_create import RateLimitStatus
from ..util.bounded_dict import BoundedDict

#: Maximum number of agents and operations that are counted.
MAX_COUNTERS = 65_536


class LocalRateLimits:
    """Counts requests in windows of one hour, which begin with the first request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: By agent and operation: when the window ends, in seconds, and the requests so far.
        self._counters: BoundedDict[tuple[str, str], tuple[float, int]] = BoundedDict(MAX_COUNTERS)

    def count(self, who: str, operation: str, limit: int) -> RateLimitStatus:
        """Count a request. `limit`: maximum number in a window; 0: do not count. Raises RateLimited."""
        if not limit:
            return RateLimitStatus(0, 0, 0)
        now = self._clock()
        ends_at, requests = self._counters.get((who, operation), (0.0, 0))
        if now >= ends_at:
            ends_at, requests = now + RATE_LIMIT_WINDOW_MS / 1000, 0
        reset_ms = int((ends_at - now) * 1000)
        if requests >= limit:
            raise RateLimited(limit=limit, reset_ms=reset_ms)
        self._counters[who, operation] = (ends_at, requests + 1)
        return RateLimitStatus(limit, requests + 1, reset_ms)
