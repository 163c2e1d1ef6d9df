"""Translate pymongo's errors into those of awictl."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError
from pymongo import errors

from ...errors import AccessDenied, AwiError, InvalidData, InvalidInput, Refused, Unreachable

#: MongoDB's code for a write that violates a unique index.
DUPLICATE_KEY = 11000
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
#: MongoDB's codes for an index that exists already with other options or another name.
_INDEX_CONFLICTS = (85, 86)


@contextmanager
def translate_errors(where: str) -> Iterator[None]:
    """Translate the pymongo errors that the block raises; `where` names the server in messages."""
    try:
        yield
    except errors.PyMongoError as error:
        raise translate(error, where) from error
    except BSONError as error:
        raise InvalidData(f"{where}: a document that is not valid BSON: {error}") from error


def translate(error: errors.PyMongoError, where: str) -> AwiError:
    """Return the error of awictl for one of pymongo."""
    if isinstance(error, (errors.ConfigurationError, errors.InvalidURI, errors.InvalidName)):
        if "DNS" in str(error) or type(error.__cause__).__module__.startswith("dns."):
            return Unreachable(
                f"cannot reach MongoDB at {where}: its name cannot be resolved; check the URL (`awictl config show`)"
            )
        return invalid_url(where)
    if isinstance(error, errors.BulkWriteError):
        details: dict[str, Any] = next(iter(error.details["writeErrors"] or error.details["writeConcernErrors"]), {})
        if not error.details["writeErrors"]:
            return _not_confirmed(where, details)
        return Refused(f"{where}: {_message(details)}")
    if isinstance(error, (errors.WTimeoutError, errors.WriteConcernError)):
        return _not_confirmed(where, error.details or {})
    if isinstance(error, errors.OperationFailure):
        return _refused(error, where)
    if isinstance(error, errors.ConnectionFailure) or error.timeout:
        return Unreachable(
            f"cannot reach MongoDB at {where}: {_reason(error)}; is it running, and is the address right? "
            "(`awictl config show`)"
        )
    return AwiError(f"{where}: {error}")


def invalid_url(where: str) -> InvalidInput:
    """Return the error for a URL that pymongo rejects, without its message, which may repeat a part of the password."""
    return InvalidInput(f"{where}: not a valid MongoDB URL; check MONGODB_URI (`awictl config show`)")


def only_duplicates(error: errors.BulkWriteError) -> bool:
    """Whether all that failed is that documents exist already: another process has written them."""
    failed = error.details["writeErrors"]
    return not error.details["writeConcernErrors"] and all(one.get("code") == DUPLICATE_KEY for one in failed)


def write_errors(error: errors.BulkWriteError, where: str) -> dict[str, AwiError | None]:
    """Return the errors of a bulk write by session id, without conflicts with other writers.

    Raises Unreachable if the other writes were not confirmed by a majority.
    """
    if error.details["writeConcernErrors"]:
        raise _not_confirmed(where, error.details["writeConcernErrors"][0])
    found: dict[str, AwiError | None] = {}
    for details in error.details["writeErrors"]:
        if details.get("code") != DUPLICATE_KEY:
            session_id = _session_id(details.get("op", {}))
            found[session_id] = Refused(f"{where}: {session_id} cannot be archived: {_message(details)}")
    return found


def _refused(error: errors.OperationFailure, where: str) -> AwiError:
    message = _message(error.details)
    if error.code in (_UNAUTHORIZED, _AUTHENTICATION_FAILED):
        return AccessDenied(f"{where}: the user lacks the permission, or the password is wrong: {message}")
    if error.code in _INDEX_CONFLICTS:
        return Refused(
            f"{where}: an index that awictl needs exists with other options, for example one on sessionId in "
            f"agentsessions that is not unique; drop it, and awictl creates its own ({message})"
        )
    if error.code == DUPLICATE_KEY:
        return Refused(
            f"{where}: several documents in agentsessions have the same sessionId, so a unique index cannot be "
            f"created; nothing was archived ({message})"
        )
    if error.timeout:
        return Unreachable(f"{where} did not answer in time; is it overloaded?")
    return Refused(f"{where}: {message or error}")


def _session_id(operation: Any) -> str:
    """The session of an operation in a bulk write: an insert has the document, a replacement has a filter."""
    return str(operation.get("_id") or operation.get("q", {}).get("_id"))


def _not_confirmed(where: str, details: Any) -> Unreachable:
    return Unreachable(f"{where}: the write was not confirmed by a majority: {_message(details)}")


def _message(details: Any) -> str:
    return str(details.get("errmsg", "")) if isinstance(details, dict) else ""


def _reason(error: errors.PyMongoError) -> str:
    """The cause of a connection error, in a few words."""
    text = str(error).partition("(configured timeouts")[0].partition(", Timeout:")[0]
    for sign, reason in (
        ("refused", "connection refused"),
        ("Connect call failed", "connection refused"),
        ("timed out", "no answer in time"),
        ("timeout", "no answer in time"),
        ("No servers found", "no answer in time"),
        ("not known", "its name cannot be resolved"),
        ("SSL", "the TLS handshake failed"),
        ("closed", "the server closed the connection"),
        ("reset", "the server closed the connection"),
    ):
        if sign in text:
            return reason
    return text.partition(",")[0].strip()[:120] or "no answer in time"
