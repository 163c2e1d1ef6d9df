"""All that is known about an agent: its key, its reputation, its usage, and the history of its suspensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..document.timestamps import optional_timestamp
from .api_keys import AgentKey
from .secret import masked
from .usage import Usage


class UsageSort(StrEnum):
    """Sort keys of a list of agents."""

    REQUESTS = "requests"
    LAST_USED = "last-used"
    NAME = "name"
    VIOLATIONS = "violations"
    SCORE = "score"
    STATE = "state"


@dataclass(frozen=True)
class AgentRecord:
    """An agent with all that is stored about it. Values of the app are as it stored them; None: not known."""

    key: AgentKey
    #: Requests to awictl's own server.
    usage: Usage
    #: Requests that the app counted in the key (`usage`, `operationUsage`); None for a key of awictl.
    app_usage: Usage | None = None
    reputation: Any = None
    score: Any = None
    violations: Any = None
    violations_by_type: Any = None
    #: The entries of `securityMetrics.suspensionHistory`, as JSON values.
    suspensions: Sequence[Any] = field(default_factory=tuple)

    @property
    def requests(self) -> int:
        """Number of requests that the app and awictl counted."""
        return self.usage.requests + (self.app_usage.requests if self.app_usage is not None else 0)

    @property
    def last_used(self) -> datetime | None:
        """The last request that was counted; None if unknown."""
        app = self.app_usage.last_used if self.app_usage is not None else None
        return max((one for one in (self.usage.last_used, app, self.key.last_used_at) if one), default=None)

    def row(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return self.key.row() | {
            "last_used_at": optional_timestamp(self.last_used),
            "requests": self.requests,
            "requests_of_app": self.app_usage.requests if self.app_usage is not None else None,
            "requests_of_awictl": self.usage.requests,
            "operations": dict(self.usage.operations),
            "operations_of_app": dict(self.app_usage.operations) if self.app_usage is not None else None,
            "reputation": self.reputation,
            "reputation_score": self.score,
            "violations": self.violations,
            "violations_by_type": self.violations_by_type,
            "suspensions": [masked(one) for one in self.suspensions],
        }


def sorted_records(records: Sequence[AgentRecord], by: UsageSort, *, reverse: bool = False) -> list[AgentRecord]:
    """Sort agents: most requests, latest use, most violations, highest score first; names and states from a to z.

    Agents without such a value come last, with `reverse` too.
    """
    falls = by not in (UsageSort.NAME, UsageSort.STATE)
    values = [(_value(one, by), one) for one in records]
    known = [(value, one) for value, one in values if value is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].key.agent_id), reverse=falls is not reverse)
    return [one for _, one in known] + [one for value, one in values if value is None]


def _value(record: AgentRecord, by: UsageSort) -> Any:
    match by:
        case UsageSort.REQUESTS:
            return record.requests
        case UsageSort.LAST_USED:
            return record.last_used
        case UsageSort.NAME:
            return record.key.name
        case UsageSort.STATE:
            return record.key.state().value
        case UsageSort.VIOLATIONS:
            return _number(record.violations)
        case UsageSort.SCORE:
            return _number(record.score)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and value == value else None  # not NaN
