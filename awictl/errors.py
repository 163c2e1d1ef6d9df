"""All exceptions that awictl raises, and the exit code of a command that fails with each.

    AwiError                 1   unexpected error
    ├── InvalidInput         2   malformed input: ids, JSON, options, settings
    ├── NotFound             3   no such session, agent or key
    │   └── NoSession
    ├── Refused              4   not allowed, or in conflict with the stored data
    │   ├── ReadOnly
    │   ├── AccessDenied
    │   ├── UpdateConflict
    │   ├── HasEnded
    │   ├── TooLarge
    │   └── RateLimited
    ├── Unreachable          5   backend unreachable: worth a retry
    ├── InvalidData          6   stored data that violates the data contract (DESIGN, section 2)
    └── OutcomeUnknown       7   a write that may or may not have been applied
        └── Unconfirmed          a write that was applied, and that a failover may lose

The docstring of each class is its default message.
"""

from __future__ import annotations


class AwiError(Exception):
    """An unexpected error occurred."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class InvalidInput(AwiError):
    """The input is not valid; correct it and try again."""

    exit_code = 2


class NotFound(AwiError):
    """There is no such session, agent or key."""

    exit_code = 3


class NoSession(NotFound):
    """There is no such session."""

    def __init__(self, message: str, session_id: str, *, archive_asked: bool = False) -> None:
        super().__init__(message)
        self.session_id = session_id
        #: Whether the archive was searched, too.
        self.archive_asked = archive_asked


class Refused(AwiError):
    """The operation is not allowed, or conflicts with the stored data."""

    exit_code = 4


class ReadOnly(Refused):
    """The settings are read-only, so nothing was written."""


class AccessDenied(Refused):
    """The server denied access; its user lacks a permission."""


class UpdateConflict(Refused):
    """Other writers kept changing the session, so nothing was written; try again."""


class HasEnded(Refused):
    """The session has ended and waits to be archived, so nothing was written."""


class TooLarge(Refused):
    """The document exceeds the size limit."""


class RateLimited(Refused):
    """There were too many requests within an hour; try again later."""

    def __init__(self, *, limit: int, reset_ms: int) -> None:
        super().__init__(
            f"the limit of {limit:,} requests per hour is reached; try again in {-(-reset_ms // 1000):,} s"
        )
        #: Maximum number of requests per hour.
        self.limit = limit
        #: Milliseconds until the next request is allowed.
        self.reset_ms = reset_ms


class Unreachable(AwiError):
    """The server cannot be reached, or did not reply in time; try again."""

    exit_code = 5


class InvalidData(AwiError):
    """The stored data is not valid; `awictl doctor` reports the keys concerned."""

    exit_code = 6


class OutcomeUnknown(AwiError):
    """The update may or may not have been applied.

    `op_id` identifies the update. A retry with the same `op_id` is safe as long as its action cannot have been trimmed.
    """

    exit_code = 7

    def __init__(self, message: str, *, op_id: str) -> None:
        super().__init__(message)
        self.op_id = op_id


class Unconfirmed(OutcomeUnknown):
    """The write was applied, but fewer replicas than AWI_WAIT_REPLICAS acknowledged it, so a failover may lose it.

    A retry (of an update: with the same `op_id`) applies nothing twice, and waits for the replicas again.
    """

    def __init__(self, message: str, *, op_id: str = "", acknowledged: int, wanted: int) -> None:
        super().__init__(message, op_id=op_id)
        #: How many replicas acknowledged it, and how many should have.
        self.acknowledged = acknowledged
        self.wanted = wanted


def as_awi_error(error: Exception) -> AwiError:
    """Return an error that is not from awictl as one, so that it can be reported for the session that it concerns."""
    if isinstance(error, AwiError):
        return error
    unexpected = AwiError(f"unexpected {type(error).__name__}: {error}")
    unexpected.__cause__ = error
    return unexpected
