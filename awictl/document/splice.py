"""How an update changes a stored string: the version that it is based on, and the bytes to write."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import InvalidData
from .action_numbers import actions_of, count_up_to, first_t_in, next_t_after, next_t_of, required_actions, t_of
from .byte_layout import CLOSE, decode, decode_head, encode_action, encode_head, has_no_action
from .json_codec import loads

#: Bytes after the head that contain the number of the first action.
FOLLOWING_BYTES = 32


class Base(NamedTuple):
    """The stored version of a session that an update is based on. A tuple, because each request creates one."""

    #: The document. `history.actions` is missing if only the head was read.
    document: dict[str, Any]
    #: The first bytes of the string, which must be unchanged for a write: the head, or all of a compact document.
    prefix: bytes
    #: Length of the string in bytes.
    length: int
    #: Offset of each action from the start, in bytes; None if only the head was read.
    lines: tuple[int, ...] | None
    #: Whether the string has the layout of `byte_layout`, so that an update can be spliced in.
    spliceable: bool
    #: The first bytes after the head: FOLLOWING_BYTES, or what there is.
    following: bytes = b""
    #: The revision of the stored version, if the store counts them; each write adds 1.
    revision: int = 0

    @property
    def head(self) -> dict[str, Any]:
        """The document without its trajectory."""
        history = self.document.get("history")
        if not isinstance(history, dict) or "actions" not in history:
            return self.document
        return {**self.document, "history": {key: value for key, value in history.items() if key != "actions"}}

    @property
    def memory(self) -> int:
        """Estimate of its size in memory, in bytes: what was read, and the objects that were decoded from it.

        It is never much too low, whatever the document is: each object takes at most 200 bytes, each array and each
        further value 64, and each character four.
        """
        raw = self.prefix
        return 5 * len(raw) + 200 * raw.count(b"{") + 64 * (raw.count(b"[") + raw.count(b","))

    @property
    def empty(self) -> bool:
        """Whether a string with the layout has no actions."""
        return has_no_action(self.length, len(self.prefix))


class Splice(NamedTuple):
    """The change of a stored string: a new head, then a range of the old bytes to keep, then a new tail."""

    head: bytes
    #: Offset of the first old byte to keep, and the offset behind the last one.
    keep_from: int
    keep_to: int
    tail: bytes

    @property
    def length(self) -> int:
        """Length of the new string in bytes."""
        return len(self.head) + self.keep_to - self.keep_from + len(self.tail)


def base_from_head(chunk: bytes, length: int) -> Base | None:
    """The base for an update, from the first bytes of a string of `length` bytes: its first line and a little more.

    None if that line is not a head or is not complete. Does not check the end of the string: see
    `byte_layout.ends_with_last_action`.
    """
    end = chunk.find(b"\n") + 1
    head = decode_head(chunk[:end]) if end else None
    if head is None:
        return None
    return Base(head, chunk[:end], length, None, True, chunk[end : end + FOLLOWING_BYTES])


def base_from_string(raw: bytes) -> Base:
    """The base for an update, from the full string. Raises InvalidData if it is not a session document."""
    return _base_from_lines(raw) or _base_from_compact(raw)


def _base_from_lines(raw: bytes) -> Base | None:
    """The base for a string with the layout; None if it is not a head followed by one JSON value per line."""
    end = raw.find(b"\n") + 1
    head = decode_head(raw[:end])
    if head is None or not raw.endswith(CLOSE):
        return None
    lines = raw[end : -len(CLOSE)].split(b",\n") if len(raw) > end + len(CLOSE) else []
    try:
        actions = [loads(line) for line in lines]
    except InvalidData:
        return None
    starts = itertools.accumulate((len(line) + 2 for line in lines[:-1]), initial=end)
    document = {**head, "history": {**head["history"], "actions": actions}}
    return Base(document, raw[:end], len(raw), tuple(starts) if lines else (), True, raw[end : end + FOLLOWING_BYTES])


def _base_from_compact(raw: bytes) -> Base:
    document = decode(raw)
    required_actions(document)
    return Base(document, raw, len(raw), None, False)


def next_t(base: Base) -> int:
    """The number of the next action: greater than any before (see `action_numbers`)."""
    if actions_of(base.document) is not None:
        return next_t_of(base.document)
    return next_t_after(t_of(base.document["history"].get("last_action")), empty=base.empty)


def first_t(base: Base) -> int | None:
    """The number of the first action; None if there is none, or it has no number."""
    actions = actions_of(base.document)
    if actions is not None:
        return t_of(actions[0]) if actions else None
    return first_t_in(base.following)


def action_count(base: Base) -> int | None:
    """How many actions the string has; None if its head does not determine it."""
    actions = actions_of(base.document)
    if actions is not None:
        return len(actions)
    return 0 if base.empty else action_count_before(base, next_t(base))


def action_count_before(base: Base, next_t: int) -> int | None:
    """How many actions the string has if the next one is number `next_t`; None if its head does not determine it."""
    return count_up_to(next_t, base.document["history"].get("trimmed_actions"), base.following)


def splice(base: Base, head: dict[str, Any], action: dict[str, Any], drop: int = 0) -> Splice:
    """The change that gives a string a new head and one more action, and drops its `drop` oldest actions.

    A `drop` above 0 needs a base from the full string.
    """
    return splice_many(base, head, [action], drop)


def splice_many(base: Base, head: dict[str, Any], actions: Sequence[dict[str, Any]], drop: int = 0) -> Splice:
    """Like `splice`, for several further actions; there must be at least one."""
    lines = [encode_action(one) for one in actions]
    if not base.spliceable:
        kept = [encode_action(one) for one in base.document["history"]["actions"][drop:]]
        return Splice(encode_head(head), 0, 0, b",\n".join([*kept, *lines]) + CLOSE)
    start = end = len(base.prefix)
    if not base.empty:
        end = base.length - len(CLOSE)
    if drop and base.lines is not None:
        start = base.lines[drop] if drop < len(base.lines) else end
    joint = b",\n" if end > start else b""
    return Splice(encode_head(head, len(base.prefix)), start, end, joint + b",\n".join(lines) + CLOSE)


def base_after(base: Base, head: dict[str, Any], change: Splice) -> Base:
    """The base for the next update, after `change` was written."""
    following = base.following
    if change.keep_from != len(base.prefix) or change.keep_to <= change.keep_from:
        # The first action is another one now. Unless it is the new action, `head` determines the number of actions.
        following = b"" if change.keep_to > change.keep_from else change.tail[:FOLLOWING_BYTES]
    return Base(head, change.head, change.length, None, True, following, base.revision + 1)
