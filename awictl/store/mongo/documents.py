"""How a session string is divided among MongoDB documents, and put together again, byte for byte. No I/O.

A string with the layout of `document.byte_layout` is divided into its head (the first line), the newest action lines,
which the session's document has in an array, and *parts*: older lines, which do not change any more and are documents
of their own. So an update sends one line, whatever the length of the trajectory, and no document reaches the limit of
16 MiB. A string in another layout (the app's) is kept as it is: its first bytes as the head, the others in parts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ...document.byte_layout import CLOSE
from ...document.schema import as_text
from ...document.splice import FOLLOWING_BYTES, base_from_string
from ...errors import InvalidData
from ...util.batched import batched, batched_by_bytes

Document = dict[str, Any]

#: Maximum number of action lines in a session's document, and their size in bytes, before the older ones are moved to
#: a part; and how many of the newest ones stay then.
MAX_LINES, MAX_LINES_BYTES = 128, 1_048_576
KEPT_LINES, KEPT_LINES_BYTES = 64, 524_288
#: Maximum size of a head together with the last delta, in bytes: a document of MongoDB can have 16 MiB.
MAX_HEAD_BYTES = 12_582_912
#: Size of the pieces of a string that does not have the layout, in bytes.
PIECE_BYTES = 8_388_608
#: Maximum size of one action line, in bytes.
MAX_LINE_BYTES = 15_728_640

#: Number of ids in one request: the time that some servers take to find them grows with the square of it.
BATCH_IDS = 100

#: The expiry of what never expires, where dates are compared.
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
#: By how much parts outlive the time until which the session's document knows them to last, and by how much that time
#: is set beyond the session's expiry, so that it need not be set anew by every update.
PARTS_OUTLIVE = timedelta(days=1)

_JOINT = b",\n"
_OP_ID = re.compile(rb',"op_id":"([A-Za-z0-9_.:-]{1,128})"}$')


class Part(NamedTuple):
    """A document with older lines, or with a piece of a string that does not have the layout."""

    id: str
    #: Number of its lines that are part of the string; 0 for a piece.
    actions: int
    #: Their size in bytes, with what joins them.
    bytes: int
    #: Number of bytes before them, of lines that were trimmed.
    skip: int = 0


class NewPart(NamedTuple):
    """A part that is still to be written."""

    part: Part
    data: bytes
    #: The op_ids of its actions.
    op_ids: list[str]


class Divided(NamedTuple):
    """A session string, divided."""

    head: bytes
    parts: list[NewPart]
    lines: list[bytes]
    #: Number of actions; None if the string does not have the layout.
    actions: int | None
    length: int
    #: The id of its agent, if it has one.
    agent_id: str | None


def divide(session_id: str, revision: int, raw: bytes) -> Divided:
    """Divide a session string, whatever it contains."""
    head, lines, agent_id = _lines_of(raw)
    if lines is None:
        pieces = list(batched(raw, PIECE_BYTES)) or [b""]
        parts = [_new_part(session_id, revision, piece, 0, []) for piece in pieces[1:]]
        return Divided(pieces[0], parts, [], None, len(raw), agent_id)
    parts, kept = seal(session_id, revision, lines)
    return Divided(head, parts, kept, len(lines), len(raw), agent_id)


def _lines_of(raw: bytes) -> tuple[bytes, list[bytes] | None, str | None]:
    """The head, the action lines, and the id of the agent.

    None instead of the lines if the string does not have the layout, or its head or one of its lines is too large for a
    document.
    """
    try:
        base = base_from_string(raw)
    except InvalidData:
        return raw, None, None
    head, agent_id = base.prefix, as_text(base.document.get("agent_id"))
    if not base.spliceable or len(head) > MAX_HEAD_BYTES:
        return raw, None, agent_id
    lines = raw[len(head) : -len(CLOSE)].split(_JOINT) if base.lines else []
    if join(head, lines, len(lines)) != raw or max(map(len, lines), default=0) > MAX_LINE_BYTES:
        return raw, None, agent_id
    return head, lines, agent_id


def join(head: bytes, pieces: Sequence[bytes], count: int | None) -> bytes:
    """The session string of a head and what follows it: pieces, or lines. `count`: number of actions, or None."""
    if count is None:
        return head + b"".join(pieces)
    return head + _JOINT.join(pieces) + (CLOSE if pieces else CLOSE[1:])


def seal(session_id: str, revision: int, lines: Sequence[bytes]) -> tuple[list[NewPart], list[bytes]]:
    """Move the older ones of these lines to parts if there are too many. Returns the parts and the other lines."""
    if len(lines) <= MAX_LINES and size_of(lines) <= MAX_LINES_BYTES:
        return [], list(lines)
    kept = size = 0
    for line in reversed(lines):
        size += len(line) + len(_JOINT)
        if kept == KEPT_LINES or size > KEPT_LINES_BYTES:
            break
        kept += 1
    older = lines[: len(lines) - kept]
    groups = batched_by_bytes(older, lambda line: len(line) + len(_JOINT), MAX_LINES_BYTES, MAX_LINES)
    parts = [_new_part(session_id, revision, _JOINT.join(group), len(group), op_ids_of(group)) for group in groups]
    return parts, list(lines[len(lines) - kept :])


def _new_part(session_id: str, revision: int, data: bytes, count: int, op_ids: list[str]) -> NewPart:
    # random, because two processes may seal the same version of a session
    part_id = f"{session_id}:{revision}:{secrets.token_hex(6)}"
    return NewPart(Part(part_id, count, len(data)), data, op_ids)


def size_of(lines: Sequence[bytes]) -> int:
    """The size of lines in a session's document, in bytes, as `inline_bytes` counts them."""
    return sum(map(len, lines)) + len(_JOINT) * len(lines)


def op_ids_of(lines: Sequence[bytes]) -> list[str]:
    """The op_ids of action lines, where these have one."""
    return [found[1].decode() for line in lines if (found := _OP_ID.search(line))]


def without_first(
    parts: Sequence[Part], lines: Sequence[bytes], drop: int, starts: Sequence[int]
) -> tuple[list[Part], list[bytes]]:
    """The parts and the lines of a string without its `drop` oldest actions.

    `starts`: the offset of each action in the string.
    """
    left = list(parts)
    first = 0
    while drop and left:
        part = left[0]
        dropped = min(drop, part.actions)
        if dropped == part.actions:
            left.pop(0)
        else:
            skipped = starts[first + dropped] - starts[first]
            left[0] = Part(part.id, part.actions - dropped, part.bytes - skipped, part.skip + skipped)
        first += dropped
        drop -= dropped
    return left, list(lines[drop:])


def string_fields(raw: bytes, divided: Divided) -> Document:
    """The fields of a session's document that its string determines. `raw`: the string that was divided."""
    return {
        "head": divided.head,
        "following": raw[len(divided.head) :][:FOLLOWING_BYTES],
        "parts": stored_parts([new.part for new in divided.parts]),
        "lines": divided.lines,
        "op_ids": op_ids_of(divided.lines),
        "inline": len(divided.lines),
        "inline_bytes": size_of(divided.lines),
        "count": divided.actions,
        "length": divided.length,
    }


def stored_parts(parts: Sequence[Part]) -> list[Document]:
    """Parts as a session's document lists them."""
    return [part._asdict() for part in parts]


def parts_of(found: Mapping[str, Any]) -> list[Part]:
    """The parts that a session's document lists. Raises InvalidData."""
    parts = []
    for one in of_type(found, "parts", list):
        if not isinstance(one, dict):
            raise InvalidData("a part of it is not an object")
        numbers = [of_type(one, name, int) for name in Part._fields[1:]]
        if min(numbers) < 0:
            raise InvalidData("a part of it has a negative size")
        parts.append(Part(of_type(one, "id", str), *numbers))
    return parts


def lines_of(found: Mapping[str, Any]) -> list[bytes]:
    """The lines in a session's document. Raises InvalidData."""
    lines: list[Any] = of_type(found, "lines", list)
    if not {*map(type, lines)} <= {bytes}:
        raise InvalidData("one of its lines is not binary")
    return lines


def of_type(found: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field of a stored document. Raises InvalidData if it is missing or has another type."""
    value = found.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidData(f"its field {name} is missing or not {_NAMES.get(kind, kind.__name__)}")
    return int(value) if isinstance(value, int) else value  # a 64-bit integer is of a class of its own


_NAMES = {bytes: "binary", int: "an integer", list: "an array", str: "a string", datetime: "a date"}
_MISSING = object()


def expiry_of(found: Mapping[str, Any], name: str = "expires_at") -> datetime | None:
    """When a stored document expires; None if it never does. Raises InvalidData."""
    value = found.get(name, _MISSING)
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidData(f"its field {name} is missing or not a date")
    return value


def live_at(now: datetime) -> Document:
    """The condition that a document has not expired. It has no `$or`: that could keep a server from using an index."""
    return {"expires_at": {"$not": {"$lte": now}}}


def count_of(found: Mapping[str, Any]) -> int | None:
    """The number of actions; None if the string does not have the layout. Raises InvalidData."""
    if "count" in found and found["count"] is None:
        return None
    return int(of_type(found, "count", int))


def ttl_ms(expires_at: datetime | None, now: datetime) -> int | None:
    """Milliseconds until an expiry, at least 0; None if there is none."""
    return None if expires_at is None else max((expires_at - now) // timedelta(milliseconds=1), 0)
