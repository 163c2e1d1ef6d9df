"""Rows of session lists: the fields in which sessions are searched, sorted and shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from ..document.json_codec import dumps
from ..document.timestamps import EPOCH, parse_timestamp
from ..store.session_fields import SessionFields


class SessionState(StrEnum):
    """The state of a session in a list."""

    LIVE = "live"
    #: Its end is recorded; it is kept until it has been archived.
    ENDING = "ending"
    #: Its end is recorded, but it expires: it was restored after its end.
    ENDED = "ended"
    #: In the archive: it expired, or another program deleted it.
    EXPIRED = "expired"
    VANISHED = "vanished"
    UNREADABLE = "unreadable"


class Summary(msgspec.Struct, gc=False, omit_defaults=True):
    """A session as a list shows it. The order of fields is that of the columns of the JSON output."""

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
    #: Length of the string in bytes; None if unknown, as for a session that the app archived.
    bytes: int | None
    #: How many actions failed, according to the statistics; None if unknown.
    failed_actions: int | None
    state: SessionState
    #: Why the document could not be read; omitted from the output if None.
    error: str | None = None
    #: `live` or `archived`, and whether Redis is unreachable; only in a list of both.
    where: str | None = None
    degraded: bool = False

    def row(self) -> dict[str, Any]:
        """The summary as plain data."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        return row


#: The fields of a list of live sessions, and of one of live and archived sessions.
FIELDS_OF_ALL = Summary.__struct_fields__
FIELDS = tuple(name for name in FIELDS_OF_ALL if name not in ("where", "degraded"))

_encoder = msgspec.json.Encoder()


def json_lines(batch: Sequence[Summary]) -> bytes:
    """The rows of summaries as JSON, each followed by a newline."""
    try:
        return _encoder.encode_lines(batch)
    except UnicodeEncodeError:  # a lone surrogate, which the app may have stored
        return b"".join(dumps(one.row()) + b"\n" for one in batch)


def summaries(batch: Sequence[SessionFields]) -> list[Summary]:
    """The summaries of listed sessions."""
    now = int(time.time() * 1000)
    return [
        Summary(
            fields.session_id,
            fields.agent_id,
            fields.agent_name,
            fields.route,
            fields.actions,
            fields.last_activity,
            None if (moment := epoch_ms(fields.last_activity)) is None else now - moment if moment < now else 0,
            fields.ttl_ms,
            fields.bytes,
            fields.failed_actions,
            _LIVE if fields.error is None and not fields.ended else _other_state(fields),
            fields.error,
        )
        for fields in batch
    ]


_LIVE = SessionState.LIVE


def _other_state(fields: SessionFields) -> SessionState:
    if fields.error is not None:
        return SessionState.UNREADABLE
    return SessionState.ENDING if fields.ttl_ms is None else SessionState.ENDED


def idle_since(activity: Any) -> int | None:
    """Milliseconds since a stored timestamp, 0 if it is in the future; None if it is not a timestamp."""
    moment = epoch_ms(activity)
    return max(0, int(time.time() * 1000) - moment) if moment is not None else None


def epoch_ms(activity: Any) -> int | None:
    """A stored timestamp in milliseconds since 1970; None if it is not one."""
    try:
        return (_from_iso(activity) - EPOCH) // _MILLISECOND
    except (TypeError, ValueError):  # not a timestamp, or one without a time zone
        moment = parse_timestamp(activity)
        return (moment - EPOCH) // _MILLISECOND if moment is not None else None


_from_iso = datetime.fromisoformat
_MILLISECOND = timedelta(milliseconds=1)
