"""Rows of session lists: the fields in which sessions are searched, sorted and shown."""

from __future__ import annotations

import re
import time
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from ..document.json_codec import dumps
from ..document.timestamps import parse_timestamp
from ..store.session_fields import SessionFields


class SessionState(StrEnum):
    """The state of a session in a list."""

    LIVE = "live"
    #: Its end is recorded; it is kept until it has been archived.
    ENDING = "ending"
    #: Its end is recorded, but it expires: it was restored after its end.
    ENDED = "ended"
    UNREADABLE = "unreadable"


class Summary(msgspec.Struct, gc=False, omit_defaults=True):
    """A live session as a list shows it. The order of fields is that of the columns of the JSON output."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: Length of the trajectory; None if unknown.
    actions: int | None
    #: Timestamp of the last action of the agent, as stored.
    last_activity: str | None
    #: Milliseconds since then; None if unknown.
    idle_ms: int | None
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string in bytes.
    bytes: int
    #: How many actions failed, according to the statistics; None if unknown.
    failed_actions: int | None
    state: SessionState
    #: Why the document could not be read; omitted from the output if None.
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The summary as plain data."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        return row


_encode = msgspec.json.Encoder().encode


def json_line(one: Summary) -> bytes:
    """The row of a summary as JSON, without a newline."""
    try:
        return _encode(one)
    except UnicodeEncodeError:  # a lone surrogate, which the app may have stored
        return dumps(one.row())


def summary(fields: SessionFields) -> Summary:
    """The summary of a listed session."""
    return Summary(
        fields.session_id,
        fields.agent_id,
        fields.agent_name,
        fields.route,
        fields.actions,
        fields.last_activity,
        idle_since(fields.last_activity),
        fields.ttl_ms,
        fields.bytes,
        fields.failed_actions,
        _state(fields),
        fields.error,
    )


def _state(fields: SessionFields) -> SessionState:
    if fields.error is not None:
        return SessionState.UNREADABLE
    if not fields.ended:
        return SessionState.LIVE
    return SessionState.ENDING if fields.ttl_ms is None else SessionState.ENDED


def idle_since(activity: Any) -> int | None:
    """Milliseconds since a stored timestamp, 0 if it is in the future; None if it is not a timestamp."""
    moment = _epoch_ms(activity)
    return max(0, int(time.time() * 1000) - moment) if moment is not None else None


def _epoch_ms(activity: Any) -> int | None:
    """A stored timestamp in milliseconds since 1970; None if it is not one.

    For timestamps in the usual form, the minute is parsed once and cached: parsing each takes a third of the time of a
    listing.
    """
    usual = _USUAL.fullmatch(activity) if isinstance(activity, str) else None
    if usual is not None and (minute := _minute_ms(usual[1])) is not None:
        return minute + int(usual[2]) * 1000 + int(usual[3])
    moment = parse_timestamp(activity)
    return int(moment.timestamp() * 1000) if moment is not None else None


#: A timestamp in the usual form: 2026-11-23T07:09:41.403Z.
_USUAL = re.compile(r"(.{16}):([0-5][0-9])\.([0-9]{3})Z")


@lru_cache(maxsize=4096)
def _minute_ms(minute: str) -> int | None:
    moment = parse_timestamp(f"{minute}:00Z")
    return int(moment.timestamp() * 1000) if moment is not None else None
