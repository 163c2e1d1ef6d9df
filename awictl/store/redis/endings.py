"""Sessions that are being ended, in Redis: a hash that agents do not know, and one script per step."""

from __future__ import annotations

from contextlib import aclosing

from ...document import keys
from ...errors import AccessDenied
from ...settings import Settings
from ..endings import Taken
from . import keyspace
from .server import Call, Script, Server

_TAKE = Script("take")
_REPLACE_TAKEN = Script("replace_taken")
_PUT_BACK = Script("put_back")
_FINISH_END = Script("finish_end")

#: The keys of the sessions that are being ended, on a cluster.
_PATTERN = f"{keys.ENDING_KEY}:{{{keys.SESSION_PREFIX}sess_*}}"


class RedisEndings:
    """The `EndingStore` of one Redis server."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._max_bytes = settings.max_document_bytes

    async def take(self, session_id: str, only: bytes | None = None) -> Taken:
        """Take a session, so that its agent does not find it any more. Raises TooLarge. One round trip.

        `only`: take it only if this is its string.
        """
        key = keys.session_key(session_id)
        expected = _digest(only) if only is not None else ""
        [reply] = await self._server.run(
            _TAKE, (self._names(session_id), [session_id, self._max_bytes, expected]), idempotent=True
        )
        added, value = self._server.checked(reply, key)
        if added < 0:
            self._server.check_size(key, self._max_bytes + 1, self._max_bytes)
        return Taken(value, bool(added))

    async def taken(self, session_id: str) -> bytes:
        """What was taken of a session; empty if nothing was, or this user may not read it. One round trip."""
        [reply] = await self._server.execute_idempotent(
            ("HGET", self._key(session_id), keys.check_session_id(session_id))
        )
        try:
            return self._server.checked(reply, keys.ENDING_KEY) or b""
        except AccessDenied:
            return b""

    async def ids(self) -> list[str]:
        """The sessions of which something was taken; none if this user may not read that.

        One round trip; on a cluster, which has a key for each, a scan.
        """
        if self._server.router.slots:
            return await self._scanned_ids()
        [reply] = await self._server.execute_idempotent(("HKEYS", keys.ENDING_KEY))
        try:
            found = map(keys.as_session_id, self._server.checked(reply, keys.ENDING_KEY))
        except AccessDenied:
            return []
        return [one for one in found if one is not None]

    async def _scanned_ids(self) -> list[str]:
        prefix, suffix = _PATTERN.encode().split(b"sess_*")
        found: dict[str, None] = {}
        async with aclosing(keyspace.scan(self._server, _PATTERN)) as batches:
            async for names in batches:
                ids = (keys.as_session_id(name.removeprefix(prefix).removesuffix(suffix)) for name in names)
                found |= dict.fromkeys(one for one in ids if one is not None)
        return list(found)

    async def replace(self, session_id: str, value: bytes, new: bytes) -> bool:
        """Replace what was taken. False if that is not `value` any more, or the session was written back."""
        return await self._run(_REPLACE_TAKEN, session_id, [_digest(value), new]) == 1

    async def put_back(self, session_id: str, value: bytes, ttl_ms: int | None) -> bool:
        """Make it a session again. False if what was taken is not `value` any more, or the session was written back."""
        return await self._run(_PUT_BACK, session_id, [_digest(value), ttl_ms or 0]) == 1

    async def finish(self, session_id: str, agent_id: str | None, value: bytes) -> bool:
        """Delete what was taken, the last delta, and the agent's mapping if that points to the session.

        False if what was taken is not `value` any more, or the session was written back; then nothing is deleted.
        """
        names = [*self._names(session_id), keys.diff_key(session_id)]
        if agent_id is not None:
            names.append(keys.agent_key(agent_id))
        [reply] = await self._server.run(_FINISH_END, (names, [session_id, _digest(value)]), idempotent=True)
        return bool(self._server.checked(reply, keys.ENDING_KEY))

    async def _run(self, script: Script, session_id: str, arguments: list[bytes | str | int]) -> int:
        call: Call = (self._names(session_id), [session_id, *arguments])
        [reply] = await self._server.run(script, call, idempotent=True)
        number: int = self._server.checked(reply, keys.ENDING_KEY)
        return number

    def _key(self, session_id: str) -> str:
        return keys.ending_key(session_id) if self._server.router.slots else keys.ENDING_KEY

    def _names(self, session_id: str) -> list[str]:
        return [keys.session_key(session_id), self._key(session_id)]


def _digest(value: bytes) -> str:
    import hashlib  # not needed by every command

    return hashlib.sha1(value, usedforsecurity=False).hexdigest()
