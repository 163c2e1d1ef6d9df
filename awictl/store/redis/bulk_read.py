"""Read many sessions at once: their full strings, their TTLs and sizes."""

from __future__ import annotations

from collections.abc import Sequence

from ...document import keys
from ...errors import AwiError
from ...util.batched import batched
from ..base import Lifetime, SessionVersion, SessionVersions, Stored
from .keyspace import KEYS_PER_SCRIPT, groups, key_info
from .server import Script, Server

_SESSION_VERSIONS = Script("session_versions")


async def lifetimes(server: Server, session_ids: Sequence[str]) -> list[Lifetime]:
    """TTL and size of these sessions. One round trip.

    Missing sessions are left out, and keys that are not strings: a listing reports those.
    """
    infos = await key_info(server, [keys.session_key(one) for one in session_ids])
    return [
        Lifetime(session_id, one.ttl_ms, one.length)
        for session_id, one in zip(session_ids, infos, strict=True)
        if one is not None and one.error is None
    ]


async def versions(server: Server, session_ids: Sequence[str]) -> SessionVersions:
    """Expiry and size of these sessions. One round trip.

    Missing sessions are left out, and keys that are not strings. No expiry is returned if the user has no permission
    for scripts: separate commands would take the time and the TTL at different moments.
    """
    names = [keys.session_key(one) for one in session_ids]
    calls = [(some, ()) for some in batched(names, KEYS_PER_SCRIPT)]
    replies = await server.run(_SESSION_VERSIONS, *calls, idempotent=True)
    if any(isinstance(reply, Exception) for reply in replies):
        found = await lifetimes(server, session_ids)
        return SessionVersions(None, [SessionVersion(one.session_id, None, one.bytes) for one in found])
    flat = [one for reply in replies for one in reply[1:]]
    if len(flat) != 2 * len(names):
        raise server.malformed(f"it describes {len(flat) // 2:,} keys instead of {len(names):,}")
    rows = zip(session_ids, flat[::2], flat[1::2], strict=True)
    return SessionVersions(
        min((reply[0] for reply in replies), default=None),
        [
            SessionVersion(session_id, expiry if expiry >= 0 else None, length)
            for session_id, expiry, length in rows
            if expiry != -2 and length >= 0
        ],
    )


async def read(server: Server, session_ids: Sequence[str], max_bytes: int) -> dict[str, Stored | AwiError]:
    """The full strings of these sessions, or why one could not be read. Missing sessions are left out.

    Two round trips, or more if they are too large for one request together.
    """
    found: dict[str, Stored | AwiError] = {}
    sizes: dict[str, int] = {}
    for one in await lifetimes(server, session_ids):
        try:
            server.check_size(keys.session_key(one.session_id), one.bytes, max_bytes)
        except AwiError as error:
            found[one.session_id] = error
        else:
            sizes[one.session_id] = one.bytes
    for group in groups(sizes):
        commands: list[tuple[str | int, ...]] = []
        for session_id in group:
            key = keys.session_key(session_id)
            # GETRANGE limits how many bytes are fetched, even if the string has grown since
            commands += [("GETRANGE", key, 0, max_bytes), ("PTTL", key)]
        replies = iter(await server.execute_idempotent(*commands))
        for session_id, raw, ttl in zip(group, replies, replies, strict=True):
            if ttl == -2:
                continue
            try:
                raw = server.checked(raw, keys.session_key(session_id))
                server.check_size(keys.session_key(session_id), len(raw), max_bytes)
                found[session_id] = Stored(raw, ttl if server.checked(ttl, keys.session_key(session_id)) >= 0 else None)
            except AwiError as error:
                found[session_id] = error
    return found
