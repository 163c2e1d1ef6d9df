"""What the requests of an agent need of Redis: to be counted, and the session that the agent is in, at once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ...document import keys
from ...document.byte_layout import FOLLOWING_BYTES, Base
from ...settings import Settings
from ...util.bounded_dict import BoundedDict
from ..get_or_create import Visited
from .connection import Argument, Call, Script, Server
from .history import base_of_start, whole_base
from .listing import HEAD_CHUNK

#: Sessions whose head is decoded again only where its bytes have changed, and the largest of such heads, in bytes.
MET_SESSIONS = 1_024
MET_BYTES = 65_536
#: The length that the script `visit` tells where there were too many requests.
_TOO_MANY = -2


class Visits:
    """Visits to sessions, and their beginnings, on one server."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self.where = server.where
        self._server = server
        self._ttl_ms = settings.session_ttl_ms
        self._max_bytes = settings.max_document_bytes
        #: By key, what was read of a session, and what that means: agents ask more often than they change something.
        self._met: BoundedDict[str, tuple[tuple[int, bytes, bytes], Base]] = BoundedDict(MET_SESSIONS)

    @cached_property
    def _visit_script(self) -> Script:
        return Script("visit")

    @cached_property
    def _begin_script(self) -> Script:
        return Script("begin")

    @cached_property
    def _unmap_script(self) -> Script:
        return Script("unmap")

    async def visit(
        self, agent_id: str, session_id: str | None, operation: str, limit: int, *, diff: bool = False
    ) -> Visited:
        names, arguments = self._visit_call(agent_id, session_id, operation, limit, diff)
        return await self._visited(session_id, await self._server.run_one(self._visit_script, names, arguments))

    async def begin(
        self, agent_id: str, session_id: str, raw: bytes, previous: Visited, *, replace: bool, diff: bool = False
    ) -> tuple[Visited, bool]:
        alive = None if replace else keys.as_session_id(previous.current)
        names = [keys.session_key(session_id), keys.agent_key(agent_id)]
        if alive is not None:
            names.append(keys.session_key(alive))
        arguments: list[Argument] = [raw, self._ttl_ms, session_id, previous.current]
        visit, begun = await self._server.run_each(
            [
                (self._visit_script, self._visit_call(agent_id, alive, "", 0, diff)),
                (self._begin_script, (names, arguments)),
            ],
            repeatable=True,
        )
        created, current = self._server.checked(begun, names[0])
        visited = await self._visited(alive, visit)
        if visited.base is None:
            visited = Visited(0, 0, current=current)
        return visited, bool(created)

    async def unmap(self, agent_id: str, session_id: str) -> bool:
        key = keys.agent_key(agent_id)
        reply = await self._server.run_one(self._unmap_script, [key], [session_id])
        return bool(self._server.checked(reply, key))

    def _visit_call(self, agent_id: str, session_id: str | None, operation: str, limit: int, diff: bool) -> Call:
        asked = session_id or ""
        names = [
            keys.AGENT_PREFIX + agent_id,
            keys.rate_limit_key(agent_id, operation),
            keys.SESSION_PREFIX + asked,
        ]
        if diff:
            names.append(keys.DIFF_PREFIX + asked)
        return names, [
            asked,
            self._ttl_ms,
            limit,
            keys.RATE_LIMIT_WINDOW_MS,
            HEAD_CHUNK,
            self._max_bytes,
            FOLLOWING_BYTES,
        ]

    async def _visited(self, session_id: str | None, reply: Any) -> Visited:
        key = keys.SESSION_PREFIX + (session_id or "")
        count, window_ms, current, length, start, end, *delta = self._server.checked(reply, key)
        if length < 0:
            return Visited(count, window_ms, length == _TOO_MANY, current)
        seen = (length, start, end)
        base: Base | None
        known, base = self._met.get(key, (None, None))
        if seen != known:
            base = base_of_start(self._server, key, length, start, end, self._max_bytes) or await self._whole(key)
            if len(start) <= MET_BYTES and base is not None:
                self._met[key] = seen, base
        return Visited(count, window_ms, False, current, base, delta[0] if delta else None)

    async def _whole(self, key: str) -> Base | None:
        """The base for a string whose head cannot be told from its start."""
        [raw] = await self._server.read(("GETRANGE", key, 0, self._max_bytes - 1))
        raw = self._server.checked(raw, key)
        return whole_base(self._server, key, raw) if raw else None
