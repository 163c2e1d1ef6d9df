"""The fields of a session that lists show, decoded from the first bytes of its string.

A listing of 200,000 sessions spends most of its time decoding heads. The typed decoder here checks all of the first
line as JSON, but creates objects for these fields only, and decodes the heads of a batch in one call:

    {"session_id":"…","agent_id":"…","agent_name":"…", … "page_state":{"route":"…", …}, … "statistics":{…},
    "last_updated":"…","history":{"last_action":{"t":4, …},"actions":[   \\n{"t":0,…

Documents with missing fields, fields of other types, or in the app's layout are decoded in full.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec

from ..document.action_numbers import FIRST_T, MAX_NUMBER
from ..document.byte_layout import CLOSE, OPEN, count_actions
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
    #: Size of all actions together in bytes; None if unknown.
    trajectory_bytes: int | None = None


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

#: A field name that no stored document can contain, since it is made anew in each process. `decode_batch` puts it at
#: the end of each head: where it is found, there the head and the object that it leaves open end.
_MARK = f"awictl-{os.urandom(16).hex()}"
_CLOSE_MARKED = b'],"' + _MARK.encode() + b'":0}}'
_BETWEEN = _CLOSE_MARKED + b","


class _MarkedHistory(_History, rename={"mark": _MARK}, kw_only=True):
    mark: int


class _MarkedHead(msgspec.Struct, gc=False):
    agent_id: str
    agent_name: str
    page_state: _Page
    statistics: _Statistics
    history: _MarkedHistory


_decode_marked_heads = msgspec.json.Decoder(list[_MarkedHead]).decode


#: The TTL of a string in milliseconds, its length in bytes, its first bytes, and why it could not be read.
Start = tuple[int | None, int, bytes, Exception | None]
_match_first_t = FIRST_T.match

#: Batches of fewer heads are not divided to find the one that cannot be decoded like the others.
_UNDIVIDED = 8


def decode_batch(session_ids: Sequence[str], starts: Sequence[Start]) -> list[SessionFields | None]:
    """The same as `decode_fields` for each session, in a third of the time."""
    cut = [start[2].partition(b"\n") for start in starts]
    heads = [head.rstrip() for head, _, _ in cut]
    laid_out = [head.endswith(OPEN) and newline != b"" for head, (_, newline, _) in zip(heads, cut, strict=True)]
    if all(laid_out):
        decoded = _decoded(heads)
    else:  # some are whole documents in the app's layout
        others = iter(_decoded(list(compress(heads, laid_out))))
        decoded = [next(others) if one else None for one in laid_out]
    return [
        _fields(session_id, start, len(before) + 1, after, head)
        if head is not None
        else decode_fields(session_id, start[2], start[1], start[0])
        for session_id, start, (before, _, after), head in zip(session_ids, starts, cut, decoded, strict=True)
    ]


def _decoded(heads: Sequence[bytes]) -> Sequence[_MarkedHead | None]:
    """Decode heads, without the spaces after them, as one array; None for each that may have to be decoded alone.

    Each must be one whole element of the array: as many elements as heads, all with the mark, of which each head has
    one, cannot be there if a head ends within a string or an object, or is several elements.
    """
    try:
        decoded = _decode_marked_heads(b"[" + _BETWEEN.join(heads) + _CLOSE_MARKED + b"]") if heads else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # also if a field has another type
        decoded = []
    if len(decoded) == len(heads):
        return decoded
    if len(heads) < _UNDIVIDED:
        return [None] * len(heads)
    half = len(heads) // 2
    return [*_decoded(heads[:half]), *_decoded(heads[half:])]


def _fields(session_id: str, start: Start, end: int, following: bytes, head: _MarkedHead) -> SessionFields | None:
    length = start[1]
    history, statistics = head.history, head.statistics
    last = history.last_action
    last_t, last_name = (last.t, last.action) if last is not None else (None, None)
    # the usual case of `count_actions`, without its calls
    first = _match_first_t(following) if history.trimmed_actions is None and length >= end + len(CLOSE) else None
    if first is not None and type(last_t) is int and 0 <= last_t < MAX_NUMBER:
        actions: int | None = last_t + 1 - number if (number := int(first[1])) <= last_t else 0
    else:
        actions = count_actions(last_t, history.trimmed_actions, start[2], end, length)
    if actions is None or history.actions or not statistics.last_activity:
        return None
    return _of_head(session_id, head, actions, start[0], length, end, last_name == SESSION_END)


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # also if a field has another type
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
    has_ended = history.last_action is not None and history.last_action.action == SESSION_END
    return _of_head(session_id, head, actions, ttl_ms, length, end, has_ended)


def _of_head(
    session_id: str, head: _Head | _MarkedHead, actions: int, ttl_ms: int | None, length: int, end: int, has_ended: bool
) -> SessionFields:
    """`end`: length of the first line, newline included."""
    statistics = head.statistics
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
        has_ended,
        None,
        length - end - len(CLOSE),
    )


def fields_of(
    session_id: str,
    head: dict[str, Any],
    actions: int | None,
    ttl_ms: int | None,
    length: int,
    error: str | None = None,
    trajectory_bytes: int | None = None,
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
        trajectory_bytes,
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int else None
