r"""The bytes of a session document in Redis, laid out so that an update costs the same at any length.

The string is plain JSON. Its first line, the *head*, is everything but the trajectory, padded with spaces to a
*slot*; then comes one action per line:

    {"session_id":…,"history":{"last_action":{…},"actions":[          \n
    {"t":0,…},\n
    {"t":1,…}\n
    ]}}

Compact JSON never contains a raw newline, so each newline is a boundary, whatever the strings in the document contain.
An update overwrites the slot in place and appends its line over the closing `\n]}}` (see `splice`). The app writes the
same document compact, on one line: such a string is rewritten once, by its first update.

`action_numbers` explains how the head and the first line give the number of actions.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidData, InvalidInput
from .action_numbers import actions_of, are_consecutive, count_up_to, next_t_after, t_of
from .json_codec import dumps, json_equal, loads

#: The end of a head, before its padding.
OPEN = b'"actions":['
#: What follows the last action. If the trajectory is empty, the newline of the head takes the place of this one.
CLOSE = b"\n]}}"

#: Minimum room for growth in a new slot, in bytes.
SLACK_BYTES = 512
#: Room for growth in a new slot: at least the length of the head divided by this.
SLACK_DIVISOR = 4
#: A slot larger than this many bytes is replaced by a smaller one if its head fills less than a quarter of it.
SPARSE_SLOT_BYTES = 16_384


def encode(document: dict[str, Any]) -> bytes:
    """The stored string of a document; JSON-equal to what `decode` returns.

    Compact, as the app writes it, if there is no trajectory, or if its numbers do not determine how many actions it has
    (see `action_numbers`); the first update of such a document corrects that.
    """
    actions = actions_of(document)
    if actions is None or not are_consecutive(document):
        return dumps(document)
    return encode_head(document) + b",\n".join(map(encode_action, actions)) + (CLOSE if actions else CLOSE[1:])


def decode(raw: bytes) -> dict[str, Any]:
    """The session document of a stored string, in either layout. Raises InvalidData if it is not a JSON object."""
    document = loads(raw)
    if not isinstance(document, dict):
        raise InvalidData("not a session document: not a JSON object")
    return document


def encode_head(document: dict[str, Any], slot: int = 0) -> bytes:
    """The first line of a document, newline included; the actions are left out.

    It is padded to `slot` bytes if it fits and the slot is not far too large for it; otherwise to a new slot.
    """
    opening = dumps({key: value for key, value in document.items() if key != "history"})[:-1]
    history = dumps({key: value for key, value in document["history"].items() if key != "actions"})[:-1]
    text = b"".join(
        (opening, b"" if opening == b"{" else b",", b'"history":', history, b"" if history == b"{" else b",", OPEN)
    )
    needed = len(text) + 1
    if not needed <= slot <= max(SPARSE_SLOT_BYTES, needed * 4):
        slot = needed + max(SLACK_BYTES, needed // SLACK_DIVISOR)
    return text.ljust(slot - 1) + b"\n"


def encode_action(action: Any) -> bytes:
    """The line of an action, without its newline: `t` first and op_id last, so that both can be found as bytes."""
    if isinstance(action, dict):
        first = {"t": action["t"]} if "t" in action else {}
        last = {"op_id": action["op_id"]} if "op_id" in action else {}
        action = {**first, **{key: value for key, value in action.items() if key not in ("t", "op_id")}, **last}
    return dumps(action)


def op_id_mark(op_id: str) -> bytes:
    """The end of the line of an action with this op_id. In a string with the layout it occurs nowhere else before a
    newline."""
    return b',"op_id":' + dumps(op_id) + b"}"


def decode_head(line: bytes) -> dict[str, Any] | None:
    """The document without its trajectory, from the first line of a string; None if that line is not a head."""
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


def decode_counted_head(chunk: bytes, length: int) -> tuple[dict[str, Any], int] | None:
    """The head and the number of actions, from the first bytes of a string of `length` bytes.

    None if they contain no complete head, or do not determine the number. `splice.base_from_head` with
    `splice.action_count` gives the same, but takes 1.3 times as long, which counts in a listing of all sessions.
    """
    end = chunk.find(b"\n") + 1
    head = decode_head(chunk[:end]) if end else None
    if head is None:
        return None
    history = head["history"]
    count = count_actions(t_of(history.get("last_action")), history.get("trimmed_actions"), chunk, end, length)
    return (head, count) if count is not None else None


def count_actions(last_t: Any, trimmed: Any, chunk: bytes, end: int, length: int) -> int | None:
    """How many actions a string of `length` bytes has; None if that is not determined.

    `last_t`, `trimmed`: the number of the last action and `trimmed_actions`, as stored. `chunk`: the first bytes of the
    string. `end`: length of its first line.
    """
    if has_no_action(length, end):
        return 0
    return count_up_to(next_t_after(last_t, empty=False), trimmed, chunk, end)


def is_closed(end: bytes) -> bool:
    """Whether a string with these last bytes ends as a string with the layout does."""
    return end.endswith(CLOSE)


def ends_with_last_action(head: dict[str, Any], head_length: int, length: int, tail: bytes) -> bool | None:
    """Whether a string with this head ends as awictl writes it: the last line is the last action of the head.

    So an array that closes like the trajectory, but is another one, is not taken for it. `tail`: the last bytes of the
    string. Both lengths in bytes. None if `tail` does not contain the whole last line.
    """
    if not is_closed(tail):
        return False
    if has_no_action(length, head_length):
        return True
    inside = tail[-(length - head_length) :]
    _, newline, line = inside[: -len(CLOSE)].rpartition(b"\n")
    is_only_line = not newline and len(inside) == length - head_length
    if not newline and not is_only_line:
        return None
    last = head["history"].get("last_action")
    try:
        if isinstance(last, dict):
            return line == encode_action(last) or json_equal(loads(line), last)
        # a new session has no last action, but a first line; as the only one, it is the whole trajectory
        return is_only_line and isinstance(loads(line), dict)
    except (InvalidData, InvalidInput, RecursionError):
        return False


def has_no_action(length: int, head_length: int) -> bool:
    """Whether a string with the layout has an empty trajectory. Both lengths in bytes."""
    return length < head_length + len(CLOSE)


def complete_lines(tail: bytes, *, from_start: bool) -> list[bytes]:
    """The complete action lines in the last bytes of a string with the layout, oldest first.

    `from_start`: whether `tail` starts with the first action; otherwise what precedes its first newline is dropped.
    """
    body = tail.removesuffix(CLOSE)
    if body is tail:  # an empty trajectory, or not this layout
        return []
    lines = body.split(b",\n")
    return lines if from_start else lines[1:]
