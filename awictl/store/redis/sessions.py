"""Live sessions in Redis or Valkey, by core commands only (DESIGN, sections 2 and 3)."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...document import keys
from ...document.byte_layout import op_id_mark
from ...document.json_codec import loads
from ...document.splice import FOLLOWING_BYTES, Base
from ...document.update import Change
from ...errors import AwiError, InvalidData, Refused, TooLarge
from ...settings import Settings
from ..base import (
    AgentSession,
    DeleteOutcome,
    HistoryPage,
    Lifetime,
    Listed,
    Outcome,
    Stored,
    Traces,
)
from ..errors import ReplyLost, already_live
from . import bulk_read, history, listing
from .connection import Call, Script, Server, connect
from .keyspace import Keyspace

if TYPE_CHECKING:
    from ..session_fields import SessionFields
    from .get_or_create import RedisGetOrCreate
    from .strings import Strings

log = logging.getLogger("awictl")

#: Bytes of a session in which its agent id is looked for: the app and awictl both write it second.
_AGENT_BYTES = 2_048
_AGENT_ID = re.compile(rb'\{"session_id":"[^"\\]*","agent_id":("(?:[^"\\]|\\.)*")')

_CREATE = Script("create")
_COMMIT = Script("commit")
_TOUCH = Script("touch")
_DELETE = Script("delete")
_RESTORE = Script("restore")
_SET_MIN_TTL = Script("set_min_ttl")
_READ_BASE = Script("read_base")

_DATABASES = re.compile(rb"^db(\d+):keys=(\d+)", re.MULTILINE)


class RedisStore:
    """The `SessionStore` of a single Redis server."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._ttl_ms = settings.session_ttl_ms
        self._max_bytes = settings.max_document_bytes
        self._wait_replicas = settings.wait_replicas
        self._timeout_ms = int(settings.timeout * 1000)
        self.where = server.where
        self._settings = settings

    @classmethod
    def open(cls, settings: Settings) -> RedisStore:
        """The store on the server that the settings name. Nothing is sent until the first request."""
        return cls(connect(settings), settings)

    async def close(self) -> None:
        await self._server.close()

    @cached_property
    def get_or_create(self) -> RedisGetOrCreate:
        from .get_or_create import RedisGetOrCreate  # most commands do not need it

        return RedisGetOrCreate(self._server, self._settings)

    @cached_property
    def keyspace(self) -> Keyspace:
        return Keyspace(self._server)

    @cached_property
    def strings(self) -> Strings:
        from .strings import Strings

        return Strings(self._server, self._settings)

    # -- writing

    async def create(self, session_id: str, agent_id: str, raw: bytes) -> str | None:
        key = keys.session_key(session_id)
        call: Call = ([key, keys.agent_key(agent_id)], [raw, self._ttl_ms, session_id])
        try:
            reply = await self._write(_CREATE, call)
        except ReplyLost:
            # asked again with the same fresh id: where it exists now with these bytes, the first request made it
            reply = await self._write(_CREATE, call)
            if isinstance(reply, list) and not reply[0]:
                stored = await self.read(session_id)
                if stored is not None and stored.raw == raw:
                    return None
        created, previous = self._server.checked(reply, key)
        if not created:
            raise Refused(f"{self.where}: session {session_id} exists already")
        return previous.decode("utf-8", "replace") or None

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> Outcome:
        key = keys.session_key(session_id)
        splice = change.splice
        if splice.length > self._max_bytes:
            raise TooLarge(
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
            0 if change.persist else self._ttl_ms,
            op_id_mark(change.action["op_id"]) if look_for_op_id else b"",
            change.diff,
            keys.DIFF_TTL_SECONDS * 1000,
            session_id,
        ]
        names = [key, keys.diff_key(session_id), keys.agent_key(agent_id)]
        reply = await self._write(_COMMIT, (names, arguments))
        outcome, *fault = self._server.checked(reply, key)
        if fault and fault[0]:
            log.warning("%s: updated %s, but not all that goes with it: %s", self.where, key, fault[0].decode())
        return Outcome(outcome.decode())

    async def touch(self, sessions: Sequence[tuple[str, str | None]]) -> list[bool]:
        agents = dict(sessions)
        exists: dict[str, bool] = {}
        replies = await self._touch(agents)
        unknown = [session_id for session_id in agents if agents[session_id] is None]
        for session_id, (there, start) in replies.items():
            exists[session_id] = bool(there)
            if found := _AGENT_ID.match(start):
                agents[session_id] = loads(found[1])
        # the name of the mapping stands in the documents of those that were not known
        unusual = [session_id for session_id in unknown if exists[session_id] and agents[session_id] is None]
        for listed in await self.list(unusual):
            agent_id = listed.head.get("agent_id")
            agents[listed.session_id] = agent_id if isinstance(agent_id, str) else None
        mapped = {one: agents[one] for one in unknown if exists[one] and agents[one] is not None}
        if mapped:
            await self._touch(mapped)
        return [exists[session_id] for session_id, _ in sessions]

    async def _touch(self, agents: Mapping[str, str | None]) -> dict[str, tuple[int, bytes]]:
        """The replies of the script for sessions and their agents, where they are known."""
        calls: list[Call] = [
            (
                [keys.session_key(session_id), *_mapping(agent_id)],
                [self._ttl_ms, session_id, _AGENT_BYTES],
            )
            for session_id, agent_id in agents.items()
        ]
        replies = await self._server.run(_TOUCH, *calls, idempotent=True)
        return {
            session_id: self._server.checked(reply, keys.session_key(session_id))
            for session_id, reply in zip(agents, replies, strict=True)
        }

    async def set_min_ttl(self, session_ids: Sequence[str], ttl_ms: int) -> int:
        calls: list[Call] = [([keys.session_key(session_id)], [ttl_ms]) for session_id in session_ids]
        replies = await self._server.run(_SET_MIN_TTL, *calls, idempotent=True)
        return sum(reply == 1 for reply in replies)

    async def delete(self, session_id: str, agent_id: str | None, raw: bytes | None) -> DeleteOutcome:
        key = keys.session_key(session_id)
        digest = "" if raw is None else hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        names = [key, keys.diff_key(session_id), *_mapping(agent_id)]
        # again after a lost reply: it deletes nothing else than before, and then finds the session gone
        [reply] = await self._server.run(_DELETE, (names, [digest, session_id]), idempotent=True)
        return DeleteOutcome(self._server.checked(reply, key).decode())

    async def restore(self, session_id: str, agent_id: str | None, raw: bytes) -> str | None:
        key = keys.session_key(session_id)
        reply = await self._write(_RESTORE, ([key, *_mapping(agent_id)], [raw, self._ttl_ms, session_id]))
        restored, current = self._server.checked(reply, key)
        if not restored:
            raise already_live(session_id, self.where)
        return current.decode("utf-8", "replace") or None

    async def _write(self, script: Script, call: Call) -> Any:
        """The reply of a script that writes, once as many replicas have the write as the settings ask for."""
        if not self._wait_replicas:
            return (await self._server.run(script, call))[0]
        wait = ("WAIT", self._wait_replicas, self._timeout_ms // 2)  # on the same connection: it is about its writes
        reply, reached = await self._server.run(script, call, then=[wait])
        if not isinstance(reply, Exception) and (not isinstance(reached, int) or reached < self._wait_replicas):
            log.warning("%s: written, but only %s of %s replicas have it", self.where, reached, self._wait_replicas)
        return reply

    # -- reading

    async def read(self, session_id: str) -> Stored | None:
        key = keys.session_key(session_id)
        # GETRANGE bounds what is fetched before the size is known
        raw, length, ttl = await self._server.execute_idempotent(
            ("GETRANGE", key, 0, self._max_bytes - 1), ("STRLEN", key), ("PTTL", key)
        )
        raw = self._server.checked(raw, key)
        if not raw and ttl == -2:
            return None
        self._server.check_size(key, max(self._server.checked(length, key), len(raw)), self._max_bytes)
        return Stored(raw, ttl if ttl >= 0 else None)

    async def read_many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        return await bulk_read.read(self._server, session_ids, self._max_bytes)

    async def lifetimes(self, session_ids: Sequence[str]) -> Sequence[Lifetime]:
        return await bulk_read.lifetimes(self._server, session_ids)

    async def read_base(self, session_id: str, *, full: bool = False) -> Base | None:
        key = keys.session_key(session_id)
        if not full:
            arguments = (listing.HEAD_CHUNK, self._max_bytes, FOLLOWING_BYTES)
            [reply] = await self._server.run(_READ_BASE, ([key], arguments), idempotent=True)
            length, chunk, end = self._server.checked(reply, key)
            if length < 0:
                return None
            base = history.base_from_start(self._server, key, length, chunk, end, self._max_bytes)
            if base is not None:
                return base
        stored = await self.read(session_id)
        return history.decode_base(self._server, key, stored.raw) if stored is not None else None

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        raw, exists = await self._server.execute_idempotent(
            ("GET", keys.diff_key(session_id)), ("EXISTS", keys.session_key(session_id))
        )
        return self._server.checked(raw, keys.diff_key(session_id)), bool(self._server.checked(exists, ""))

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        key = keys.agent_key(agent_id)
        raw, ttl = await self._server.execute_idempotent(("GET", key), ("PTTL", key))
        raw = self._server.checked(raw, key)
        if raw is None:
            return None
        session_id = keys.as_session_id(raw)
        if session_id is None:
            raise InvalidData(f"{self.where}, key {key}: holds no session id, but {raw[:80]!r}")
        [exists] = await self._server.execute_idempotent(("EXISTS", keys.session_key(session_id)))
        return AgentSession(session_id, ttl if ttl >= 0 else None, bool(self._server.checked(exists, key)))

    def scan(self, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        return listing.scan(self._server, rate)

    def list_all(self, rate: float | None = None) -> AsyncGenerator[Sequence[Listed], None]:
        """All sessions with their heads, each once, in batches. `rate`: as for `scan`."""
        return listing.list_heads(self._server, self._max_bytes, rate)

    def list_fields(self, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """The fields of all sessions that lists show, each once, in batches. `rate`: as for `scan`."""
        return listing.list_fields(self._server, self._max_bytes, rate)

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """These sessions with their heads; sessions that no longer exist are left out."""
        return await listing.list_sessions(self._server, session_ids, self._max_bytes)

    async def history(self, session_id: str, limit: int, offset: int) -> HistoryPage | None:
        return await history.page(self._server, session_id, limit, offset, self._max_bytes)

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        names = [keys.session_key(session_id), keys.diff_key(session_id), keys.agent_key(agent_id)]
        replies = await self._server.execute_idempotent(*(("PTTL", name) for name in names))
        ttls = {name: self._server.checked(ttl, name) for name, ttl in zip(names, replies, strict=True)}
        return {name: ttl if ttl >= 0 else None for name, ttl in ttls.items() if ttl != -2}

    async def traces(self, session_id: str) -> Traces:
        ttl, info = await self._server.execute_idempotent(("PTTL", keys.diff_key(session_id)), ("INFO", "keyspace"))
        databases = _DATABASES.findall(info) if isinstance(info, bytes) else []
        return Traces(
            ttl if isinstance(ttl, int) and ttl >= 0 else None,
            {int(number): int(count) for number, count in databases},
            self._settings.redis_db,
        )

    async def ping(self) -> dict[str, Any]:
        started = time.perf_counter()
        [pong] = await self._server.execute_idempotent(("PING",))
        latency = time.perf_counter() - started
        self._server.checked(pong, "")
        answer: dict[str, Any] = {"latency_ms": round(latency * 1000, 3)}
        [info] = await self._server.execute_idempotent(("INFO",))
        if isinstance(info, bytes):  # managed servers may forbid it
            fields = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
            answer["server"] = fields.get("server_name", "redis")
            answer["version"] = fields.get("valkey_version") or fields.get("redis_version")
            answer["role"] = fields.get("role")
        return answer


def _mapping(agent_id: str | None) -> list[str]:
    """The name of an agent's mapping, where there is an agent."""
    return [] if agent_id is None else [keys.agent_key(agent_id)]
