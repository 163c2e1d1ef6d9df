"""What a listing tells of a session, from the first bytes of its string, without making all of it into Python objects.

A listing of 200,000 sessions spends most of its time in parsing heads, and wants a few fields of them. The parser here
checks all of the first line as JSON, but makes objects of those fields only, and leaves the texts as they are written:

    {"session_id":"…","agent_id":"…","agent_name":"…", … "page_state":{"route":"…", …}, … "statistics":{…},
    "last_updated":"…","history":{"last_action":{"t":4, …},"actions":[   \\n{"t":0,…

Where anything is different there is no glance, and the caller parses the head in full.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from .action_numbers import count_up_to, next_t_after, t_of
from .byte_layout import OPEN, decode_head, has_no_action


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


class _History(msgspec.Struct, gc=False):
    actions: list[None]
    last_action: _Action | None = None
    trimmed_actions: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_history = msgspec.json.Decoder(_History).decode


class Glance(NamedTuple):
    """Those fields."""

    agent_id: str
    agent_name: str
    route: str
    last_activity: str
    #: How many actions the trajectory holds.
    actions: int
    #: How many there ever were, and how many of them failed, where the statistics tell.
    total_actions: int | None
    failed_actions: int | None


def glance(chunk: bytes, length: int) -> Glance | None:
    """Those fields from the first bytes of a string of `length` bytes; None where a glance does not do."""
    end = chunk.find(b"\n") + 1
    line = chunk[:end].rstrip()
    if not line.endswith(OPEN):
        return None
    line += b"]}}"
    try:
        head = _decode_head(line)
        history = _decode_history(head.history)
    except (msgspec.DecodeError, RecursionError):  # a field of another type is such an error too
        return None
    # the array that the line leaves open must be the trajectory, so the history must be what stands last
    if history.actions or not line.endswith(bytes(head.history) + b"}"):
        return None
    t = history.last_action.t if history.last_action is not None else None
    actions = _count(t, history.trimmed_actions, chunk, end, length)
    if actions is None:
        return None
    said = head.statistics
    return Glance(
        head.agent_id,
        head.agent_name,
        head.page_state.route,
        said.last_activity,
        actions,
        said.total_actions,
        said.failed_actions,
    )


def count_of_head(chunk: bytes, length: int) -> tuple[dict[str, Any], int] | None:
    """The head and the number of actions, from the first bytes of a string of `length` bytes; else None."""
    end = chunk.find(b"\n") + 1
    head = decode_head(chunk[:end]) if end else None
    if head is None:
        return None
    t = t_of(head["history"].get("last_action"))
    count = _count(t, head["history"].get("trimmed_actions"), chunk, end, length)
    return (head, count) if count is not None else None


def _count(t: Any, trimmed: Any, chunk: bytes, end: int, length: int) -> int | None:
    """How many actions a string of `length` bytes holds, whose first line is `end` bytes long."""
    if has_no_action(length, end):
        return 0
    return count_up_to(next_t_after(t, empty=False), trimmed, chunk, end)
