"""Extend the TTL of many sessions, and of their agents' mappings, in bounded batches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...document import keys
from ...document.json_codec import loads
from ...document.schema import as_text, has_ended
from ...errors import AwiError, InvalidData, Refused
from ...util.batched import batched
from ..base import Listed
from ..errors import has_ended as ended
from . import listing
from .server import Call, Script, Server

#: Maximum number of sessions in one request (DESIGN, promise 9).
BATCH = 1_000
#: First bytes of a document in which the agent id is searched; the app and awictl write it as the second field.
_AGENT_BYTES = 2_048
_AGENT_ID = re.compile(rb'\{"session_id":"[^"\\]*","agent_id":("(?:[^"\\]|\\.)*")')

_TOUCH = Script("touch")


async def touch(
    server: Server, sessions: Sequence[tuple[str, str | None]], ttl_ms: int, max_bytes: int
) -> list[bool | AwiError]:
    """Extend the TTL of sessions and of their agents' mappings to `ttl_ms` milliseconds.

    Returns for each whether the session exists, or the error that concerns only this one: a session without a TTL has
    ended and waits to be archived, so it is refused. `sessions`: session ids with
    their agent ids; None for an unknown agent. For each `BATCH` of them one round trip, and another one if an agent is
    unknown: its id is read from the document.
    """
    outcomes: dict[str, bool | AwiError] = {}
    for batch in batched(sessions, BATCH):
        outcomes |= await _touch_batch(server, dict(batch), ttl_ms, max_bytes)
    return [outcomes[session_id] for session_id, _ in sessions]


async def _touch_batch(
    server: Server, agents: dict[str, str | None], ttl_ms: int, max_bytes: int
) -> dict[str, bool | AwiError]:
    outcomes: dict[str, bool | AwiError] = {}
    without_ttl: list[str] = []
    unknown = [session_id for session_id, agent_id in agents.items() if agent_id is None]
    for session_id, reply in (await _run(server, agents, ttl_ms)).items():
        try:
            exists, head = server.checked(reply, keys.session_key(session_id))
        except AwiError as error:
            outcomes[session_id] = error
            continue
        if exists < 0:
            without_ttl.append(session_id)
            continue
        outcomes[session_id] = bool(exists)
        if found := _AGENT_ID.match(head):
            with suppress(InvalidData):
                agents[session_id] = loads(found[1])
    outcomes |= dict.fromkeys(without_ttl, False)  # unless they still exist
    for listed in await listing.list_sessions(server, without_ttl, max_bytes) if without_ttl else ():
        outcomes[listed.session_id] = _untouched(listed, server.where)
    unknown = [session_id for session_id in unknown if outcomes[session_id] is True]
    # documents in which another field comes second are decoded
    for listed in await listing.list_sessions(server, [one for one in unknown if agents[one] is None], max_bytes):
        agents[listed.session_id] = as_text(listed.head.get("agent_id"))
    if mapped := {one: agents[one] for one in unknown if agents[one] is not None}:
        await _run(server, mapped, ttl_ms)
    return outcomes


def _untouched(listed: Listed, where: str) -> AwiError:
    """Why a session without a TTL was not touched."""
    if has_ended(listed.head):
        return ended(listed.session_id, where)
    return Refused(f"{where}: {listed.session_id} has no TTL, so none was set; `awictl doctor --fix` sets one")


async def _run(server: Server, agents: Mapping[str, str | None], ttl_ms: int) -> dict[str, Any]:
    """The replies of `touch.lua` by session id. `agents`: session ids with their agent ids, None if unknown."""
    calls: list[Call] = []
    for session_id, agent_id in agents.items():
        mapping = [keys.agent_key(agent_id)] if agent_id is not None else []
        calls.append(([keys.session_key(session_id), *mapping], [ttl_ms, session_id, _AGENT_BYTES]))
    return dict(zip(agents, await server.run(_TOUCH, *calls, idempotent=True), strict=True))
