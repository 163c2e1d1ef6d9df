"""What goes wrong, as an agent is told: `{"success": false, "error", "message"}` and a status.

An agent learns what it can do about it. Addresses, keys of Redis and other internals go to the log alone.
"""

from __future__ import annotations

import logging
from typing import Any

from ..errors import (
    AwiError,
    InvalidData,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    TooLarge,
    Unreachable,
    UpdateConflict,
)

log = logging.getLogger("awictl.server")

#: Seconds after which a request is worth repeating while a backend is away.
RETRY_SECONDS = 1


#: What is said of an update whose outcome is not known.
UNKNOWN_OUTCOME = (
    "The update may or may not have been applied: repeat it with this op_id, which never applies it twice."
)


class Problem(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self, status: int, error: str, message: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"success": False, "error": error, "message": message, **more}


def unavailable(message: str, **more: Any) -> Problem:
    """The problem of a backend that does not answer."""
    return Problem(503, "Service unavailable", message, headers={"retry-after": str(RETRY_SECONDS)}, **more)


def too_large(what: str, limit: int) -> Problem:
    """The problem of a request with too much in it."""
    return Problem(413, "Too large", f"{what} has more than {limit:,} bytes")


def problem_of(error: AwiError) -> Problem:
    """The problem that an error of awictl is to an agent; what only the operator may know is logged."""
    match error:
        case InvalidInput():
            return Problem(400, "Invalid request", str(error))
        case NotFound():
            return Problem(404, "No active session found", "There is no session: the next request begins one.")
        case RateLimited():
            seconds = str(-(-error.reset_ms // 1000))
            return Problem(429, "Rate limit exceeded", f"There were {error}.", headers={"retry-after": seconds})
        case UpdateConflict():
            return Problem(409, "Conflict", "Other requests kept changing the session: nothing was written. Try again.")
    log.warning("a request failed: %s", error, extra={"kind": type(error).__name__})
    match error:
        case TooLarge():
            return Problem(413, "Too large", "The session would be larger than the limit: nothing was written.")
        case OutcomeUnknown():
            return unavailable(UNKNOWN_OUTCOME, op_id=error.op_id)
        case Unreachable():
            return unavailable("A backend does not answer: nothing was done. Try again.")
        case InvalidData():
            return Problem(409, "Conflict", "What is stored of this agent cannot be read; the operator has been told.")
        case _:
            return unavailable("The request was refused by a backend; its operator has been told.")
