"""Pages of a trajectory, newest first, read from the end of the string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidData
from ..state import keys
from ..state.codec import loads
from ..state.layout import Base, actions_until, base_of_head, tail_lines
from .base import HistoryPage
from .connect import Server
from .listing import HEAD_CHUNK

if TYPE_CHECKING:
    from .redis import RedisStore

#: Bytes of a trajectory that are read first: about a hundred actions.
TAIL_CHUNK = 32_768


async def page(server: Server, store: RedisStore, session_id: str, limit: int, offset: int) -> HistoryPage | None:
    """The `limit` actions before the newest `offset` ones; None where there is no such session.

    One round trip where TAIL_CHUNK bytes hold the page; two for pages further back and for documents in the app's
    layout. Where actions differ wildly in size it may take another one.
    """
    key = keys.session_key(session_id)
    wanted = offset + limit
    base: Base | None = None
    size = TAIL_CHUNK
    while True:
        chunk, length, tail, ttl = await server.read(
            ("GETRANGE", key, 0, HEAD_CHUNK - 1), ("STRLEN", key), ("GETRANGE", key, -size, -1), ("PTTL", key)
        )
        chunk, length, tail = (server.checked(reply, key) for reply in (chunk, length, tail))
        if ttl == -2:
            return None
        base = base_of_head(chunk, length) or await store.read_base(session_id)
        if base is None:
            return None
        found = _from_tail(base, tail, wanted) if base.spliceable else None
        if found is None:  # the app's layout, or a write came in between
            whole = base if not base.spliceable else await store.read_base(session_id, whole=True)
            if whole is None:
                return None
            actions = whole.document["history"]["actions"]
            return HistoryPage(actions[::-1][offset:wanted], len(actions), limit, offset)
        actions, total = found
        if len(actions) >= min(wanted, total):
            return HistoryPage(actions[::-1][offset:wanted], total, limit, offset)
        # half as much again as so many actions take on average
        size = max(size * 2, len(tail) * (wanted + 1) * 3 // (2 * max(len(actions), 1)))


def _from_tail(base: Base, tail: bytes, wanted: int) -> tuple[list[Any], int] | None:
    """The newest actions in `tail`, oldest first, at least `wanted` where they are there; and how many there are.

    None where the two do not fit together.
    """
    inside = base.length - len(base.prefix)
    complete = len(tail) >= inside
    lines = tail_lines(tail[-inside:], from_start=complete)
    if not lines:
        return ([], 0) if base.empty else None
    try:
        actions = [loads(line) for line in lines[-wanted:]] if wanted else []
        newest = loads(lines[-1])
    except InvalidData:
        return None
    if complete:
        return actions, len(lines)
    # the number of the newest action counts them, even where it is newer than the head that was read
    t = newest.get("t") if isinstance(newest, dict) else None
    total = actions_until(base, t + 1) if isinstance(t, int) else None
    return (actions, total) if total is not None else None
