"""Listed sessions in the terms in which they are searched and shown, made fast: there may be very many."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ..document.fast_head import glance
from ..document.json_codec import dumps
from ..document.schema import as_text
from ..document.timestamps import parse_timestamp
from ..store.base import Listed, View


class Summary(NamedTuple):
    """A listed session in the terms in which it is searched and shown."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: How many actions the trajectory holds; None where that cannot be told.
    actions: int | None
    #: When the agent did something last, as stored.
    last_activity: str | None
    #: Milliseconds since then; None where it is not known.
    idle_ms: int | None
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string.
    bytes: int
    #: Why it could not be read, if so.
    error: str | None

    def row(self) -> dict[str, Any]:
        """The summary as plain data; `error` is there only where the document could not be read."""
        row = dict(zip(_FIELDS, self, strict=False))  # the error is last
        if self.error is not None:
            row["error"] = self.error
        return row


_FIELDS = tuple(name for name in Summary._fields if name != "error")


def summary(listed: Listed) -> Summary:
    """The summary of a listed session."""
    session_id, head, actions, ttl_ms, length, error = listed
    page = head.get("page_state")
    statistics = head.get("statistics")
    activity = statistics.get("last_activity") if isinstance(statistics, dict) else None
    activity = activity or head.get("last_updated")
    return Summary(
        session_id,
        as_text(head.get("agent_id")),
        as_text(head.get("agent_name")),
        as_text(page.get("route")) if isinstance(page, dict) else None,
        actions,
        as_text(activity),
        idle_since(activity),
        ttl_ms,
        length,
        error,
    )


def summary_at_a_glance(session_id: str, start: bytes, length: int, ttl_ms: int | None) -> Summary | None:
    """The same from the first bytes of its string, where they are as usual: it takes less time."""
    seen = glance(start, length)
    if seen is None:
        return None
    agent_id, agent_name, route, activity, actions, _, _ = seen
    idle_ms = idle_since(activity)
    return Summary(session_id, agent_id, agent_name, route, actions, activity, idle_ms, ttl_ms, length, None)


#: Sessions as summaries.
SUMMARIES = View(summary, summary_at_a_glance)


def lines(on_unreadable: Callable[[], None]) -> View[bytes]:
    """Sessions as the lines that a listing of all of them prints: the JSON of `Summary.row`.

    `on_unreadable` is called for each that cannot be read.
    """

    def line(listed: Listed) -> bytes:
        if listed.error is not None:
            on_unreadable()
        return dumps(summary(listed).row())

    return View(line, _line_at_a_glance)


class _Line(msgspec.Struct, gc=False):
    """What `Summary.row` is of a session that can be read, in the same order."""

    session_id: str
    agent_id: str
    agent_name: str
    route: str
    actions: int
    last_activity: str
    idle_ms: int | None
    ttl_ms: int | None
    bytes: int


_encode = msgspec.json.Encoder().encode


def _line_at_a_glance(session_id: str, start: bytes, length: int, ttl_ms: int | None) -> bytes | None:
    seen = glance(start, length)
    if seen is None:
        return None
    agent_id, agent_name, route, activity, actions, _, _ = seen
    idle_ms = idle_since(activity)
    return _encode(_Line(session_id, agent_id, agent_name, route, actions, activity, idle_ms, ttl_ms, length))


def idle_since(activity: Any) -> int | None:
    moment = _epoch_ms(activity)
    return max(0, int(time.time() * 1000) - moment) if moment is not None else None


def _epoch_ms(activity: Any) -> int | None:
    """Milliseconds since 1970 of a stored timestamp; of the usual ones without parsing the minute each time."""
    usual = _USUAL.fullmatch(activity) if isinstance(activity, str) else None
    if usual is not None and (minute := _minute_ms(usual[1])) is not None:
        return minute + int(usual[2]) * 1000 + int(usual[3])
    moment = parse_timestamp(activity)
    return int(moment.timestamp() * 1000) if moment is not None else None


#: 2026-11-23T07:09:41.403Z
_USUAL = re.compile(r"(.{16}):([0-5][0-9])\.([0-9]{3})Z")


@lru_cache(maxsize=4096)
def _minute_ms(minute: str) -> int | None:
    moment = parse_timestamp(f"{minute}:00Z")
    return int(moment.timestamp() * 1000) if moment is not None else None
