"""Lookup and creation of agents' current sessions in Redis, with the rate limit, in one script each."""

from __future__ import annotations

from typing import Any

from ...document import keys
from ...document.splice import FOLLOWING_BYTES, Base
from ...settings import Settings
from ...util.bounded_dict import BoundedByteDict
from ..get_or_create import AgentLookup
from .history import base_from_start, decode_base
from .listing import HEAD_CHUNK
from .server import Argument, Call, Script, Server

#: Maximum number of decoded heads that are kept until the bytes of their sessions change, and their size in memory.
CACHED_HEADS = 1_024
CACHED_HEADS_BYTES = 33_554_432
#: Largest head that is kept, in bytes as stored.
CACHED_HEAD_BYTES = 65_536
#: The length that `read_for_request.lua` returns if the rate limit was exceeded.
_RATE_LIMITED = -2

_READ_FOR_REQUEST = Script("read_for_request")
_CREATE_IF_ABSENT = Script("create_if_absent")
_DELETE_MAPPING = Script("delete_mapping")


class RedisGetOrCreate:
    """The `GetOrCreateStore` of one Redis server."""

    def __init__(self, server: Server, settings: Settings) -> None:
        #: The server's address for messages, without secrets.
        self.where = server.where
        self._server = server
        self._ttl_ms = settings.session_ttl_ms
        self._max_bytes = settings.max_document_bytes
        #: By key, the bytes that were read of a session and the base decoded from them: most requests change nothing.
        self._decoded: BoundedByteDict[str, tuple[tuple[int, bytes, bytes], Base]] = BoundedByteDict(
            CACHED_HEADS, CACHED_HEADS_BYTES, lambda _, entry: entry[1].memory
        )

    async def read_for_request(
        self, agent_id: str, session_id: str | None, operation: str, limit: int, *, diff: bool = False
    ) -> AgentLookup:
        """Count a request; if the agent is mapped to `session_id`, extend that session's TTL and read its head.

        `limit`: maximum number of requests for `operation` per window; 0: do not count. `diff`: also read the last
        delta. One round trip.
        """
        names, arguments = self._read_call(agent_id, session_id, operation, limit, diff)
        return await self._lookup(session_id, await self._server.run_one(_READ_FOR_REQUEST, names, arguments))

    async def create_if_absent(
        self, agent_id: str, session_id: str, raw: bytes, previous: AgentLookup, *, replace: bool, diff: bool = False
    ) -> tuple[AgentLookup, bool]:
        """Create a session and map the agent to it, unless the mapping has changed since `previous`.

        Nothing is created either if the session that the agent is mapped to exists, unless `replace` is true. Returns
        the lookup of that session, and whether the new one was created. One round trip; idempotent.
        """
        existing = None if replace else keys.as_session_id(previous.current)
        names = [keys.session_key(session_id), keys.agent_key(agent_id)]
        if existing is not None:
            names.append(keys.session_key(existing))
        arguments: list[Argument] = [raw, self._ttl_ms, session_id, previous.current]
        found, outcome = await self._server.run_each(
            [
                (_READ_FOR_REQUEST, self._read_call(agent_id, existing, "", 0, diff)),
                (_CREATE_IF_ABSENT, (names, arguments)),
            ],
            idempotent=True,
        )
        created, current = self._server.checked(outcome, names[0])
        lookup = await self._lookup(existing, found)
        if lookup.base is None:
            lookup = AgentLookup(0, 0, current=current)
        return lookup, bool(created)

    async def has_no_ttl(self, session_id: str) -> bool:
        """Whether a session exists and has no TTL. One round trip."""
        key = keys.session_key(session_id)
        [ttl] = await self._server.execute_idempotent(("PTTL", key))
        return bool(self._server.checked(ttl, key) == -1)

    async def delete_mapping(self, agent_id: str, session_id: str) -> bool:
        """Delete an agent's mapping if it points to `session_id`. Returns whether it did."""
        key = keys.agent_key(agent_id)
        reply = await self._server.run_one(_DELETE_MAPPING, [key], [session_id])
        return bool(self._server.checked(reply, key))

    def _read_call(self, agent_id: str, session_id: str | None, operation: str, limit: int, diff: bool) -> Call:
        """Keys and arguments of `read_for_request.lua`."""
        expected = session_id or ""
        names = [
            keys.AGENT_PREFIX + agent_id,
            keys.rate_limit_key(agent_id, operation),
            keys.SESSION_PREFIX + expected,
        ]
        if diff:
            names.append(keys.DIFF_PREFIX + expected)
        return names, [
            expected,
            self._ttl_ms,
            limit,
            keys.RATE_LIMIT_WINDOW_MS,
            HEAD_CHUNK,
            self._max_bytes,
            FOLLOWING_BYTES,
        ]

    async def _lookup(self, session_id: str | None, reply: Any) -> AgentLookup:
        """The reply of `read_for_request.lua` as a record; the head is decoded only if its bytes have changed."""
        key = keys.SESSION_PREFIX + (session_id or "")
        count, window_ms, current, length, start, end, *delta = self._server.checked(reply, key)
        if length < 0:
            return AgentLookup(count, window_ms, length == _RATE_LIMITED, current)
        read = (length, start, end)
        base: Base | None
        cached, base = self._decoded.get(key, (None, None))
        if read != cached:
            base = base_from_start(self._server, key, length, start, end, self._max_bytes)
            if base is None:
                # what was read does not determine the document, so it cannot tell whether the document has changed
                self._decoded.pop(key, None)
                base = await self._read_all(key)
            elif len(start) <= CACHED_HEAD_BYTES:
                self._decoded[key] = read, base
        return AgentLookup(count, window_ms, False, current, base, delta[0] if delta else None)

    async def _read_all(self, key: str) -> Base | None:
        """The base of a string whose first bytes do not contain its head; None if it no longer exists."""
        [raw] = await self._server.execute_idempotent(("GETRANGE", key, 0, self._max_bytes - 1))
        raw = self._server.checked(raw, key)
        return decode_base(self._server, key, raw) if raw else None
