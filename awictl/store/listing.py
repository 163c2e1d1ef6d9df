"""Listing sessions: paced SCANs, and what the heads of documents tell without fetching them whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from ..errors import InvalidData
from ..state import keys
from ..state.layout import action_count, base_of_head, base_of_whole
from .base import Listed
from .connect import Server

#: Keys that one SCAN visits: about a millisecond of the server's time, so that round trips hardly count.
SCAN_COUNT = 2_000
#: Bytes of a document that are looked at first; sixteen times as many each time its head is not among them.
HEAD_CHUNK = 4_096
_GROWTH = 16
#: Bytes that one request for several documents may ask for at the most (one larger document is asked for alone).
_REQUEST_BYTES = 4_194_304


async def scan(server: Server, rate: float | None = None) -> AsyncIterator[list[str]]:
    """The ids of all sessions in batches. `rate`: how many keys the server visits in a second at the most."""
    pattern = f"{keys.SESSION_PREFIX}*"
    count = SCAN_COUNT if rate is None else max(1, min(SCAN_COUNT, int(rate / 10)))
    cursor = b"0"
    while True:
        started = time.monotonic()
        [reply] = await server.read(("SCAN", cursor, "MATCH", pattern, "COUNT", count))
        cursor, names = server.checked(reply, pattern)
        if batch := [session_id for name in names if (session_id := keys.session_id_of(name))]:
            yield batch
        if cursor == b"0":
            return
        if rate is not None:
            await asyncio.sleep(max(0.0, count / rate - (time.monotonic() - started)))


async def list_sessions(server: Server, session_ids: Sequence[str], max_bytes: int) -> list[Listed]:
    """What a listing tells of these sessions, in their order; those that have gone meanwhile are left out.

    One round trip where every head is among the first HEAD_CHUNK bytes, as it is in what awictl writes but for very
    large pages; documents in the app's layout have to be read whole.
    """
    found: dict[str, Listed] = {}
    pending = dict.fromkeys(session_ids, HEAD_CHUNK)
    chunk = HEAD_CHUNK
    while pending:
        larger: dict[str, int] = {}
        for group in groups({one: min(length, chunk) for one, length in pending.items()}):
            commands: list[tuple[str | int, ...]] = []
            for session_id in group:
                key = keys.session_key(session_id)
                commands += [("GETRANGE", key, 0, chunk - 1), ("STRLEN", key), ("PTTL", key)]
            replies = iter(await server.read(*commands))
            for session_id, raw, length, ttl in zip(group, replies, replies, replies, strict=True):
                if ttl == -2:
                    continue
                ttl_ms = ttl if isinstance(ttl, int) and ttl >= 0 else None
                fault = next((reply for reply in (raw, length) if isinstance(reply, Exception)), None)
                if fault is not None:
                    why = str(server.translate(fault, keys.session_key(session_id)))
                    found[session_id] = Listed(session_id, {}, None, ttl_ms, 0, why)
                    continue
                listed = _listed(session_id, raw, length, ttl_ms)
                if listed is not None:
                    found[session_id] = listed
                elif chunk >= max_bytes:
                    why = f"{length:,} bytes, more than the limit of {max_bytes:,} (AWI_MAX_DOCUMENT_BYTES)"
                    found[session_id] = Listed(session_id, {}, None, ttl_ms, length, why)
                else:
                    larger[session_id] = length
        pending, chunk = larger, min(chunk * _GROWTH, max_bytes)
    return [found[session_id] for session_id in session_ids if session_id in found]


def groups(sizes: Mapping[str, int]) -> Iterable[list[str]]:
    """The ids in groups whose sizes in bytes together make one request that is bearable."""
    group: list[str] = []
    total = 0
    for session_id, size in sizes.items():
        if group and total + size > _REQUEST_BYTES:
            yield group
            group, total = [], 0
        group.append(session_id)
        total += size
    if group:
        yield group


def _listed(session_id: str, chunk: bytes, length: int, ttl_ms: int | None) -> Listed | None:
    """What the first bytes of a document tell; None where they do not tell enough."""
    base = base_of_head(chunk, length)
    if base is not None and (count := action_count(base)) is not None:
        return Listed(session_id, base.head, count, ttl_ms, length)
    if len(chunk) < length:
        return None
    try:
        base = base_of_whole(chunk)
    except InvalidData as error:
        return Listed(session_id, {}, None, ttl_ms, length, str(error))
    return Listed(session_id, base.head, len(base.document["history"]["actions"]), ttl_ms, length)
