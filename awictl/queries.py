"""Which sessions of a listing are wanted, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from .state.document import as_text, parse_timestamp
from .state.glance import glance
from .store.base import Listed, View


class Summary(NamedTuple):
    """A listed session in the terms in which it is searched and shown."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: How many actions the trajectory holds; None where that cannot be told.
    actions: int | None
    #: When the agent did something last, as stored.
    last_activity: str | None
    #: Milliseconds since then; None where it is not known.
    idle_ms: int | None
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string.
    bytes: int
    #: Why it could not be read, if so.
    error: str | None

    def row(self) -> dict[str, Any]:
        """The summary as plain data; `error` is there only where the document could not be read."""
        row = dict(zip(_FIELDS, self, strict=False))  # the error is last
        if self.error is not None:
            row["error"] = self.error
        return row


_FIELDS = tuple(name for name in Summary._fields if name != "error")


def summary(listed: Listed) -> Summary:
    """The summary of a listed session."""
    session_id, head, actions, ttl_ms, length, error = listed
    page = head.get("page_state")
    statistics = head.get("statistics")
    activity = statistics.get("last_activity") if isinstance(statistics, dict) else None
    activity = activity or head.get("last_updated")
    return Summary(
        session_id,
        as_text(head.get("agent_id")),
        as_text(head.get("agent_name")),
        as_text(page.get("route")) if isinstance(page, dict) else None,
        actions,
        as_text(activity),
        _idle_ms(activity),
        ttl_ms,
        length,
        error,
    )


def summary_at_a_glance(session_id: str, start: bytes, length: int, ttl_ms: int | None) -> Summary | None:
    """The same from the first bytes of its string, where they are as usual: it takes less time."""
    seen = glance(start, length)
    if seen is None:
        return None
    agent_id, agent_name, route, activity, actions = seen
    idle_ms = _idle_ms(activity)
    return Summary(session_id, agent_id, agent_name, route, actions, activity, idle_ms, ttl_ms, length, None)


#: Sessions as summaries.
SUMMARIES = View(summary, summary_at_a_glance)


def _idle_ms(activity: Any) -> int | None:
    moment = parse_timestamp(activity)
    return max(0, int((time.time() - moment.timestamp()) * 1000)) if moment is not None else None


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
