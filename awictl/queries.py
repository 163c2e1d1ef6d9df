"""Which sessions of a listing are wanted, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from .state.document import as_text, parse_timestamp
from .store.base import Listed


@dataclass(frozen=True)
class Summary:
    """A listed session in the terms in which it is searched and shown."""

    listed: Listed
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: When the agent did something last, as stored.
    last_activity: str | None
    #: Milliseconds since then; None where it is not known.
    idle_ms: int | None

    @classmethod
    def of(cls, listed: Listed, now: datetime | None = None) -> Summary:
        """The summary of a listed session. `now` is the present moment unless told otherwise."""
        head = listed.head
        page = head.get("page_state")
        statistics = head.get("statistics")
        activity = statistics.get("last_activity") if isinstance(statistics, dict) else None
        activity = activity or head.get("last_updated")
        moment = parse_timestamp(activity)
        idle = (now or datetime.now(UTC)) - moment if moment is not None else None
        return cls(
            listed,
            as_text(head.get("agent_id")),
            as_text(head.get("agent_name")),
            as_text(page.get("route")) if isinstance(page, dict) else None,
            as_text(activity),
            max(0, int(idle.total_seconds() * 1000)) if idle is not None else None,
        )

    def row(self) -> dict[str, Any]:
        """The summary as plain data; `error` is there only where the document could not be read."""
        row = {
            "session_id": self.listed.session_id,
            "agent_id": self.agent_id,
            "agent_name": self.agent_name,
            "route": self.route,
            "actions": self.listed.actions,
            "last_activity": self.last_activity,
            "idle_ms": self.idle_ms,
            "ttl_ms": self.listed.ttl_ms,
            "bytes": self.listed.bytes,
        }
        return row | ({"error": self.listed.error} if self.listed.error else {})


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
        ttl_ms = summary.listed.ttl_ms
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
    SortKey.TTL: lambda one: _last(one.listed.ttl_ms),
    SortKey.ACTIONS: lambda one: _last(one.listed.actions),
    SortKey.BYTES: lambda one: one.listed.bytes,
    SortKey.AGENT: lambda one: (one.agent_name is None, one.agent_name or "", one.agent_id or ""),
    SortKey.ROUTE: lambda one: (one.route is None, one.route or ""),
    SortKey.ID: lambda one: one.listed.session_id,
}


def _last(number: int | None) -> tuple[bool, int]:
    return (number is None, number or 0)
