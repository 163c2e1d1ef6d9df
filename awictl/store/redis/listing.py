"""Listing sessions: paced SCANs, and what the heads of documents tell without fetching them whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from typing import TypeVar

from ...document import keys
from ...document.fast_head import count_of_head
from ...document.splice import FOLLOWING_BYTES, base_from_string
from ...errors import InvalidData
from ...util.fingerprint_set import FingerprintSet
from ...util.prefetch import prefetch
from ..base import Listed, View
from . import keyspace
from .connection import Server

T = TypeVar("T")

#: Sessions that one request of a listing asks for.
LIST_BATCH = 200
#: Bytes of a document that are looked at first; sixteen times as many each time its head is not among them.
HEAD_CHUNK = 4_096
_GROWTH = 16


async def scan(server: Server, rate: float | None = None) -> AsyncGenerator[list[str], None]:
    """The ids of all sessions, each once, in batches. `rate`: how many keys the server visits in a second."""
    seen = FingerprintSet()  # SCAN may return a key twice
    async with aclosing(prefetch(keyspace.scan(server, f"{keys.SESSION_PREFIX}*", rate))) as batches:
        async for names in batches:
            if batch := seen.add_new(keys.session_ids_of(names)):
                yield batch


async def list_sessions(server: Server, session_ids: Sequence[str], max_bytes: int, view: View[T]) -> list[T]:
    """What `view` makes of a listing of these sessions, in their order; those that have gone meanwhile are left out.

    One round trip where every head is among the first HEAD_CHUNK bytes, as it is in what awictl writes but for very
    large pages; documents in the app's layout have to be read whole.
    """
    found: list[T] = []
    for start in range(0, len(session_ids), LIST_BATCH):
        ids = session_ids[start : start + LIST_BATCH]
        found += await _told(server, ids, await _look(server, ids, HEAD_CHUNK), max_bytes, view)
    return found


async def list_all(server: Server, max_bytes: int, rate: float | None, view: View[T]) -> AsyncGenerator[list[T], None]:
    """The same of all sessions, each once, in batches as they are found. `rate`: as for `scan`.

    While one batch is parsed, the server looks at the next.
    """
    async with aclosing(scan(server, rate)) as batches, aclosing(prefetch(_looks(server, batches))) as looks:
        async for ids, peeks in looks:
            yield await _told(server, ids, peeks, max_bytes, view)


async def _looks(
    server: Server, batches: AsyncIterable[Sequence[str]]
) -> AsyncGenerator[tuple[Sequence[str], list[keyspace.Peek | None]], None]:
    """The first bytes of sessions, some hundred at a time."""
    async for batch in batches:
        for start in range(0, len(batch), LIST_BATCH):
            ids = batch[start : start + LIST_BATCH]
            yield ids, await _look(server, ids, HEAD_CHUNK)


async def _look(server: Server, session_ids: Sequence[str], size: int) -> list[keyspace.Peek | None]:
    more = FOLLOWING_BYTES if size == HEAD_CHUNK else None  # most often the first line is all that it takes
    return await keyspace.peek(server, [keys.SESSION_PREFIX + one for one in session_ids], size, more)


async def _told(
    server: Server,
    session_ids: Sequence[str],
    peeks: Sequence[keyspace.Peek | None],
    max_bytes: int,
    view: View[T],
) -> list[T]:
    """What `view` makes of the sessions that were looked at; of those whose first bytes do not do, more are read."""
    found: dict[str, T] = {}
    larger: dict[str, int] = {}
    chunk = HEAD_CHUNK
    at_a_glance = view.at_a_glance

    def tell(ids: Sequence[str], peeks: Sequence[keyspace.Peek | None]) -> None:
        for session_id, peek in zip(ids, peeks, strict=True):
            if peek is None:
                continue
            if peek.fault is not None:
                why = str(server.translate(peek.fault, keys.session_key(session_id)))
                found[session_id] = view.of(Listed(session_id, {}, None, peek.ttl_ms, 0, why))
            elif (seen := at_a_glance(session_id, peek.start, peek.length, peek.ttl_ms)) is not None:
                found[session_id] = seen
            elif listed := _listed(session_id, peek):
                found[session_id] = view.of(listed)
            elif chunk >= max_bytes:
                why = f"{peek.length:,} bytes, more than the limit of {max_bytes:,} (AWI_MAX_DOCUMENT_BYTES)"
                found[session_id] = view.of(Listed(session_id, {}, None, peek.ttl_ms, peek.length, why))
            else:
                larger[session_id] = peek.length

    tell(session_ids, peeks)
    while larger:
        pending, larger = larger, {}
        chunk = min(chunk * _GROWTH, max_bytes)
        for group in keyspace.groups({one: min(length, chunk) for one, length in pending.items()}):
            tell(group, await _look(server, group, chunk))
    return [found[session_id] for session_id in session_ids if session_id in found]


def _listed(session_id: str, peek: keyspace.Peek) -> Listed | None:
    """What the first bytes of a document tell; None where they do not tell enough."""
    if (counted := count_of_head(peek.start, peek.length)) is not None:
        return Listed(session_id, *counted, peek.ttl_ms, peek.length)
    if len(peek.start) < peek.length:
        return None
    try:
        base = base_from_string(peek.start)
    except InvalidData as error:
        return Listed(session_id, {}, None, peek.ttl_ms, peek.length, str(error))
    return Listed(session_id, base.head, len(base.document["history"]["actions"]), peek.ttl_ms, peek.length)
