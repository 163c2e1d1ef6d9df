"""Live sessions in Redis or Valkey, by core commands only (DESIGN, sections 2 and 3)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..errors import InvalidData, Refused
from ..settings import Settings
from ..state import keys
from ..state.codec import loads
from ..state.document import Change
from ..state.layout import FOLLOWING_BYTES, Base, base_of_head, base_of_whole, is_closed, op_id_mark
from . import history, listing
from .base import AgentSession, HistoryPage, Listed, Outcome, ReplyLost, Stored
from .connect import Call, Script, Server, connect

log = logging.getLogger("awictl")

#: Bytes of a session in which its agent id is looked for: the app and awictl both write it second.
_AGENT_BYTES = 512
_AGENT_ID = re.compile(rb'\{"session_id":"[^"\\]*","agent_id":("(?:[^"\\]|\\.)*")')


class RedisStore:
    """The `SessionStore` of a single Redis server."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._ttl_ms = settings.session_ttl_ms
        self._max_bytes = settings.max_document_bytes
        self._wait_replicas = settings.wait_replicas
        self._timeout_ms = int(settings.timeout * 1000)
        self.where = server.where
        self._create_script = Script("create")
        self._commit_script = Script("commit")
        self._touch_script = Script("touch")
        self._read_base_script = Script("read_base")

    @classmethod
    def open(cls, settings: Settings) -> RedisStore:
        """The store on the server that the settings name. Nothing is sent until the first request."""
        return cls(connect(settings), settings)

    async def close(self) -> None:
        await self._server.close()

    # -- writing

    async def create(self, session_id: str, agent_id: str, raw: bytes) -> str | None:
        key = keys.session_key(session_id)
        call: Call = ([key, keys.agent_key(agent_id)], [raw, self._ttl_ms, session_id])
        try:
            [reply] = await self._server.run(self._create_script, call)
        except ReplyLost:
            # asked again with the same fresh id: where it exists now with these bytes, the first request made it
            [reply] = await self._server.run(self._create_script, call)
            if isinstance(reply, list) and not reply[0]:
                stored = await self.read(session_id)
                if stored is not None and stored.raw == raw:
                    return None
        created, previous = self._server.checked(reply, key)
        if not created:
            raise Refused(f"{self.where}: session {session_id} exists already")
        await self._replicated()
        return previous.decode("utf-8", "replace") or None

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> Outcome:
        key = keys.session_key(session_id)
        splice = change.splice
        if splice.length > self._max_bytes:
            raise Refused(
                f"{self.where}, key {key}: with this update it would have {splice.length:,} bytes, more than the limit "
                f"of {self._max_bytes:,} (AWI_MAX_DOCUMENT_BYTES): nothing was written"
            )
        arguments: list[bytes | str | int] = [
            base.prefix,
            base.length,
            splice.head,
            splice.keep_from,
            splice.keep_to,
            splice.tail,
            self._ttl_ms,
            op_id_mark(change.action["op_id"]) if look_for_op_id else b"",
            change.diff,
            keys.DIFF_TTL_SECONDS * 1000,
            session_id,
        ]
        names = [key, keys.diff_key(session_id), keys.agent_key(agent_id)]
        [reply] = await self._server.run(self._commit_script, (names, arguments))
        outcome, *fault = self._server.checked(reply, key)
        if fault and fault[0]:
            log.warning("%s: updated %s, but not what is derived from it: %s", self.where, key, fault[0].decode())
        result = Outcome(outcome.decode())
        if result is Outcome.OK:
            await self._replicated()
        return result

    async def touch(self, sessions: Sequence[tuple[str, str | None]]) -> list[bool]:
        agents = dict(sessions)
        exists = dict.fromkeys(agents, True)
        unknown = [session_id for session_id, agent_id in sessions if agent_id is None]
        if unknown:
            # the name of the mapping stands in the document: put off the expiry and read it in one go
            commands: list[tuple[str | int, ...]] = []
            for session_id in unknown:
                key = keys.session_key(session_id)
                commands += [("PEXPIRE", key, self._ttl_ms), ("GETRANGE", key, 0, _AGENT_BYTES - 1)]
            replies = await self._server.read(*commands)
            for session_id, expiring, raw in zip(unknown, replies[::2], replies[1::2], strict=True):
                exists[session_id] = bool(self._server.checked(expiring, keys.session_key(session_id)))
                found = None if isinstance(raw, Exception) else _AGENT_ID.match(raw)
                agents[session_id] = loads(found[1]) if found else None
        mapped = [(session_id, agent_id) for session_id, agent_id in agents.items() if agent_id is not None]
        calls: list[Call] = [
            ([keys.session_key(session_id), keys.agent_key(agent_id)], [self._ttl_ms, session_id])
            for session_id, agent_id in mapped
            if exists[session_id]
        ]
        replies = await self._server.run(self._touch_script, *calls, repeatable=True) if calls else []
        for call, reply in zip(calls, replies, strict=True):
            exists[str(call[1][1])] = bool(self._server.checked(reply, call[0][0]))
        return [exists[session_id] for session_id, _ in sessions]

    async def _replicated(self) -> None:
        if not self._wait_replicas:
            return
        [reached] = await self._server.read(("WAIT", self._wait_replicas, self._timeout_ms))
        if not isinstance(reached, int) or reached < self._wait_replicas:
            log.warning("%s: written, but only %s of %s replicas have it", self.where, reached, self._wait_replicas)

    # -- reading

    async def read(self, session_id: str) -> Stored | None:
        key = keys.session_key(session_id)
        # GETRANGE bounds what is fetched before the size is known
        raw, length, ttl = await self._server.read(
            ("GETRANGE", key, 0, self._max_bytes - 1), ("STRLEN", key), ("PTTL", key)
        )
        raw = self._server.checked(raw, key)
        if not raw and ttl == -2:
            return None
        self._server.check_size(key, max(self._server.checked(length, key), len(raw)), self._max_bytes)
        return Stored(raw, ttl if ttl >= 0 else None)

    async def read_base(self, session_id: str, *, whole: bool = False) -> Base | None:
        key = keys.session_key(session_id)
        if not whole:
            arguments = (listing.HEAD_CHUNK, self._max_bytes, FOLLOWING_BYTES)
            [reply] = await self._server.run(self._read_base_script, ([key], arguments), repeatable=True)
            length, chunk, end = self._server.checked(reply, key)
            if length < 0:
                return None
            self._server.check_size(key, length, self._max_bytes)
            base = base_of_head(chunk, length) if is_closed(end) else None
            if base is not None:
                return base
            if len(chunk) == length:
                return self._whole_base(key, chunk)
        stored = await self.read(session_id)
        return self._whole_base(key, stored.raw) if stored is not None else None

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        raw, exists = await self._server.read(
            ("GET", keys.diff_key(session_id)), ("EXISTS", keys.session_key(session_id))
        )
        return self._server.checked(raw, keys.diff_key(session_id)), bool(self._server.checked(exists, ""))

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        key = keys.agent_key(agent_id)
        raw, ttl = await self._server.read(("GET", key), ("PTTL", key))
        raw = self._server.checked(raw, key)
        if raw is None:
            return None
        session_id = keys.as_session_id(raw)
        if session_id is None:
            raise InvalidData(f"{self.where}, key {key}: holds no session id, but {raw[:80]!r}")
        [exists] = await self._server.read(("EXISTS", keys.session_key(session_id)))
        return AgentSession(session_id, ttl if ttl >= 0 else None, bool(self._server.checked(exists, key)))

    def scan(self, rate: float | None = None) -> AsyncIterator[list[str]]:
        return listing.scan(self._server, rate)

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        return await listing.list_sessions(self._server, session_ids, self._max_bytes)

    async def history(self, session_id: str, limit: int, offset: int) -> HistoryPage | None:
        return await history.page(self._server, session_id, limit, offset, self._max_bytes)

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        names = [keys.session_key(session_id), keys.diff_key(session_id), keys.agent_key(agent_id)]
        replies = await self._server.read(*(("PTTL", name) for name in names))
        ttls = {name: self._server.checked(ttl, name) for name, ttl in zip(names, replies, strict=True)}
        return {name: ttl if ttl >= 0 else None for name, ttl in ttls.items() if ttl != -2}

    async def ping(self) -> dict[str, Any]:
        started = time.perf_counter()
        [pong] = await self._server.read(("PING",))
        latency = time.perf_counter() - started
        self._server.checked(pong, "")
        answer: dict[str, Any] = {"latency_ms": round(latency * 1000, 3)}
        [info] = await self._server.read(("INFO",))
        if isinstance(info, bytes):  # managed servers may forbid it
            fields = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
            answer["server"] = fields.get("server_name", "redis")
            answer["version"] = fields.get("valkey_version") or fields.get("redis_version")
            answer["role"] = fields.get("role")
        return answer

    def _whole_base(self, key: str, raw: bytes) -> Base:
        try:
            return base_of_whole(raw)
        except InvalidData as error:
            raise InvalidData(f"{self.where}, key {key}: {error}") from None
