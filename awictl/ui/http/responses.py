"""Responses of the inspector. Everything that leaves it is made here: API keys are masked, and redaction applies."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...agents.secret import mask_whole_secrets
from ...document.json_codec import dumps, loads
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction
from ...errors import AwiError, InvalidData, InvalidInput, NotFound, Refused, TooLarge, Unreachable
from ..inspector import inspector_of

#: Type of the content of a problem (RFC 9457).
PROBLEM = "application/problem+json"


def json_response(request: Request, value: Any, *, redacted: bool = False) -> Response:
    """A response with `value` as JSON. `redacted`: what is to be redacted in it has been replaced already."""
    return Response(encoded(request, value, redacted=redacted), media_type="application/json")


def text_response(text: str) -> Response:
    """A response with plain text, in which only API keys are masked: not for what `--redact` may apply to."""
    return Response(mask_whole_secrets(text).encode("utf-8", "backslashreplace"), media_type="text/plain")


def encoded(request: Request, value: Any, *, redacted: bool = False) -> bytes:
    """A value as JSON that may leave the inspector."""
    redaction = inspector_of(request).options.redaction
    if redaction is not None and not redacted:
        value = redacted_value(value, redaction)
    return encoded_redacted(value)


def encoded_redacted(value: Any) -> bytes:
    """A value, in which everything that is to be redacted has been replaced, as JSON that may leave the inspector."""
    data = dumps(value)
    return mask_whole_secrets(data.decode()).encode() if b"agent_" in data else data


def redacted_value(value: Any, redaction: Redaction) -> Any:
    """A copy of a value that is not a session, such as the rows of a list, without secrets."""
    redactor = Redactor(redaction)
    data = dumps({"value": value})
    redactor.state(loads(data), 0)
    redactor.learned()
    result = loads(data)
    redactor.state(result, 0)
    return result["value"]


def problem_of(error: AwiError) -> dict[str, Any]:
    """An error as the members of a problem: its status, its kind, and the message for the operator."""
    status, title = _kind_of(error)
    return {"status": status, "title": title, "detail": str(error)}


def problem_response(request: Request, error: AwiError) -> Response:
    """The response that describes an error."""
    problem = problem_of(error)
    return Response(encoded(request, problem), problem["status"], media_type=PROBLEM)


def _kind_of(error: AwiError) -> tuple[int, str]:
    """The status of an error, and what an operator calls it."""
    match error:
        case InvalidInput():
            return 400, "Invalid input"
        case NotFound():
            return 404, "Not found"
        case TooLarge():
            return 413, "Too large"
        case Refused():
            return 409, "Refused"
        case InvalidData():
            return 422, "Invalid data"
        case Unreachable():
            return 503, "Unreachable"
    return 500, "Error"
