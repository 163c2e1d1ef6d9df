"""What a migration of live sessions did: counts, and the sessions that were not simply moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ...errors import AwiError


@dataclass
class MigrationCounts:
    """What a migration did, in numbers of sessions; of a dry run, what it would do."""

    #: Found in the source.
    found: int = 0
    #: Moved to the target.
    moved: int = 0
    #: Of these, the ones that replaced an older version in the target.
    replaced: int = 0
    #: Ended, because their end had been interrupted.
    ended: int = 0
    #: Ended or expired before they could be moved.
    gone: int = 0
    #: Copied from the app's own collection, and those that exist already.
    from_app: int = 0
    skipped: int = 0
    #: Left in the source: in conflict with what the target has, and for other reasons.
    conflicts: int = 0
    failed: int = 0


@dataclass(frozen=True)
class NotSimplyMoved:
    """A session that was not simply moved."""

    session_id: str
    #: replaced, mapped (its agent's current session in the target is another one), ended, skipped, conflict, failed.
    outcome: str
    agent_id: str | None = None
    #: The session that its agent is in, in the target, if that is another one.
    agent_session: str | None = None
    #: Why it was left or skipped.
    reason: str | None = None
    #: The error for which it was left.
    error: AwiError | None = None

    def row(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {name: value for name, value in vars(self).items() if name != "error"}


@dataclass
class MigrationResult:
    """What a migration did so far."""

    counts: MigrationCounts = field(default_factory=MigrationCounts)
    #: The sessions that were not simply moved.
    exceptions: list[NotSimplyMoved] = field(default_factory=list)
    #: Whether the last pass still moved sessions: agents keep using the source.
    unfinished: bool = False

    @property
    def errors(self) -> list[AwiError]:
        """Why sessions were left, conflicts first."""
        in_order = sorted(self.exceptions, key=lambda one: (one.outcome, one.session_id))
        return [one.error for one in in_order if one.error is not None]

    def row(self) -> dict[str, int]:
        """The counts as JSON values."""
        return asdict(self.counts)
