r"""The bytes of a session document in Redis, laid out so that an update costs the same at any length.

The string is plain JSON. Its first line, the *head*, is everything but the trajectory, padded with spaces to a
*slot*; then comes one action a line:

    {"session_id":…,"history":{"last_action":{…},"actions":[          \n
    {"t":0,…},\n
    {"t":1,…}\n
    ]}}

Compact JSON never contains a raw newline, so lines are exact boundaries, whatever the strings in the document say.
An update overwrites the slot in place and writes its line over the closing `\n]}}`: a `Splice`. The app writes the
same document compact, on one line: then there is no head to splice into and the whole string is rewritten once.

`t`, the number of an action, runs from 0 and never repeats. Where the app stopped counting (its `t` sticks at 100),
the next `t` is chosen so that, from then on, the number of actions kept is `next t - first t`; that is how the head
and the first line alone tell how long a trajectory is. `history.trimmed_actions` counts the actions that have left:
it is recorded by the first trimming (and where stored numbers have gaps), and then takes the place of the first `t`.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import InvalidData
from .json_codec import dumps, loads

#: How a head ends, before its padding.
OPEN = b'"actions":['
#: What follows the last action; an empty trajectory has the head's own newline in the place of this one's.
_CLOSE = b"\n]}}"
_FIRST_T = re.compile(rb'\{"t":([0-9]{1,16})[,}]')

#: Bytes after the head that tell the number of the first action.
FOLLOWING_BYTES = 32

#: Room that a new slot has for its head to grow, in bytes: at least this, or this share of the head.
SLACK_BYTES = 512
SLACK_SHARE = 4
#: A slot larger than this many bytes is given up when its head fills less than a quarter of it.
SPARSE_SLOT_BYTES = 16_384


class Base(NamedTuple):
    """What an update is based on, as it was read from the store. A tuple, since each request of an agent makes one."""

    #: The document; `history.actions` is there only where the whole string was read.
    document: dict[str, Any]
    #: The first bytes of the string, which must be unchanged for a write: the head, or all of a compact document.
    prefix: bytes
    #: Length of the whole string in bytes.
    length: int
    #: Where each action begins, in bytes from the start; None where only the head was read.
    lines: tuple[int, ...] | None
    #: Whether the string has the layout.
    spliceable: bool
    #: The first bytes after the head, at least FOLLOWING_BYTES where there are as many.
    following: bytes = b""

    @property
    def head(self) -> dict[str, Any]:
        """The document without its trajectory."""
        return without_actions(self.document)

    @property
    def empty(self) -> bool:
        """Whether a string with the layout holds no action at all."""
        return self.length < len(self.prefix) + len(_CLOSE)


@dataclass(frozen=True)
class Splice:
    """The change of a stored string: a new head, a range of the old bytes that stays, and what follows it."""

    head: bytes
    keep_from: int
    keep_to: int
    tail: bytes

    @property
    def length(self) -> int:
        """Length of the string afterwards, in bytes."""
        return len(self.head) + self.keep_to - self.keep_from + len(self.tail)


def encode(document: dict[str, Any]) -> bytes:
    """The document as awictl writes it, JSON-equal to what `decode` gives back.

    Compact, as the app writes it, where there is no trajectory to lay out, or one whose numbers the head could not
    stand for; the first update of such a document puts that right.
    """
    actions = _actions(document)
    if actions is None or not _countable(document, actions):
        return dumps(document)
    return encode_head(document) + b",\n".join(map(encode_action, actions)) + (_CLOSE if actions else _CLOSE[1:])


def decode(raw: bytes) -> dict[str, Any]:
    """The session document of a stored string, in either layout. Raises InvalidData where it is none."""
    document = loads(raw)
    if not isinstance(document, dict):
        raise InvalidData("not a session document: not a JSON object")
    return document


def encode_head(document: dict[str, Any], slot: int = 0) -> bytes:
    """The first line for a document, newline included. Its actions, if it has them, are left out.

    It fills `slot` bytes where it fits and the slot is not far too large for it; otherwise it gets a new slot.
    """
    opening = dumps({key: value for key, value in document.items() if key != "history"})[:-1]
    history = dumps({key: value for key, value in document["history"].items() if key != "actions"})[:-1]
    text = b"".join(
        (opening, b"" if opening == b"{" else b",", b'"history":', history, b"" if history == b"{" else b",", OPEN)
    )
    needed = len(text) + 1
    if not needed <= slot <= max(SPARSE_SLOT_BYTES, needed * 4):
        slot = needed + max(SLACK_BYTES, needed // SLACK_SHARE)
    return text.ljust(slot - 1) + b"\n"


def encode_action(action: Any) -> bytes:
    """The line of one action, without its newline: `t` first and op_id last, so that both can be found as bytes."""
    if isinstance(action, dict):
        first = {"t": action["t"]} if "t" in action else {}
        last = {"op_id": action["op_id"]} if "op_id" in action else {}
        action = {**first, **{key: value for key, value in action.items() if key not in ("t", "op_id")}, **last}
    return dumps(action)


def op_id_mark(op_id: str) -> bytes:
    """How the line of an action with this op_id ends. Nothing else in a laid-out string has it before a newline."""
    return b',"op_id":' + dumps(op_id) + b"}"


def decode_head(line: bytes) -> dict[str, Any] | None:
    """The document without its trajectory, from the first line of a string; None where that is not a head."""
    text = line.rstrip()
    if not text.endswith(OPEN):
        return None
    try:
        document = loads(text + b"]}}")
    except InvalidData:
        return None
    # the array that the line leaves open must be the trajectory
    if not isinstance(document, dict) or next(reversed(document)) != "history":
        return None
    history = document["history"]
    if not isinstance(history, dict) or next(reversed(history)) != "actions" or history["actions"] != []:
        return None
    del history["actions"]
    return document


def is_closed(end: bytes) -> bool:
    """Whether a string with these last bytes ends as one with the layout does."""
    return end.endswith(_CLOSE)


def base_of_head(chunk: bytes, length: int) -> Base | None:
    """The base for an update from the first bytes of a string of `length` bytes: its first line and a little more.

    None where that line is not a head, or not whole. It does not tell whether the string `is_closed`.
    """
    end = chunk.find(b"\n") + 1
    head = decode_head(chunk[:end]) if end else None
    if head is None:
        return None
    return Base(head, chunk[:end], length, None, True, chunk[end : end + FOLLOWING_BYTES])


def base_of_whole(raw: bytes) -> Base:
    """The base for an update where the whole string was read. Raises InvalidData where it is no session document."""
    return _base_of_lines(raw) or _base_of_compact(raw)


def _base_of_lines(raw: bytes) -> Base | None:
    """The base for a string with the layout, which is a head and lines that are values each; else None."""
    end = raw.find(b"\n") + 1
    head = decode_head(raw[:end])
    if head is None or not raw.endswith(_CLOSE):
        return None
    lines = raw[end : -len(_CLOSE)].split(b",\n") if len(raw) > end + len(_CLOSE) else []
    try:
        actions = [loads(line) for line in lines]
    except InvalidData:
        return None
    starts = itertools.accumulate((len(line) + 2 for line in lines[:-1]), initial=end)
    document = {**head, "history": {**head["history"], "actions": actions}}
    return Base(document, raw[:end], len(raw), tuple(starts) if lines else (), True, raw[end : end + FOLLOWING_BYTES])


def _base_of_compact(raw: bytes) -> Base:
    document = decode(raw)
    _required_actions(document)
    return Base(document, raw, len(raw), None, False)


def next_t(base: Base) -> int:
    """The number of the next action: larger than any so far (see the head of this page)."""
    actions = _actions(base.document)
    if actions is not None:
        return _next_t(base.document, actions)
    last = _t(base.document["history"].get("last_action"))
    if last is not None:
        return last + 1
    return 0 if base.empty else 1


def next_t_of(document: dict[str, Any]) -> int:
    """The same for a whole document. Raises InvalidData where it has no trajectory."""
    return _next_t(document, _required_actions(document))


def action_count(base: Base) -> int | None:
    """How many actions the string of `base` holds; None where its head does not tell."""
    actions = _actions(base.document)
    if actions is not None:
        return len(actions)
    if base.empty:
        return 0
    return actions_until(base, next_t(base))


def count_of_head(chunk: bytes, length: int) -> tuple[dict[str, Any], int] | None:
    """The head and the number of actions, from the first bytes of a string of `length` bytes; else None.

    The same as `action_count(base_of_head(…))` in half the time, for listings of very many sessions.
    """
    end = chunk.find(b"\n") + 1
    head = decode_head(chunk[:end]) if end else None
    if head is None:
        return None
    last = head["history"].get("last_action")
    t = last.get("t") if isinstance(last, dict) else None
    count = count_of_first_line(t, head["history"].get("trimmed_actions"), chunk, end, length)
    return (head, count) if count is not None else None


def count_of_first_line(t: Any, left: Any, chunk: bytes, end: int, length: int) -> int | None:
    """How many actions a string of `length` bytes holds, whose first line is `end` bytes long.

    `t` and `left`: what that line has for the number of the last action, and for `trimmed_actions`.
    """
    if length < end + len(_CLOSE):
        return 0
    last = _number(t)
    if type(left) is not int:
        first = _FIRST_T.match(chunk, end)
        if first is None:
            return None
        left = int(first[1])
    return max((last + 1 if last is not None else 1) - int(left), 0)


def actions_until(base: Base, t: int) -> int | None:
    """How many actions a string with the layout holds, the next being number `t`; None where its head does not tell."""
    left = base.document["history"].get("trimmed_actions")
    if type(left) is not int:
        first = _FIRST_T.match(base.following)
        if first is None:
            return None
        left = int(first[1])
    return max(t - left, 0)


def splice(base: Base, head: dict[str, Any], action: dict[str, Any], drop: int = 0) -> Splice:
    """The change that gives a string a new head and one more action, and drops its `drop` oldest actions.

    `drop` needs a base that was read whole.
    """
    line = encode_action(action)
    if not base.spliceable:
        kept = [encode_action(one) for one in base.document["history"]["actions"][drop:]]
        return Splice(encode_head(head), 0, 0, b",\n".join([*kept, line]) + _CLOSE)
    start = end = len(base.prefix)
    if not base.empty:
        end = base.length - len(_CLOSE)
    if drop and base.lines is not None:
        start = base.lines[drop] if drop < len(base.lines) else end
    joint = b",\n" if end > start else b""
    return Splice(encode_head(head, len(base.prefix)), start, end, joint + line + _CLOSE)


def base_after(base: Base, head: dict[str, Any], change: Splice) -> Base:
    """The base for the next update, once `change` was written."""
    following = base.following
    if change.keep_from != len(base.prefix) or change.keep_to <= change.keep_from:
        # the first action is another one now; where it is not the one just written, the head tells the count
        following = b"" if change.keep_to > change.keep_from else change.tail[:FOLLOWING_BYTES]
    return Base(head, change.head, change.length, None, True, following)


def without_actions(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its trajectory: what callers call the head."""
    history = document.get("history")
    if not isinstance(history, dict) or "actions" not in history:
        return document
    return {**document, "history": {key: value for key, value in history.items() if key != "actions"}}


def tail_lines(tail: bytes, *, from_start: bool) -> list[bytes]:
    """The whole action lines in the last bytes of a string with the layout, oldest first.

    `from_start`: whether `tail` begins with the first action; otherwise what precedes its first newline is cut off.
    """
    body = tail.removesuffix(_CLOSE)
    if body is tail:  # an empty trajectory, or no layout at all
        return []
    lines = body.split(b",\n")
    return lines if from_start else lines[1:]


def _actions(document: dict[str, Any]) -> list[Any] | None:
    history = document.get("history")
    actions = history.get("actions") if isinstance(history, dict) else None
    return actions if isinstance(actions, list) else None


def _required_actions(document: dict[str, Any]) -> list[Any]:
    actions = _actions(document)
    if actions is None:
        raise InvalidData("not a session document: it has no history.actions")
    return actions


def _next_t(document: dict[str, Any], actions: list[Any]) -> int:
    numbers = [number for number in map(_t, actions) if number is not None]
    last = _t(document["history"].get("last_action"))
    left = document["history"].get("trimmed_actions")
    first = left if type(left) is int and 0 <= left < 2**53 else _t(actions[0]) if actions else None
    return max(max(numbers, default=-1) + 1, (last if last is not None else -1) + 1, (first or 0) + len(actions))


def _t(action: Any) -> int | None:
    return _number(action.get("t")) if isinstance(action, dict) else None


def _number(number: Any) -> int | None:
    return number if type(number) is int and 0 <= number < 2**53 else None


def _countable(document: dict[str, Any], actions: list[Any]) -> bool:
    """Whether a head and a first line would tell how many actions there are."""
    history = document["history"]
    t = _next_t(document, actions)
    last = _t(history.get("last_action"))
    if t != (last + 1 if last is not None else min(len(actions), 1)):
        return False
    left = history.get("trimmed_actions")
    if type(left) is not int:
        left = _t(actions[0]) if actions else t
    return left is not None and left == t - len(actions)
