"""Filter and sort order of session lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    #: Only sessions with an action that failed.
    failed: bool = False
    #: Id of the agent that is registered under the name `agent`.
    registered_id: str | None = None

    @property
    def matches_all(self) -> bool:
        """Whether every session matches."""
        return self == SessionQuery()

    def matches(self, summary: Summary) -> bool:
        """Whether a session matches. An unknown value fulfils no condition."""
        ttl_ms = summary.ttl_ms
        return (
            (
                self.agent is None
                or self.agent in (summary.agent_id, summary.agent_name)
                or (self.registered_id is not None and summary.agent_id == self.registered_id)
            )
            and (self.route is None or (summary.route is not None and fnmatchcase(summary.route, self.route)))
            and (self.idle_ms is None or (summary.idle_ms is not None and summary.idle_ms >= self.idle_ms))
            and (self.ttl_below_ms is None or (ttl_ms is not None and ttl_ms < self.ttl_below_ms))
            and (not self.failed or (summary.failed_actions or 0) > 0)
        )


class SortKey(StrEnum):
    """Sort keys of session lists."""

    ACTIVITY = "activity"
    TTL = "ttl"
    ACTIONS = "actions"
    FAILED = "failed"
    BYTES = "bytes"
    AGENT = "agent"
    ROUTE = "route"
    ID = "id"


#: For each sort key the value to sort by, and whether the largest is first. None: unknown, and always last.
_ORDERS: dict[SortKey, tuple[Callable[[Summary], Any], bool]] = {
    SortKey.ACTIVITY: (lambda one: one.idle_ms, False),  # the latest activity first
    SortKey.TTL: (lambda one: one.ttl_ms, False),  # what expires first
    SortKey.ACTIONS: (lambda one: one.actions, True),
    SortKey.FAILED: (lambda one: one.failed_actions, True),
    SortKey.BYTES: (lambda one: one.bytes, True),
    SortKey.AGENT: (lambda one: one.agent_name or one.agent_id, False),
    SortKey.ROUTE: (lambda one: one.route, False),
    SortKey.ID: (lambda one: one.session_id, False),
}


def sorted_summaries(summaries: Iterable[Summary], key: SortKey, *, reverse: bool = False) -> list[Summary]:
    """Sort in the natural direction of a key, or in reverse. Sessions whose value is unknown are last in both."""
    value, largest_first = _ORDERS[key]
    known: list[Summary] = []
    unknown: list[Summary] = []
    for one in summaries:
        (unknown if value(one) is None else known).append(one)
    return sorted(known, key=value, reverse=largest_first is not reverse) + unknown
