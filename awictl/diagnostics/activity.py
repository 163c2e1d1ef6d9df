"""Sample the activity of all live sessions, with a paced scan per sample. Writes nothing."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document.timestamps import timestamp
from ..document.token_estimate import estimated_tokens
from ..errors import AwiError
from ..sessions.summaries import idle_since
from ..store.base import SessionStore
from ..store.redis.server_info import NotAvailable

if TYPE_CHECKING:
    from ..store.session_fields import SessionFields

#: Maximum number of sessions in a sample.
MAX_SHOWN = 200
#: Sessions with less time to live than this are counted as expiring, in milliseconds.
EXPIRING_MS = 120_000


class Activity(NamedTuple):
    """One session in one sample."""

    session_id: str
    #: Name of the agent if it has one, else its id.
    agent: str
    route: str
    #: Number of all actions ever, and of failed ones; None if the session's statistics do not have them.
    total: int | None
    failed: int | None
    #: Milliseconds since the last action; None if unknown.
    idle_ms: int | None
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None
    #: Size of the stored document.
    bytes: int
    #: Why the session cannot be read.
    error: str | None = None
    #: Actions per second since the previous sample; None in the first sample.
    rate: float | None = None
    #: Id of the agent; None if unknown.
    agent_id: str | None = None
    #: About how many tokens an action is on average, which is what a step costs an agent that reads diffs; None if
    #: there is no action.
    estimated_tokens_per_step: int | None = None

    def row(self) -> dict[str, Any]:
        """Return the session as JSON-compatible data, with `error` only if there is one."""
        row = self._asdict()
        if self.error is None:
            del row["error"]
        return row


def _activity(fields: SessionFields) -> Activity:
    return Activity(
        fields.session_id,
        fields.agent_name or fields.agent_id or "-",
        fields.route or "-",
        fields.total_actions,
        fields.failed_actions,
        idle_since(fields.last_activity),
        fields.ttl_ms,
        fields.bytes,
        fields.error,
        agent_id=fields.agent_id,
        estimated_tokens_per_step=_tokens_per_step(fields.trajectory_bytes, fields.actions),
    )


def _tokens_per_step(size: int | None, actions: int | None) -> int | None:
    return estimated_tokens(size / actions) if size is not None and actions else None


class Order(StrEnum):
    """Sort order of the sessions in a sample."""

    ACTIVITY = "activity"
    RATE = "rate"
    FAILURES = "failures"
    TTL = "ttl"
    ACTIONS = "actions"
    BYTES = "bytes"


_LAST = float("inf")
#: Sort key of each order, ascending; session IDs break ties.
_SORT_KEYS: dict[Order, Callable[[Activity], tuple[float, str]]] = {
    Order.ACTIVITY: lambda one: (one.idle_ms if one.idle_ms is not None else _LAST, one.session_id),
    Order.RATE: lambda one: (-(one.rate or 0), one.session_id),
    Order.FAILURES: lambda one: (-(one.failed or 0), one.session_id),
    Order.TTL: lambda one: (one.ttl_ms if one.ttl_ms is not None else _LAST, one.session_id),
    Order.ACTIONS: lambda one: (-(one.total or 0), one.session_id),
    Order.BYTES: lambda one: (-one.bytes, one.session_id),
}


@dataclass
class Sample:
    """Totals over all sessions at one time, and the first sessions in the chosen order."""

    #: Start of the scan in ISO 8601, and its duration in seconds.
    at: str = field(default_factory=timestamp)
    seconds: float = 0.0
    sessions: int = 0
    #: Number of sessions that match the filter, and the first MAX_SHOWN of them.
    matching: int = 0
    shown: list[Activity] = field(default_factory=list)
    #: Sessions that expire within EXPIRING_MS, and sessions that cannot be read.
    expiring: int = 0
    unreadable: int = 0
    #: Rates over all sessions since the previous sample; None in the first sample.
    actions_per_second: float | None = None
    failures_per_second: float | None = None
    #: Memory in use and its limit, in bytes; None if the server denies INFO, or sets no limit.
    used_memory: int | None = None
    max_memory: int | None = None

    def row(self, limit: int) -> dict[str, Any]:
        """Return the sample as JSON-compatible data, with at most `limit` sessions."""
        row = {key: value for key, value in vars(self).items() if key not in ("shown", "matching")}
        return row | {"top": [one.row() for one in self.shown[:limit]]}


class Sampler:
    """Takes samples. Between two samples it keeps two numbers per session."""

    def __init__(self, store: SessionStore, rate: float | None = None) -> None:
        """`rate`: maximum number of keys to scan per second (None: not paced)."""
        self._store = store
        self._rate = rate
        self._before: dict[str, tuple[int, int]] = {}
        self._taken: float | None = None

    async def sample(self, order: Order = Order.ACTIVITY, filter: str = "") -> Sample:
        """Scan all sessions once. The totals cover all of them, rates the time since the previous call.

        `filter`: only sessions with this text in their ID, their agent's ID or name, or their route are shown
        (case-insensitive). Raises Unreachable, AccessDenied.
        """
        sample = Sample()
        started = time.monotonic()
        since = started - self._taken if self._taken is not None else None
        now: dict[str, tuple[int, int]] = {}
        actions = failures = 0
        wanted, key = filter.lower(), _SORT_KEYS[order]
        async with aclosing(self._store.list_fields(self._rate)) as batches:
            async for batch in batches:
                matching = []
                for one in map(_activity, batch):
                    sample.sessions += 1
                    sample.unreadable += one.error is not None
                    sample.expiring += one.ttl_ms is not None and one.ttl_ms < EXPIRING_MS
                    counts = now[one.session_id] = one.total or 0, one.failed or 0
                    if since is not None:
                        # all actions of a session that is new since the previous sample count
                        before = self._before.get(one.session_id, (0, 0))
                        done = max(0, counts[0] - before[0])
                        actions += done
                        failures += max(0, counts[1] - before[1])
                        one = one._replace(rate=done / since)
                    searched = f"{one.session_id}\n{one.agent_id}\n{one.agent}\n{one.route}"
                    if not wanted or wanted in searched.lower():
                        matching.append(one)
                sample.matching += len(matching)
                sample.shown = heapq.nsmallest(MAX_SHOWN, [*sample.shown, *matching], key=key)
        if since is not None:
            sample.actions_per_second, sample.failures_per_second = actions / since, failures / since
        self._before, self._taken = now, started
        sample.used_memory, sample.max_memory = await self._memory()
        sample.seconds = time.monotonic() - started
        return sample

    async def wait(self, sample: Sample, interval: float) -> None:
        """Sleep until the next sample is due; at least as long as this one took, up to `interval` seconds."""
        await asyncio.sleep(max(interval - sample.seconds, min(sample.seconds, interval)))

    async def _memory(self) -> tuple[int | None, int | None]:
        info = self._store.keyspace.server_info
        if info is None:
            return None, None
        try:
            return await info.memory()
        except (NotAvailable, AwiError):
            return None, None
