"""Suspensions of agents: what is recorded, and the changes of an API key that suspend, resume and revoke it.

The app's own keys get exactly the fields that the app's methods set, and no other field changes, `updatedAt` and `__v`
included. The recorded documents of the app show `suspended` and an empty `securityMetrics.suspensionHistory`; that an
entry of the history is `{reason, suspendedAt, suspendedUntil}` is an assumption, in the style of the fields beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..archive.values import truncate_to_milliseconds
from ..document.json_codec import encodable
from ..document.timestamps import optional_timestamp
from ..errors import InvalidInput, NotFound
from .api_keys import AgentKey

#: Maximum length of a reason, in characters.
MAX_REASON = 500
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Suspension:
    """A suspension of an agent."""

    since: datetime
    #: None if it has no end.
    until: datetime | None = None
    reason: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the entry of the history as JSON values; what is not known is left out."""
        row = {
            "reason": self.reason,
            "suspendedAt": optional_timestamp(self.since),
            "suspendedUntil": optional_timestamp(self.until),
        }
        return {name: value for name, value in row.items() if value is not None}


def new_suspension(for_ms: int | None, reason: str | None) -> Suspension:
    """Return a suspension that starts now. `for_ms`: its length in milliseconds. Raises InvalidInput."""
    if reason is not None and (not 0 < len(reason) <= MAX_REASON or reason != encodable(reason)):
        raise InvalidInput(f"the reason of a suspension must have 1 to {MAX_REASON} characters")
    now = truncate_to_milliseconds(datetime.now(UTC))
    return Suspension(now, later(now, for_ms, "a suspension ends") if for_ms is not None else None, reason)


def later(now: datetime, milliseconds: int, what: str) -> datetime:
    """Return the time that is `milliseconds` after `now`, at the latest in the year 9999. Raises InvalidInput."""
    if milliseconds <= 0:
        raise InvalidInput(f"the time after which {what} must be above zero")
    try:
        return min(now + timedelta(milliseconds=milliseconds), _LATEST)
    except OverflowError:
        return _LATEST


def no_key(where: str, key: AgentKey) -> NotFound:
    """The error for a key that was deleted before it could be changed."""
    return NotFound(f"{where} has no API key of the agent {key.agent_id} any more")
