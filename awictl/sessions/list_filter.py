"""Filter and sort order of session lists."""

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
    """A filter for session lists. None: no condition."""

    #: ID or name of the agent.
    agent: str | None = None
    #: Shell pattern that the route must match.
    route: str | None = None
    #: Minimum idle time, in milliseconds.
    idle_ms: int | None = None
    #: Upper bound of the TTL, in milliseconds.
    ttl_below_ms: int | None = None

    @property
    def matches_all(self) -> bool:
        """Whether every session matches."""
        return self == SessionQuery()

    def matches(self, summary: Summary) -> bool:
        """Whether a session matches. An unknown value fulfils no condition."""
        ttl_ms = summary.ttl_ms
        return (
            (self.agent is None or self.agent in (summary.agent_id, summary.agent_name))
            and (self.route is None or (summary.route is not None and fnmatchcase(summary.route, self.route)))
            and (self.idle_ms is None or (summary.idle_ms is not None and summary.idle_ms >= self.idle_ms))
            and (self.ttl_below_ms is None or (ttl_ms is not None and ttl_ms < self.ttl_below_ms))
        )


class SortKey(StrEnum):
    """Sort keys of session lists."""

    ACTIVITY = "activity"
    TTL = "ttl"
    ACTIONS = "actions"
    BYTES = "bytes"
    AGENT = "agent"
    ROUTE = "route"
    ID = "id"


#: All ascending, unknown values last. By activity, the most recently active session is first.
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
    """Return a sort key that puts None last."""
    return (number is None, number or 0)
