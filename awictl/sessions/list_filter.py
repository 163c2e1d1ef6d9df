"""Which sessions of a listing are wanted, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .summaries import Summary


@dataclass(frozen=True)
class SessionQuery:
    """What a session must be like to be listed; None where that does not matter."""

    #: Id or name of its agent.
    agent: str | None = None
    #: A shell pattern for its route.
    route: str | None = None
    #: Idle for at least so many milliseconds.
    idle_ms: int | None = None
    #: Expires within so many milliseconds.
    ttl_below_ms: int | None = None

    @property
    def anything(self) -> bool:
        """Whether every session is wanted."""
        return self == SessionQuery()

    def matches(self, summary: Summary) -> bool:
        """Whether this session is wanted. What is not known of it matches nothing."""
        ttl_ms = summary.ttl_ms
        return (
            (self.agent is None or self.agent in (summary.agent_id, summary.agent_name))
            and (self.route is None or (summary.route is not None and fnmatchcase(summary.route, self.route)))
            and (self.idle_ms is None or (summary.idle_ms is not None and summary.idle_ms >= self.idle_ms))
            and (self.ttl_below_ms is None or (ttl_ms is not None and ttl_ms < self.ttl_below_ms))
        )


class SortKey(StrEnum):
    """What sessions can be sorted by."""

    ACTIVITY = "activity"
    TTL = "ttl"
    ACTIONS = "actions"
    BYTES = "bytes"
    AGENT = "agent"
    ROUTE = "route"
    ID = "id"


#: Each ascending, the unknown last; by activity the latest comes first.
SORT_KEYS: dict[SortKey, Callable[[Summary], Any]] = {
    SortKey.ACTIVITY: lambda one: _last(one.idle_ms),
    SortKey.TTL: lambda one: _last(one.ttl_ms),
    SortKey.ACTIONS: lambda one: _last(one.actions),
    SortKey.BYTES: lambda one: one.bytes,
    SortKey.AGENT: lambda one: (one.agent_name is None, one.agent_name or "", one.agent_id or ""),
    SortKey.ROUTE: lambda one: (one.route is None, one.route or ""),
    SortKey.ID: lambda one: one.session_id,
}


def _last(number: int | None) -> tuple[bool, int]:
    return (number is None, number or 0)
