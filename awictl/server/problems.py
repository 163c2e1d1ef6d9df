"""Errors as HTTP responses: a status and the JSON object `{"success": false, "error", "message"}`.

The shape is the app's, not that of RFC 9457. The message says what the agent can do. Hosts, Redis keys and other
internals are only logged.
"""

from __future__ import annotations

import logging

from ..errors import (
    AwiError,
    HasEnded,
    InvalidData,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    TooLarge,
    Unconfirmed,
    Unreachable,
    UpdateConflict,
)
from .response_types import ErrorResponse

log = logging.getLogger("awictl.server")

#: `Retry-After` of a 503, in seconds.
RETRY_SECONDS = 1
#: The message of a 503 if it is not known whether the update was applied.
UNKNOWN_OUTCOME = (
    "The update may or may not have been applied. Repeat it with this op_id; it will not be applied twice."
)

#: The message of a 503 if the update was applied, but not acknowledged by enough replicas.
UNCONFIRMED = (
    "The update was applied, but too few replicas have acknowledged it, so that a failover may lose it. Repeat it with "
    "this op_id; it will not be applied twice."
)


class HTTPProblem(Exception):
    """A request that is answered with an error; `error`, `message`, `errorCode` and `op_id` are in the body."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        error_code: str | None = None,
        op_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: ErrorResponse = {"success": False, "error": error, "message": message}
        if error_code is not None:
            self.body["errorCode"] = error_code
        if op_id is not None:
            self.body["op_id"] = op_id


def unavailable(message: str, op_id: str | None = None) -> HTTPProblem:
    """503 with `Retry-After`: a backend does not respond, or the outcome of the update `op_id` is unknown."""
    headers = {"retry-after": str(RETRY_SECONDS)}
    return HTTPProblem(503, "Service unavailable", message, headers=headers, op_id=op_id)


def too_large(what: str, limit: int) -> HTTPProblem:
    """413: `what` is larger than `limit` bytes."""
    return HTTPProblem(413, "Too large", f"{what} is larger than {limit:,} bytes.")


def problem_of(error: AwiError) -> HTTPProblem:
    """The response to an agent whose request raised `error`. Details that only the operator may see are logged."""
    match error:
        case InvalidInput():
            return HTTPProblem(400, "Invalid request", str(error))
        case NotFound():
            return HTTPProblem(
                404, "No active session found", "The agent has no session. Its next request creates one."
            )
        case RateLimited():
            seconds = -(-error.reset_ms // 1000)
            return HTTPProblem(
                429,
                "Rate limit exceeded",
                f"The limit is {error.limit:,} requests per hour for one operation. Try again in {seconds:,} s.",
                headers={"retry-after": str(seconds)},
            )
        case UpdateConflict():
            return HTTPProblem(
                409, "Conflict", "Concurrent requests kept changing the session. Nothing was written. Try again."
            )
        case HasEnded():
            return HTTPProblem(
                409, "Conflict", "The session has ended. Nothing was written. The next request gets a new one."
            )
    log.warning("request failed: %s", error, extra={"kind": type(error).__name__})
    match error:
        case TooLarge():
            return HTTPProblem(
                413, "Too large", "The session would be larger than its size limit. Nothing was written."
            )
        case Unconfirmed():
            problem = unavailable(UNCONFIRMED, op_id=error.op_id or None)
            problem.body["unconfirmed"] = True
            return problem
        case OutcomeUnknown():
            return unavailable(UNKNOWN_OUTCOME, op_id=error.op_id)
        case Unreachable():
            return unavailable("A backend does not respond. Nothing was changed. Try again.")
        case InvalidData():
            return HTTPProblem(409, "Conflict", "The stored data of this agent cannot be read. The error was logged.")
        case _:
            return unavailable("A backend refused the request. The error was logged.")
