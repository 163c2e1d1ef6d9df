"""Every error that awictl raises, with the exit code that each ends a command with.

    AwiError                 1   unexpected
    ├── InvalidInput         2   what the user gave is malformed: ids, JSON, options, settings
    ├── NotFound             3   no such session, agent or key
    │   └── NoSession
    ├── Refused              4   not allowed, or in conflict with what is stored
    │   ├── ReadOnly
    │   ├── AccessDenied
    │   ├── UpdateConflict
    │   ├── TooLarge
    │   └── RateLimited
    ├── Unreachable          5   the backend does not answer: worth a retry
    ├── InvalidData          6   what is stored is not what the contract says
    └── OutcomeUnknown       7   a write may or may not have been applied

The docstring of each class is its default message.
"""

from __future__ import annotations


class AwiError(Exception):
    """Something unexpected went wrong."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class InvalidInput(AwiError):
    """The input is malformed."""

    exit_code = 2


class NotFound(AwiError):
    """There is no such session."""

    exit_code = 3


class NoSession(NotFound):
    """There is no such session."""

    def __init__(self, message: str, session_id: str, *, archive_asked: bool = False) -> None:
        super().__init__(message)
        self.session_id = session_id
        #: Whether the archive was asked, too, and does not have it.
        self.archive_asked = archive_asked


class Refused(AwiError):
    """The operation was refused."""

    exit_code = 4


class ReadOnly(Refused):
    """This profile is read-only: nothing was written."""


class AccessDenied(Refused):
    """The server does not allow this user to do that."""


class UpdateConflict(Refused):
    """Other writers kept changing the session: nothing was written. Try again."""


class TooLarge(Refused):
    """The document would be, or is, larger than the limit."""


class RateLimited(Refused):
    """There were too many requests."""

    def __init__(self, *, limit: int, reset_ms: int) -> None:
        super().__init__(f"more than {limit:,} requests in an hour: the next one in {-(-reset_ms // 1000):,} s")
        #: How many there may be in an hour.
        self.limit = limit
        #: Milliseconds until the next one may come.
        self.reset_ms = reset_ms


class Unreachable(AwiError):
    """The server does not answer."""

    exit_code = 5


class InvalidData(AwiError):
    """The stored data is not valid."""

    exit_code = 6


class OutcomeUnknown(AwiError):
    """The update may or may not have been applied.

    `op_id` names it: applying the same update again with that op_id is safe while its action would still be kept.
    """

    exit_code = 7

    def __init__(self, message: str, *, op_id: str) -> None:
        super().__init__(message)
        self.op_id = op_id
