"""What goes on in all sessions: one sample after the other, each a paced walk through them. Nothing is written."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document.fast_head import glance
from ..document.schema import as_object, as_text
from ..document.timestamps import timestamp
from ..errors import AwiError
from ..sessions.summaries import idle_since
from ..store.base import Listed, View
from ..store.redis.server_info import NotTold

if TYPE_CHECKING:
    from ..sessions.manager import StateManager

#: Sessions that a sample names at the most, and those that expire within this time are counted.
MOST_SHOWN = 200
SOON_MS = 120_000


class Activity(NamedTuple):
    """A session in one sample."""

    session_id: str
    agent: str
    route: str
    #: How many actions there ever were, and how many failed; None where the session does not tell.
    total: int | None
    failed: int | None
    #: Milliseconds since the last one, and until it expires; None where that is not known, or never happens.
    idle_ms: int | None
    ttl_ms: int | None
    bytes: int
    error: str | None = None
    #: Actions a second since the last sample; None where it was not in that.
    rate: float | None = None

    def row(self) -> dict[str, Any]:
        """The same as plain data; `error` is there only where there is one."""
        row = self._asdict()
        if self.error is None:
            del row["error"]
        return row


def _activity(listed: Listed) -> Activity:
    head = listed.head
    statistics, page = as_object(head.get("statistics")), as_object(head.get("page_state"))
    agent = as_text(head.get("agent_name")) or as_text(head.get("agent_id")) or "-"
    return Activity(
        listed.session_id,
        agent,
        as_text(page.get("route")) or "-",
        _count(statistics.get("total_actions")),
        _count(statistics.get("failed_actions")),
        idle_since(statistics.get("last_activity") or head.get("last_updated")),
        listed.ttl_ms,
        listed.bytes,
        listed.error,
    )


def _at_a_glance(session_id: str, start: bytes, length: int, ttl_ms: int | None) -> Activity | None:
    seen = glance(start, length)
    if seen is None:
        return None
    agent = seen.agent_name or seen.agent_id or "-"
    idle = idle_since(seen.last_activity)
    return Activity(session_id, agent, seen.route or "-", seen.total_actions, seen.failed_actions, idle, ttl_ms, length)


_VIEW = View(_activity, _at_a_glance)


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


class Order(StrEnum):
    """What sessions are sorted by."""

    ACTIVITY = "activity"
    RATE = "rate"
    FAILURES = "failures"
    TTL = "ttl"
    ACTIONS = "actions"
    BYTES = "bytes"


_LAST = float("inf")
#: The least comes first.
_KEYS: dict[Order, Callable[[Activity], tuple[float, str]]] = {
    Order.ACTIVITY: lambda one: (one.idle_ms if one.idle_ms is not None else _LAST, one.session_id),
    Order.RATE: lambda one: (-(one.rate or 0), one.session_id),
    Order.FAILURES: lambda one: (-(one.failed or 0), one.session_id),
    Order.TTL: lambda one: (one.ttl_ms if one.ttl_ms is not None else _LAST, one.session_id),
    Order.ACTIONS: lambda one: (-(one.total or 0), one.session_id),
    Order.BYTES: lambda one: (-one.bytes, one.session_id),
}


@dataclass
class Sample:
    """All sessions at one time."""

    #: When, as ISO 8601, and how many seconds it took to find out.
    at: str = field(default_factory=timestamp)
    seconds: float = 0.0
    sessions: int = 0
    #: Those that match the filter, and the first of them in the order.
    matching: int = 0
    shown: list[Activity] = field(default_factory=list)
    #: Those that expire soon, and those that cannot be read.
    expiring: int = 0
    unreadable: int = 0
    #: In all sessions, a second; None in the first sample.
    actions_per_second: float | None = None
    failures_per_second: float | None = None
    #: Bytes; None where the server does not tell, or has no limit.
    used_memory: int | None = None
    max_memory: int | None = None

    def row(self, most: int) -> dict[str, Any]:
        """The same as plain data, with `most` of the sessions at the most."""
        row = {key: value for key, value in vars(self).items() if key not in ("shown", "matching")}
        return row | {"top": [one.row() for one in self.shown[:most]]}


class Sampler:
    """Takes samples. What it keeps of each session from one to the next is two numbers."""

    def __init__(self, manager: StateManager, rate: float | None = None) -> None:
        """`rate`: keys that the server visits in a second for a sample."""
        self._manager = manager
        self._rate = rate
        self._before: dict[str, tuple[int, int]] = {}
        self._taken: float | None = None

    async def sample(self, order: Order = Order.ACTIVITY, filter: str = "") -> Sample:
        """Look at all sessions once. Those whose id, agent or route has `filter` in it are shown.

        Raises Unreachable and the like.
        """
        sample = Sample()
        started = time.monotonic()
        since = started - self._taken if self._taken is not None else None
        now: dict[str, tuple[int, int]] = {}
        actions = failures = 0
        wanted, key = filter.lower(), _KEYS[order]
        async with aclosing(self._manager.list_sessions_as(_VIEW, rate=self._rate)) as batches:
            async for batch in batches:
                matching = []
                for seen in batch:
                    sample.sessions += 1
                    sample.unreadable += seen.error is not None
                    sample.expiring += seen.ttl_ms is not None and seen.ttl_ms < SOON_MS
                    counts = now[seen.session_id] = seen.total or 0, seen.failed or 0
                    if since is not None:
                        # a session that was not there before began with its first action since
                        before = self._before.get(seen.session_id, (0, 0))
                        done = max(0, counts[0] - before[0])
                        actions += done
                        failures += max(0, counts[1] - before[1])
                        seen = seen._replace(rate=done / since)
                    if not wanted or wanted in f"{seen.session_id}\n{seen.agent}\n{seen.route}".lower():
                        matching.append(seen)
                sample.matching += len(matching)
                sample.shown = heapq.nsmallest(MOST_SHOWN, [*sample.shown, *matching], key=key)
        if since is not None:
            sample.actions_per_second, sample.failures_per_second = actions / since, failures / since
        self._before, self._taken = now, started
        sample.used_memory, sample.max_memory = await self._memory()
        sample.seconds = time.monotonic() - started
        return sample

    async def wait(self, sample: Sample, interval: float) -> None:
        """Wait for the next one: at least as long as this one took, so that the server has its rest."""
        await asyncio.sleep(max(interval - sample.seconds, min(sample.seconds, interval)))

    async def _memory(self) -> tuple[int | None, int | None]:
        try:
            info = await self._manager.store.keyspace.inspection.info()
            return int(info["used_memory"]), int(info.get("maxmemory", "0")) or None
        except (NotTold, KeyError, ValueError, AwiError):
            return None, None
