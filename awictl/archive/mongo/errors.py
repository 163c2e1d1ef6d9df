"""What an error of pymongo means to the user: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import errors

from ...errors import AccessDenied, AwiError, InvalidInput, Refused, Unreachable

#: The code of a write that met a document with the same unique key.
WRITE_CONFLICT = 11000
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
#: The codes of an index that is there already in another way.
_INDEX_CONFLICTS = (85, 86)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raises what an error of pymongo in the block means."""
    try:
        yield
    except errors.PyMongoError as error:
        raise translate(error, where) from error


def translate(error: errors.PyMongoError, where: str) -> AwiError:
    """The error of awictl that one of pymongo means."""
    if isinstance(error, (errors.ConfigurationError, errors.InvalidURI, errors.InvalidName)):
        if "DNS" in str(error) or type(error.__cause__).__module__.startswith("dns."):
            return Unreachable(f"cannot reach MongoDB at {where}: its name is not known (`awictl config show`)")
        return not_usable(where)
    if isinstance(error, errors.BulkWriteError):
        fault: dict[str, Any] = next(iter(error.details["writeErrors"] or error.details["writeConcernErrors"]), {})
        if not error.details["writeErrors"]:
            return _not_confirmed(where, fault)
        return Refused(f"{where}: {_text(fault)}")
    if isinstance(error, (errors.WTimeoutError, errors.WriteConcernError)):
        return _not_confirmed(where, error.details or {})
    if isinstance(error, errors.OperationFailure):
        if error.code in (_UNAUTHORIZED, _AUTHENTICATION_FAILED):
            return AccessDenied(f"{where}: this user may not do that, or the password is wrong: {_text(error.details)}")
        if error.code in _INDEX_CONFLICTS:
            return Refused(
                f"{where}: agentsessions has an index on sessionId that is not unique: {_text(error.details)}"
            )
        if error.code == WRITE_CONFLICT:
            return Refused(
                f"{where}: several documents of agentsessions have the same sessionId, so that it cannot be made "
                f"unique: nothing was archived ({_text(error.details)})"
            )
        if error.timeout:
            return Unreachable(f"{where} did not answer in time; is it overloaded?")
        return Refused(f"{where}: {_text(error.details) or error}")
    if isinstance(error, errors.ConnectionFailure) or error.timeout:
        return Unreachable(
            f"cannot reach MongoDB at {where}: {_reason(error)}; is it running, and the right address? "
            "(`awictl config show`)"
        )
    return AwiError(f"{where}: {error}")


def not_usable(where: str) -> InvalidInput:
    """The error for a URL that pymongo refuses; not its reason, which may repeat a part of the password."""
    return InvalidInput(f"{where}: not a MongoDB URL that can be used: check MONGODB_URI (`awictl config show`)")


def write_faults(error: errors.BulkWriteError, where: str) -> dict[str, AwiError | None]:
    """What went wrong with which session in a bulk write; conflicts with other writers are left out.

    Raises Unreachable where the majority did not confirm the others.
    """
    if error.details["writeConcernErrors"]:
        raise _not_confirmed(where, error.details["writeConcernErrors"][0])
    found: dict[str, AwiError | None] = {}
    for fault in error.details["writeErrors"]:
        if fault.get("code") != WRITE_CONFLICT:
            session_id = _session_id(fault.get("op", {}))
            found[session_id] = Refused(f"{where}: {session_id} cannot be archived: {_text(fault)}")
    return found


def _session_id(operation: Any) -> str:
    """The session that an operation of a bulk write is about: it inserts a document, or it has a filter."""
    return str(operation.get("sessionId") or operation.get("q", {}).get("sessionId"))


def _not_confirmed(where: str, details: Any) -> Unreachable:
    return Unreachable(f"{where}: a majority did not confirm the write: {_text(details)}")


def _text(details: Any) -> str:
    return str(details.get("errmsg", "")) if isinstance(details, dict) else ""


def _reason(error: errors.PyMongoError) -> str:
    """The cause of a connection error in a few words."""
    text = str(error).partition("(configured timeouts")[0].partition(", Timeout:")[0]
    for sign, reason in (
        ("refused", "connection refused"),
        ("Connect call failed", "connection refused"),
        ("timed out", "no answer in time"),
        ("timeout", "no answer in time"),
        ("not known", "its name is not known"),
        ("SSL", "TLS failed"),
        ("closed", "it closed the connection"),
        ("reset", "it closed the connection"),
    ):
        if sign in text:
            return reason
    return text.partition(",")[0].strip()[:120] or "no answer in time"
