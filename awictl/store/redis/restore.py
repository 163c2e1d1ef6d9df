"""Store sessions that were somewhere else before: in the archive, or in another store."""

from __future__ import annotations

from ...document import keys
from ..errors import already_live
from .confirmation import ConfirmedWrites
from .script import Call, Script
from .server import Server

RESTORE = Script("restore")
_PUT = Script("put")


async def restore(
    server: Server, writes: ConfirmedWrites, session_id: str, agent_id: str | None, raw: bytes, ttl_ms: int
) -> str | None:
    """Store an archived session; see `SessionStore.restore`. One round trip."""
    call: Call = ([keys.session_key(session_id), *mapping(agent_id)], [raw, ttl_ms, session_id])
    return await _stored(server, writes, RESTORE, session_id, call, f"{session_id} was restored", "restore it again")


async def put(
    server: Server,
    writes: ConfirmedWrites,
    session_id: str,
    agent_id: str | None,
    raw: bytes,
    ttl_ms: int | None,
    diff: tuple[bytes, int] | None,
    usual_ttl_ms: int,
) -> str | None:
    """Store a session that another store has; see `SessionStore.put`. One round trip.

    `usual_ttl_ms`: TTL in milliseconds of the mapping if the session has none.
    """
    names = [keys.session_key(session_id), keys.diff_key(session_id), *mapping(agent_id)]
    delta, delta_ttl = diff or (b"", 0)
    call: Call = (names, [raw, ttl_ms or 0, session_id, ttl_ms or usual_ttl_ms, delta, delta_ttl])
    return await _stored(server, writes, _PUT, session_id, call, f"{session_id} was stored", "store it again")


async def _stored(
    server: Server, writes: ConfirmedWrites, script: Script, session_id: str, call: Call, done: str, retry: str
) -> str | None:
    reply = await writes.run(script, call, done, retry, idempotent=True)
    stored, current = server.checked(reply, keys.session_key(session_id))
    if not stored:
        raise already_live(session_id, server.where)
    return current.decode("utf-8", "replace") or None


def mapping(agent_id: str | None) -> list[str]:
    """The key of an agent's mapping in a list; an empty list if there is no agent."""
    return [] if agent_id is None else [keys.agent_key(agent_id)]
