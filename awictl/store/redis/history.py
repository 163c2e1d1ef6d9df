"""Read pages of a trajectory, newest action first, from the end of the string by GETRANGE."""

from __future__ import annotations

from typing import Any

from ...document import keys
from ...document.byte_layout import complete_lines, ends_with_last_action, is_closed
from ...document.json_codec import loads
from ...document.splice import Base, action_count_before, base_from_head, base_from_string
from ...errors import InvalidData, TooLarge
from ..base import HistoryPage
from .listing import HEAD_CHUNK
from .server import Server

#: Last bytes of a trajectory that are read first: about a hundred actions.
TAIL_CHUNK = 32_768
#: First bytes of a document that are read if the head is not within the first HEAD_CHUNK. It has the last action.
LARGE_HEAD_CHUNKS = (262_144, 4_194_304)


async def page(
    server: Server, session_id: str, limit: int, offset: int, max_bytes: int, most: int | None = None
) -> HistoryPage | None:
    """Read `limit` actions, newest first, after skipping the newest `offset`; None if the session does not exist.

    One round trip if the first and the last bytes of the string contain what is needed; two for later pages, large
    heads, and documents in the app's layout. If the sizes of actions differ widely, it may take more.

    Raises TooLarge if more than `most` bytes would have to be read.
    """
    key = keys.session_key(session_id)
    wanted = max(offset + limit, 1)
    head_size, tail_size, length = HEAD_CHUNK, TAIL_CHUNK, 0
    while True:
        if most is not None and min(length, max(head_size, tail_size)) > most:
            raise TooLarge(
                f"{server.where}, key {key}: more than {most:,} of its {length:,} bytes would have to be read"
            )
        chunk, length, tail, ttl = await server.execute_idempotent(
            ("GETRANGE", key, 0, head_size - 1), ("STRLEN", key), ("GETRANGE", key, -tail_size, -1), ("PTTL", key)
        )
        chunk, length, tail = (server.checked(reply, key) for reply in (chunk, length, tail))
        if ttl == -2:
            return None
        if len(chunk) >= length:
            return _slice(decode_base(server, key, chunk).document["history"]["actions"], limit, offset)
        server.check_size(key, length, max_bytes)
        base = base_from_head(chunk, length) if is_closed(tail) else None
        if base is not None and ends_with_last_action(base.document, len(base.prefix), length, tail) is False:
            head_size, tail_size = max_bytes, 1  # another layout, or written to between the reads
            continue
        if base is not None:
            found = _from_tail(base, tail, wanted)
            if found is None:  # the session was written to between the reads
                head_size = max_bytes
                continue
            actions, total = found
            if len(actions) >= min(wanted, total):
                return HistoryPage(actions[::-1][offset : offset + limit], total, limit, offset)
        elif is_closed(tail) and head_size < LARGE_HEAD_CHUNKS[-1]:
            head_size = next(one for one in LARGE_HEAD_CHUNKS if one > head_size)
        else:  # the app's layout: needs the full string
            head_size, tail_size = max_bytes, 1
            continue
        tail_size = min(_enough(tail, wanted, tail_size), max_bytes)


def _enough(tail: bytes, wanted: int, tail_size: int) -> int:
    """How many bytes probably contain the `wanted` newest actions: 1.5 times their average size."""
    lines = max(tail.count(b"\n") - 1, 0)
    if lines > wanted:
        return tail_size
    return max(tail_size * 4, len(tail) * (wanted + 1) * 3 // (2 * max(lines, 1)))


def decode_base(server: Server, key: str, raw: bytes) -> Base:
    """The base from a full string. Raises InvalidData, whose message names the key."""
    try:
        return base_from_string(raw)
    except InvalidData as error:
        raise InvalidData(f"{server.where}, key {key}: {error}") from None


def base_from_start(server: Server, key: str, length: int, chunk: bytes, end: bytes, max_bytes: int) -> Base | None:
    """The base from the first bytes (`chunk`) and the last line (`end`) of a string of `length` bytes.

    None if the full string is needed. Raises TooLarge, InvalidData.
    """
    server.check_size(key, length, max_bytes)
    base = base_from_head(chunk, length) if is_closed(end) else None
    if base is not None and not ends_with_last_action(base.document, len(base.prefix), length, end):
        base = None
    if base is None and len(chunk) == length:
        return decode_base(server, key, chunk)
    return base


def _slice(actions: list[Any], limit: int, offset: int) -> HistoryPage:
    return HistoryPage(actions[::-1][offset : offset + limit], len(actions), limit, offset)


def _from_tail(base: Base, tail: bytes, wanted: int) -> tuple[list[Any], int] | None:
    """The newest actions in the last bytes of a string, oldest first, and the length of the trajectory.

    Up to `wanted` actions, as many as `tail` contains. None if `tail` does not belong to the version of `base`.
    """
    inside = base.length - len(base.prefix)
    complete = len(tail) >= inside
    lines = complete_lines(tail[-inside:], from_start=complete)
    if not lines:
        return [], 0 if base.empty else 1
    try:
        actions = [loads(line) for line in lines[-wanted:]]
        newest = loads(lines[-1])
    except InvalidData:
        return None
    if complete:
        return actions, len(lines)
    # counted by the number of the newest action, which may be newer than the head
    t = newest.get("t") if isinstance(newest, dict) else None
    total = action_count_before(base, t + 1) if isinstance(t, int) else None
    return (actions, total) if total is not None else None
