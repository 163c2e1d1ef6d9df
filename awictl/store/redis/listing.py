"""List sessions: a paced SCAN, and the heads of documents without their trajectories."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from ...document import keys
from ...document.byte_layout import CLOSE, OPEN, decode_counted_head
from ...document.json_codec import dumps
from ...document.splice import FOLLOWING_BYTES, base_from_string
from ...errors import InvalidData
from ...util.batched import batched
from ...util.fingerprint_set import FingerprintSet
from ...util.prefetch import prefetch
from ..base import Listed
from ..keyspace import KeyInfo
from . import keyspace
from .server import Server

if TYPE_CHECKING:
    from ..session_fields import SessionFields

T = TypeVar("T")

#: Sessions per request of a listing.
LIST_BATCH = 200
#: First bytes of a document that are read to find its head.
HEAD_CHUNK = 4_096
#: Factor by which the number of bytes grows for each further attempt.
_GROWTH = 16

#: A decoder of some fields of sessions, from their ids and the first bytes of their strings. Returns None for those
#: whose heads have to be decoded in full.
Decode = Callable[[Sequence[str], Sequence[KeyInfo]], Sequence[T | None]]


async def scan(server: Server, rate: float | None = None) -> AsyncGenerator[list[str], None]:
    """The ids of all sessions, each once, in batches. `rate`: maximum number of keys to scan per second."""
    seen = FingerprintSet()  # SCAN may return a key twice
    async with aclosing(prefetch(keyspace.scan(server, f"{keys.SESSION_PREFIX}*", rate))) as batches:
        async for names in batches:
            if batch := seen.add_new(keys.session_ids_of(names)):
                yield batch


async def list_sessions(server: Server, session_ids: Sequence[str], max_bytes: int) -> list[Listed]:
    """List these sessions, in their order; sessions that no longer exist are left out.

    One round trip if every head is within the first HEAD_CHUNK bytes. That is so for documents that awictl wrote,
    unless their pages are very large; documents in the app's layout are read in full.
    """
    found: list[Listed] = []
    for ids in batched(session_ids, LIST_BATCH):
        found += await _decoded(server, ids, await _read_chunks(server, ids, HEAD_CHUNK), max_bytes, _unchanged)
    return found


async def list_all(
    server: Server,
    max_bytes: int,
    rate: float | None,
    convert: Callable[[Listed], T],
    decode: Decode[T] | None = None,
) -> AsyncGenerator[list[T], None]:
    """List all sessions, each once, in batches as they are found. The next batch is prefetched.

    `rate`: maximum number of keys to scan per second. `decode` is tried first for each session; if it returns None,
    `convert` receives the session with its head decoded in full.
    """
    async with aclosing(scan(server, rate)) as batches, aclosing(prefetch(_chunks(server, batches))) as chunks:
        async for ids, infos in chunks:
            yield await _decoded(server, ids, infos, max_bytes, convert, decode)


def list_fields(server: Server, max_bytes: int, rate: float | None) -> AsyncGenerator[list[SessionFields], None]:
    """List all sessions with the fields that lists show; see `list_all`."""
    from ..session_fields import decode_batch, fields_of  # imports msgspec, which few commands need

    return list_all(server, max_bytes, rate, lambda listed: fields_of(*listed), decode_batch)


def _unchanged(listed: Listed) -> Listed:
    return listed


async def _chunks(
    server: Server, batches: AsyncIterable[Sequence[str]]
) -> AsyncGenerator[tuple[Sequence[str], list[KeyInfo | None]], None]:
    """The first bytes of sessions, LIST_BATCH at a time."""
    async for batch in batches:
        for ids in batched(batch, LIST_BATCH):
            yield ids, await _read_chunks(server, ids, HEAD_CHUNK)


async def _read_chunks(server: Server, session_ids: Sequence[str], size: int) -> list[KeyInfo | None]:
    more = FOLLOWING_BYTES if size == HEAD_CHUNK else None  # usually the first line is enough
    return await keyspace.key_info(server, [keys.SESSION_PREFIX + one for one in session_ids], size, more)


async def _decoded(
    server: Server,
    session_ids: Sequence[str],
    infos: Sequence[KeyInfo | None],
    max_bytes: int,
    convert: Callable[[Listed], T],
    decode: Decode[T] | None = None,
) -> list[T]:
    """Decode sessions from their first bytes, in their order. If those are not enough for some, reads more of them."""
    found: dict[str, T] = {}
    larger: dict[str, int] = {}
    chunk = HEAD_CHUNK

    def decode_all(ids: Sequence[str], infos: Sequence[KeyInfo | None]) -> None:
        if None in infos:
            ids = [one for one, info in zip(ids, infos, strict=True) if info is not None]
        existing = [info for info in infos if info is not None]
        values = decode(ids, existing) if decode is not None else [None] * len(existing)
        for session_id, info, value in zip(ids, existing, values, strict=True):
            if value is not None:
                found[session_id] = value
            elif info.error is not None:
                why = str(server.translate(info.error, keys.session_key(session_id)))
                found[session_id] = convert(Listed(session_id, {}, None, info.ttl_ms, 0, why))
            elif (listed := _decode_head(session_id, info)) is not None:
                found[session_id] = convert(listed)
            elif chunk >= max_bytes:
                why = f"{info.length:,} bytes, more than the limit of {max_bytes:,} (AWI_MAX_DOCUMENT_BYTES)"
                found[session_id] = convert(Listed(session_id, {}, None, info.ttl_ms, info.length, why))
            else:
                larger[session_id] = info.length

    decode_all(session_ids, infos)
    while larger:
        pending, larger = larger, {}
        chunk = min(chunk * _GROWTH, max_bytes)
        for group in keyspace.groups({one: min(length, chunk) for one, length in pending.items()}):
            decode_all(group, await _read_chunks(server, group, chunk))
    return [found[session_id] for session_id in session_ids if session_id in found]


def _decode_head(session_id: str, info: KeyInfo) -> Listed | None:
    """A session from the first bytes of its string; None if they are not enough."""
    if (counted := decode_counted_head(info.start, info.length)) is not None:
        following = info.length - info.start.index(b"\n") - 1 - len(CLOSE)
        return Listed(session_id, *counted, info.ttl_ms, info.length, None, following)
    if len(info.start) < info.length:
        return None
    try:
        base = base_from_string(info.start)
    except InvalidData as error:
        return Listed(session_id, {}, None, info.ttl_ms, info.length, str(error))
    # what a compact head leaves of the string; dumping the actions would take longer
    rest = info.length - len(dumps(base.head)) - len(OPEN)
    return Listed(session_id, base.head, len(base.document["history"]["actions"]), info.ttl_ms, info.length, None, rest)
