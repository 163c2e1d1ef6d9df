"""The fields of a session that lists show, decoded from the first bytes of its string.

A listing of 200,000 sessions spends most of its time decoding heads. The typed decoder here checks all of the first
line as JSON, but creates objects for these fields only, which takes 0.53 of the time of decoding the head in full:

    {"session_id":"…","agent_id":"…","agent_name":"…", … "page_state":{"route":"…", …}, … "statistics":{…},
    "last_updated":"…","history":{"last_action":{"t":4, …},"actions":[   \\n{"t":0,…

Documents with missing fields, fields of other types, or in the app's layout are decoded in full.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..document.byte_layout import OPEN, count_actions
from ..document.schema import SESSION_END, as_object, as_text, has_ended


class SessionFields(msgspec.Struct, gc=False):
    """The fields of a live session that lists show. All but the id are None if missing or of another type."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: Length of the trajectory; None if unknown.
    actions: int | None
    #: Timestamp of the last action of the agent, as stored.
    last_activity: str | None
    #: How many actions there ever were and how many of them failed, according to the statistics.
    total_actions: int | None
    failed_actions: int | None
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string in bytes.
    bytes: int
    #: Whether the last action is the end of the session, which is kept until it is archived.
    ended: bool = False
    #: Why it could not be read; then the fields above are None.
    error: str | None = None


class _Page(msgspec.Struct, gc=False):
    route: str


class _Statistics(msgspec.Struct, gc=False):
    last_activity: str
    total_actions: int | None = None
    failed_actions: int | None = None


class _Head(msgspec.Struct, gc=False):
    agent_id: str
    agent_name: str
    page_state: _Page
    statistics: _Statistics
    history: msgspec.Raw


class _Action(msgspec.Struct, gc=False):
    t: Any = None
    action: Any = None


class _History(msgspec.Struct, gc=False):
    actions: list[None]
    last_action: _Action | None = None
    trimmed_actions: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_history = msgspec.json.Decoder(_History).decode


def decode_fields(session_id: str, chunk: bytes, length: int, ttl_ms: int | None) -> SessionFields | None:
    """The fields from the first bytes of a string of `length` bytes; None if it has to be decoded in full."""
    end = chunk.find(b"\n") + 1
    line = chunk[:end].rstrip()
    if not line.endswith(OPEN):
        return None
    line += b"]}}"
    try:
        head = _decode_head(line)
        history = _decode_history(head.history)
    except (msgspec.DecodeError, RecursionError):  # also if a field has another type
        return None
    # the array that the line leaves open must be the trajectory, so the history must be the last field
    if history.actions or not line.endswith(bytes(head.history) + b"}"):
        return None
    statistics = head.statistics
    if not statistics.last_activity:
        return None
    last_t = history.last_action.t if history.last_action is not None else None
    actions = count_actions(last_t, history.trimmed_actions, chunk, end, length)
    if actions is None:
        return None
    return SessionFields(
        session_id,
        head.agent_id,
        head.agent_name,
        head.page_state.route,
        actions,
        statistics.last_activity,
        statistics.total_actions,
        statistics.failed_actions,
        ttl_ms,
        length,
        history.last_action is not None and history.last_action.action == SESSION_END,
    )


def fields_of(
    session_id: str,
    head: dict[str, Any],
    actions: int | None,
    ttl_ms: int | None,
    length: int,
    error: str | None = None,
) -> SessionFields:
    """The same fields from a head that was decoded in full. The arguments are the fields of a `Listed`."""
    statistics = as_object(head.get("statistics"))
    return SessionFields(
        session_id,
        as_text(head.get("agent_id")),
        as_text(head.get("agent_name")),
        as_text(as_object(head.get("page_state")).get("route")),
        actions,
        as_text(statistics.get("last_activity") or head.get("last_updated")),
        _count(statistics.get("total_actions")),
        _count(statistics.get("failed_actions")),
        ttl_ms,
        length,
        has_ended(head),
        error,
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int else None
