"""A limit on the requests of one agent at the same time, from whatever addresses they come.

A request with a slow body keeps its connection, and so does one that waits for a slot of its agent. Without the limit,
one API key used from many addresses could take all connections of a worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .problems import RETRY_SECONDS, HTTPProblem

#: The key of requests without an API key: all of them share one limit.
NO_AGENT = ""


class RequestLimit:
    """At most `limit` requests at a time for each agent."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()

    @contextmanager
    def counted(self, agent_id: str) -> Iterator[None]:
        """Count a request of an agent for a block. Raises HTTPProblem (429) if too many are running."""
        if self._running[agent_id] >= self._limit:
            raise HTTPProblem(
                429,
                "Too many requests",
                f"{self._limit:,} requests with this API key, or of clients without one, are running. Try again.",
                headers={"retry-after": str(RETRY_SECONDS)},
            )
        self._running[agent_id] += 1
        try:
            yield
        finally:
            self._running[agent_id] -= 1
            if not self._running[agent_id]:
                del self._running[agent_id]
