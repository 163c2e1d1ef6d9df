"""The fields that an expression can name, and their values in a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from ...document.schema import as_object
from ...document.timestamps import parse_timestamp
from ..summaries import SessionState, Summary

#: The first part of the path to any field of the document: `state.page_state.route`.
STATE = "state"


class Kind(Enum):
    """The kind of a value. Only values of one kind are compared; one of the document may be any but a DURATION."""

    TEXT = "text"
    NUMBER = "a number"
    DURATION = "a duration such as 20m"
    TIME = "a time such as 2026-11-27T12:00Z or 2h ago"
    BOOLEAN = "true or false"
    NULL = "null"
    ANY = "a value of the document"


class Place(Enum):
    """Where a session was found."""

    LIVE = "live"
    ARCHIVED = "archived"


class SessionValues(NamedTuple):
    """What an expression is evaluated on: a session, live or archived. A tuple, because each session makes one."""

    summary: Summary
    place: Place = Place.LIVE
    #: The document without its trajectory; None if the expression does not need it, or it could not be read.
    head: Mapping[str, Any] | None = None
    #: How many actions there ever were, according to the statistics.
    total: int | None = None
    #: When the session started; None if unknown, or if `head` has it.
    started: datetime | None = None


#: The values that a field has in a session, without nulls: none if there is no value; `agent` may have two.
Values = Callable[[SessionValues], Sequence[Any]]


class NamedField(NamedTuple):
    """A field of the language."""

    kind: Kind
    values: Values
    #: All values that it can have; empty if there are too many.
    choices: tuple[str, ...] = ()
    #: Whether it is known even if the document cannot be read.
    always: bool = False
    #: Whether a live session has it only in its document.
    needs_head: bool = False


def _of(name: str) -> Values:
    def values(session: SessionValues) -> Sequence[Any]:
        value = getattr(session.summary, name)
        return (value,) if value is not None else ()

    return values


def _agent(session: SessionValues) -> Sequence[Any]:
    summary = session.summary
    return [one for one in (summary.agent_name, summary.agent_id) if one]


def _last_activity(session: SessionValues) -> Sequence[Any]:
    moment = parse_timestamp(session.summary.last_activity)
    return (moment,) if moment is not None else ()


def _started(session: SessionValues) -> Sequence[Any]:
    moment = session.started
    if moment is None and session.head is not None:
        moment = parse_timestamp(as_object(session.head.get("statistics")).get("session_start"))
    return (moment,) if moment is not None else ()


_SESSION = NamedField(Kind.TEXT, _of("session_id"), always=True)

#: The fields by name; besides them there is `state`.
FIELDS: Mapping[str, NamedField] = {
    "session": _SESSION,
    "id": _SESSION,
    "agent": NamedField(Kind.TEXT, _agent),
    "agent_id": NamedField(Kind.TEXT, _of("agent_id")),
    "agent_name": NamedField(Kind.TEXT, _of("agent_name")),
    "route": NamedField(Kind.TEXT, _of("route")),
    "actions": NamedField(Kind.NUMBER, _of("actions")),
    "failed": NamedField(Kind.NUMBER, _of("failed_actions")),
    "total": NamedField(Kind.NUMBER, lambda session: (session.total,) if session.total is not None else ()),
    "bytes": NamedField(Kind.NUMBER, _of("bytes"), always=True),
    "ttl": NamedField(Kind.DURATION, _of("ttl_ms"), always=True),
    "idle": NamedField(Kind.DURATION, _of("idle_ms")),
    "started": NamedField(Kind.TIME, _started, needs_head=True),
    "last_activity": NamedField(Kind.TIME, _last_activity),
    "status": NamedField(Kind.TEXT, _of("state"), tuple(SessionState), always=True),
    "where": NamedField(
        Kind.TEXT, lambda session: (session.place.value,), tuple(one.value for one in Place), always=True
    ),
}


def at_path(path: Sequence[str]) -> Values:
    """The value in the document at a path of keys, and of indexes of arrays; none if it is null or missing."""

    def values(session: SessionValues) -> Sequence[Any]:
        value: Any = session.head
        for key in path:
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list) and key.isdecimal() and len(key) < 20 and int(key) < len(value):
                value = value[int(key)]
            else:
                return ()
        return (value,) if value is not None else ()

    return values
