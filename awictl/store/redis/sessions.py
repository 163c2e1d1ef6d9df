"""Live sessions in Redis or Valkey. Core commands only: no modules, no admin commands (DESIGN, promise 11)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ...document import keys
from ...document.byte_layout import op_id_mark
from ...document.schema import has_ended
from ...document.splice import FOLLOWING_BYTES, Base
from ...errors import AwiError, InvalidData, Refused, TooLarge
from ...settings import Settings
from ..base import (
    AgentSession,
    CommitOutcome,
    DeleteOutcome,
    HistoryPage,
    Lifetime,
    Listed,
    SessionVersions,
    Stored,
    Traces,
)
from ..errors import ReplyLost
from . import bulk_read, history, listing, restore, touch
from .confirmation import ConfirmedWrites, retry_of
from .keyspace import RedisKeyspace
from .server import Call, Script, Server, connect

if TYPE_CHECKING:
    from ...document.update import Change
    from ..session_fields import SessionFields
    from .endings import RedisEndings
    from .get_or_create import RedisGetOrCreate
    from .strings import Strings

log = logging.getLogger("awictl")

T = TypeVar("T")

_CREATE = Script("create")
_COMMIT = Script("commit")
_DELETE = Script("delete")
_SET_MIN_TTL = Script("set_min_ttl")
_READ_BASE = Script("read_base")


class RedisStore:
    """The `SessionStore` of a single Redis server."""

    name = "Redis"

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._ttl_ms = settings.session_ttl_ms
        self._max_bytes = settings.max_document_bytes
        self._writes = ConfirmedWrites(server, settings)
        self.where = server.where
        #: Sets the circuit breaker of the server, and returns it.
        self.guard = server.guard
        self._settings = settings

    @classmethod
    def open(cls, settings: Settings, client: Any = None) -> RedisStore:
        """The store on the server in the settings, or on that of a redis-py client. Sends nothing yet."""
        return cls(connect(settings, client), settings)

    async def close(self) -> None:
        """Close all connections."""
        await self._server.close()

    @cached_property
    def identity(self) -> str:
        """The identity of the server and database; see `identity.identity_of`."""
        from ..identity import identity_of

        return identity_of(self._settings)

    @cached_property
    def get_or_create(self) -> RedisGetOrCreate:
        """Lookup and creation of agents' current sessions."""
        from .get_or_create import RedisGetOrCreate  # most commands do not need it

        return RedisGetOrCreate(self._server, self._settings)

    @cached_property
    def endings(self) -> RedisEndings:
        """Sessions that were taken away from their agents, to end them."""
        from .endings import RedisEndings

        return RedisEndings(self._server, self._settings)

    @cached_property
    def keyspace(self) -> RedisKeyspace:
        """All keys of the server, of any kind."""
        return RedisKeyspace(self._server)

    @cached_property
    def strings(self) -> Strings:
        """Plain string keys on the same server, for caches and media."""
        from .strings import Strings

        return Strings(self._server, self._settings)

    # -- writing

    async def create(self, session_id: str, agent_id: str, raw: bytes, ttl_ms: int | None = None) -> str | None:
        """Store a new session and map its agent to it. Returns the agent's previous session id, if any.

        `ttl_ms`: TTL in milliseconds, instead of the usual one. Raises Refused if the session exists.
        """
        key = keys.session_key(session_id)
        call: Call = ([key, keys.agent_key(agent_id)], [raw, ttl_ms or self._ttl_ms, session_id])
        messages = (
            f"{session_id} was created",
            f"check after a failover that `awictl session show {session_id}` finds it",
        )
        try:
            reply = await self._writes.run(_CREATE, call, *messages)
        except ReplyLost:
            # retry with the same new id: if it exists now with these bytes, the first attempt created it
            reply = await self._writes.run(_CREATE, call, *messages)
            if isinstance(reply, list) and not reply[0]:
                stored = await self.read(session_id)
                if stored is not None and stored.raw == raw:
                    await self._writes.run(restore.RESTORE, call, *messages, idempotent=True)
                    return None
        created, previous = self._server.checked(reply, key)
        if not created:
            raise Refused(f"{self.where}: session {session_id} exists already; choose another id")
        return previous.decode("utf-8", "replace") or None

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> CommitOutcome:
        """Write `change` if the session has not changed since `base` was read (compare-and-set).

        `look_for_op_id`: search the trajectory for the op_id first. Raises ReplyLost if the outcome is unknown,
        and Unconfirmed if it was written, but not acknowledged by enough replicas.
        """
        key = keys.session_key(session_id)
        splice = change.splice
        if splice.length > self._max_bytes:
            raise TooLarge(
                f"{self.where}, key {key}: with this update it would have {splice.length:,} bytes, more than the limit "
                f"of {self._max_bytes:,} (AWI_MAX_DOCUMENT_BYTES). Nothing was written"
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
            int(has_ended(base.document) and not change.ends),
        ]
        names = [key, keys.diff_key(session_id), keys.agent_key(agent_id)]
        op_id = change.action["op_id"]
        done = f"the update of {session_id} with op_id {op_id} was applied"
        reply = await self._writes.run(_COMMIT, (names, arguments), done, retry_of(op_id), op_id=op_id)
        reply = self._server.checked(reply, key)
        try:
            outcome, *rest = (one.decode("utf-8", "replace") for one in reply)
            committed = CommitOutcome(outcome)
        except (AttributeError, TypeError, ValueError):
            # the update may have been applied: the caller finds out
            raise ReplyLost(f"{self.where} sent a malformed reply to an update: {reply!r:.80}") from None
        if any(rest):
            log.warning("%s: updated %s, but not its derived keys or its TTL: %s", self.where, key, rest[0])
        return committed

    async def touch(
        self, sessions: Sequence[tuple[str, str | None]], ttl_ms: int | None = None
    ) -> list[bool | AwiError]:
        """Extend the TTL of sessions and of their agents' mappings; see `touch.touch`."""
        return await touch.touch(self._server, sessions, ttl_ms or self._ttl_ms, self._max_bytes)

    async def set_min_ttl(self, session_ids: Sequence[str], ttl_ms: int) -> int:
        """Extend the TTL of sessions to at least `ttl_ms` milliseconds. Returns how many were extended."""
        calls: list[Call] = [([keys.session_key(session_id)], [ttl_ms]) for session_id in session_ids]
        replies = await self._server.run(_SET_MIN_TTL, *calls, idempotent=True)
        return sum(reply == 1 for reply in replies)

    async def delete(self, session_id: str, agent_id: str | None, raw: bytes | None) -> DeleteOutcome:
        """Delete a session, its last delta, and its agent's mapping if that points to the session.

        Nothing is deleted if the session's string is not `raw`. None: delete without comparing.
        """
        key = keys.session_key(session_id)
        import hashlib  # not needed by every command

        digest = "" if raw is None else hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        names = [key, keys.diff_key(session_id), *restore.mapping(agent_id)]
        call: Call = (names, [digest, session_id])
        lost = False
        try:
            [reply] = await self._server.run(_DELETE, call)
        except ReplyLost as error:
            if not error.retryable:
                raise
            lost = True
            [reply] = await self._server.run(_DELETE, call)
        outcome = DeleteOutcome(self._server.checked(reply, key).decode())
        # a session that is gone after a lost reply was deleted by the first attempt
        return DeleteOutcome.DELETED if lost and outcome is DeleteOutcome.GONE else outcome

    async def restore(self, session_id: str, agent_id: str | None, raw: bytes) -> str | None:
        """Store an archived session. Returns the session id that its agent is mapped to now. Raises Refused."""
        return await restore.restore(self._server, self._writes, session_id, agent_id, raw, self._ttl_ms)

    async def put(
        self,
        session_id: str,
        agent_id: str | None,
        raw: bytes,
        ttl_ms: int | None,
        diff: tuple[bytes, int] | None = None,
    ) -> str | None:
        """Store a session exactly as another store has it; see `SessionStore.put`. Raises Refused. One round trip."""
        return await restore.put(self._server, self._writes, session_id, agent_id, raw, ttl_ms, diff, self._ttl_ms)

    async def confirm(self, session_id: str, op_id: str) -> None:
        """Wait until replicas acknowledge all earlier writes to a session; see `ConfirmedWrites.confirm`."""
        await self._writes.confirm(session_id, op_id)

    # -- reading

    async def read(self, session_id: str) -> Stored | None:
        """The full string of a session; None if it does not exist. One round trip."""
        key = keys.session_key(session_id)
        # GETRANGE limits how many bytes are fetched while the length is not known yet
        raw, length, ttl = await self._server.execute_idempotent(
            ("GETRANGE", key, 0, self._max_bytes - 1), ("STRLEN", key), ("PTTL", key)
        )
        raw = self._server.checked(raw, key)
        if not raw and ttl == -2:
            return None
        self._server.check_size(key, max(self._server.checked(length, key), len(raw)), self._max_bytes)
        return Stored(raw, ttl if self._server.checked(ttl, key) >= 0 else None)

    async def read_many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        """The full strings of several sessions, or why one could not be read. Missing sessions are left out."""
        return await bulk_read.read(self._server, session_ids, self._max_bytes)

    async def lifetimes(self, session_ids: Sequence[str]) -> Sequence[Lifetime]:
        """TTL and size of these sessions. Missing sessions are left out. One round trip."""
        return await bulk_read.lifetimes(self._server, session_ids)

    async def versions(self, session_ids: Sequence[str]) -> SessionVersions:
        """Expiry and size of these sessions, to recognize which ones change. Missing sessions are left out."""
        return await bulk_read.versions(self._server, session_ids)

    async def read_base(self, session_id: str, *, full: bool = False) -> Base | None:
        """The stored version for an update to be based on; None if the session does not exist.

        `full`: read the trajectory too. Otherwise only the head is read, if the string has the layout. One round trip.
        """
        key = keys.session_key(session_id)
        if not full:
            arguments = (listing.HEAD_CHUNK, self._max_bytes, FOLLOWING_BYTES)
            [reply] = await self._server.run(_READ_BASE, ([key], arguments), idempotent=True)
            match self._server.checked(reply, key):
                case [int(length), bytes(chunk), bytes(end)]:
                    pass
                case other:
                    raise InvalidData(f"{self.where}, key {key}: the server sent a malformed reply: {other!r:.80}")
            if length < 0:
                return None
            base = history.base_from_start(self._server, key, length, chunk, end, self._max_bytes)
            if base is not None:
                return base
        stored = await self.read(session_id)
        return history.decode_base(self._server, key, stored.raw) if stored is not None else None

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        """The last delta as stored, if any, and whether the session exists. One round trip."""
        raw, exists = await self._server.execute_idempotent(
            ("GET", keys.diff_key(session_id)), ("EXISTS", keys.session_key(session_id))
        )
        return self._server.checked(raw, keys.diff_key(session_id)), bool(self._server.checked(exists, ""))

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to; None if there is no mapping. Two round trips.

        Raises InvalidData if the mapping does not contain a session id.
        """
        key = keys.agent_key(agent_id)
        raw, ttl = await self._server.execute_idempotent(("GET", key), ("PTTL", key))
        raw = self._server.checked(raw, key)
        if raw is None:
            return None
        session_id = keys.as_session_id(raw)
        if session_id is None:
            raise InvalidData(f"{self.where}, key {key}: not a session id: {raw[:80]!r}")
        [exists] = await self._server.execute_idempotent(("EXISTS", keys.session_key(session_id)))
        return AgentSession(
            session_id, ttl if self._server.checked(ttl, key) >= 0 else None, bool(self._server.checked(exists, key))
        )

    def scan(self, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all sessions, each once, in batches. `rate`: maximum number of keys to scan per second."""
        return listing.scan(self._server, rate)

    def list_all(self, convert: Callable[[Listed], T], rate: float | None = None) -> AsyncGenerator[Sequence[T], None]:
        """All sessions with their heads, each once, in batches, converted by `convert`. `rate`: as for `scan`."""
        return listing.list_all(self._server, self._max_bytes, rate, convert)

    def list_fields(self, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """The fields of all sessions that lists show, each once, in batches. `rate`: as for `scan`."""
        return listing.list_fields(self._server, self._max_bytes, rate)

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """These sessions with their heads. Missing sessions are left out."""
        return await listing.list_sessions(self._server, session_ids, self._max_bytes)

    async def history(
        self, session_id: str, limit: int, offset: int, max_bytes: int | None = None
    ) -> HistoryPage | None:
        """A page of the trajectory; None if the session does not exist. Usually one or two round trips.

        Raises TooLarge if more than `max_bytes` would have to be read.
        """
        return await history.page(self._server, session_id, limit, offset, self._max_bytes, max_bytes)

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """The TTL in milliseconds of each existing key of a session, by key; None for a key without a TTL."""
        names = [keys.session_key(session_id), keys.diff_key(session_id), keys.agent_key(agent_id)]
        replies = await self._server.execute_idempotent(*(("PTTL", name) for name in names))
        ttls = {name: self._server.checked(ttl, name) for name, ttl in zip(names, replies, strict=True)}
        return {name: ttl if ttl >= 0 else None for name, ttl in ttls.items() if ttl != -2}

    async def traces(self, session_id: str) -> Traces:
        """What the server reports about a session that does not exist. One round trip."""
        from .traces import traces

        return await traces(self._server, session_id, self._settings.redis_db)

    async def ping(self) -> dict[str, Any]:
        """Check that the server responds: `latency_ms`, and `version`, `server` and `role` if available."""
        from .server_info import ServerInfo

        return await ServerInfo(self._server.unguarded()).ping()
