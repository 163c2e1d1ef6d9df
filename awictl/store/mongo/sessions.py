"""Live sessions in MongoDB. `database.py` describes the collections, `documents.py` how a session is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from ...document import keys
from ...document.splice import Base
from ...errors import AwiError, InvalidData, InvalidInput
from ...settings import Settings
from ...util.urls import without_credentials
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
from .commit import Commits
from .connection import MongoConnection
from .contents import EXISTS, Contents, is_live_or_invalid
from .creation import Creation
from .database import LIVE, LiveDatabase
from .documents import Document, parts_of, ttl_ms
from .history import HistoryPages
from .lifetimes import Lifetimes
from .listing import Listing
from .mapping import Mappings

if TYPE_CHECKING:
    from ...document.update import Change
    from ..session_fields import SessionFields
    from .endings import MongoEndings
    from .get_or_create import MongoGetOrCreate
    from .keyspace import MongoKeyspace
    from .strings import MongoStrings

T = TypeVar("T")

#: Marks a TTL that was not passed.
_USUAL = -1


class MongoStore:
    """The `SessionStore` in a MongoDB database.

    `prefix`: of its collections. `ttl_ms`: the usual TTL, instead of that in the settings; None: sessions never expire.
    `marks`: fields that every creation and every update sets in the session's document, too.
    """

    name = "MongoDB"

    def __init__(
        self,
        connection: MongoConnection,
        settings: Settings,
        prefix: str = LIVE,
        *,
        ttl_ms: int | None = _USUAL,
        marks: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.where = connection.where
        self.database = LiveDatabase(connection, prefix, settings.timeout)
        self._settings = settings
        self._ttl_ms = settings.session_ttl_ms if ttl_ms == _USUAL else ttl_ms
        self._marks = dict(marks)
        self._max_bytes = settings.max_document_bytes
        self.mappings = Mappings(self.database)
        self.contents = Contents(self.database, self._max_bytes)
        self._lifetimes = Lifetimes(self.database, self.contents, self.mappings)
        self._listing = Listing(self.database, self.contents)
        self._history = HistoryPages(self.contents)
        self.creation = Creation(
            self.database, self.contents, self.mappings, self._lifetimes, self._ttl_ms, self._marks
        )
        self._commits = Commits(self.database, self.contents, self.mappings, self._ttl_ms, self._max_bytes, self._marks)

    @classmethod
    def open(cls, settings: Settings) -> MongoStore:
        """The store in the database that the settings name, without connecting yet. Raises InvalidInput."""
        url = settings.live_mongodb
        if url is None:
            raise InvalidInput(
                "live sessions are to be kept in MongoDB (AWI_USE_REDIS=false), but the settings name none: set "
                "MONGODB_URI, or give --mongo URL"
            )
        return cls(MongoConnection.open(url, without_credentials(url), settings), settings)

    async def close(self) -> None:
        """Close all connections."""
        await self.database.connection.close()

    @cached_property
    def identity(self) -> str:
        """The identity of the database and the collections, as archives record it for what is live there."""
        from ..identity import identity_of_mongodb

        return identity_of_mongodb(self.where, self.database.prefix)

    @cached_property
    def strings(self) -> MongoStrings:
        """Plain string keys in the same database, for caches and media."""
        from .strings import MongoStrings

        return MongoStrings(self.database, self._settings, self.keyspace)

    @cached_property
    def keyspace(self) -> MongoKeyspace:
        """All that is live in the database, of any kind."""
        from .keyspace import MongoKeyspace

        return MongoKeyspace(self.database, self.contents, lambda: self.strings)

    @cached_property
    def get_or_create(self) -> MongoGetOrCreate:
        """Lookup and creation of agents' current sessions."""
        from .get_or_create import MongoGetOrCreate

        return MongoGetOrCreate(self.database, self.contents, self.creation, self._lifetimes, self._settings)

    @cached_property
    def endings(self) -> MongoEndings:
        """Sessions that were taken away from their agents, to end them."""
        from .endings import MongoEndings

        return MongoEndings(self.database, self.contents, self.mappings)

    # -- writing

    async def create(self, session_id: str, agent_id: str, raw: bytes, ttl_ms: int | None = None) -> str | None:
        """Store a new session and map its agent to it. Returns the agent's previous session id, if any.

        `ttl_ms`: TTL in milliseconds, instead of the usual one. Raises Refused if the session exists.
        """
        return await self.creation.create(session_id, agent_id, raw, ttl_ms or self._ttl_ms)

    async def restore(self, session_id: str, agent_id: str | None, raw: bytes) -> str | None:
        """Store an archived session. Returns the session id that its agent is mapped to now. Raises Refused."""
        return await self.creation.put(session_id, agent_id, raw, self._ttl_ms, None)

    async def put(
        self,
        session_id: str,
        agent_id: str | None,
        raw: bytes,
        ttl_ms: int | None,
        diff: tuple[bytes, int] | None = None,
    ) -> str | None:
        """Store a session exactly as another store has it; see `SessionStore.put`. Raises Refused."""
        return await self.creation.put(session_id, agent_id, raw, ttl_ms, diff)

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> CommitOutcome:
        """Write `change` if the session has not changed since `base` was read (compare-and-set); see `commit.py`."""
        return await self._commits.run(session_id, agent_id, base, change, look_for_op_id=look_for_op_id)

    async def confirm(self, session_id: str, op_id: str) -> None:
        """Do nothing: only what a majority has acknowledged is read."""

    async def touch(
        self, sessions: Sequence[tuple[str, str | None]], ttl_ms: int | None = None
    ) -> list[bool | AwiError]:
        """Extend the TTL of sessions and of their agents' mappings; see `Lifetimes.touch`."""
        return await self._lifetimes.touch(sessions, ttl_ms or self._ttl_ms)

    async def set_min_ttl(self, session_ids: Sequence[str], ttl_ms: int) -> int:
        """Extend the TTL of sessions to at least `ttl_ms` milliseconds. Returns how many were extended."""
        return await self._lifetimes.set_min_ttl(session_ids, ttl_ms)

    async def delete(self, session_id: str, agent_id: str | None, raw: bytes | None) -> DeleteOutcome:
        """Delete a session, its last delta, and its agent's mapping if that points to the session.

        Nothing is deleted if the session's string is not `raw`. None: delete without comparing.
        """
        condition: Document = {"_id": session_id, "taken": {"$ne": True}}
        if raw is not None:
            whole = await self.contents.whole(session_id)
            if whole is not None and whole.raw != raw:
                return DeleteOutcome.CHANGED
            condition["revision"] = whole.revision if whole is not None else None
        now = await self.database.now()
        with self.database.request():
            found = await self.database.sessions.find_one_and_delete(condition, {**EXISTS, "parts": 1})
        outcome = DeleteOutcome.GONE
        if found is not None:
            outcome = DeleteOutcome.DELETED if is_live_or_invalid(found, now) else DeleteOutcome.GONE
            with suppress(InvalidData):
                await self.contents.delete_parts(parts_of(found))
        elif raw is not None and await self.contents.find(session_id, EXISTS) is not None:
            return DeleteOutcome.CHANGED
        if agent_id is not None:
            await self.mappings.delete(agent_id, session_id)
        return outcome

    # -- reading

    async def read(self, session_id: str) -> Stored | None:
        """The full string of a session; None if it does not exist. Two requests if it has parts."""
        whole = await self.contents.whole(keys.check_session_id(session_id))
        return Stored(whole.raw, await self._ttl(whole.expires_at)) if whole is not None else None

    async def _ttl(self, expires_at: datetime | None) -> int | None:
        return ttl_ms(expires_at, await self.database.now())

    async def read_many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        """The full strings of several sessions, or why one could not be read. Missing sessions are left out."""
        return await self.contents.many(session_ids)

    async def lifetimes(self, session_ids: Sequence[str]) -> Sequence[Lifetime]:
        """TTL and size of these sessions. Missing sessions are left out."""
        return await self._lifetimes.lifetimes(session_ids)

    async def versions(self, session_ids: Sequence[str]) -> SessionVersions:
        """Expiry and size of these sessions, to recognize which ones change. Missing sessions are left out."""
        return await self._lifetimes.versions(session_ids)

    async def read_base(self, session_id: str, *, full: bool = False) -> Base | None:
        """The stored version for an update to be based on; None if the session does not exist.

        `full`: read the trajectory too. Otherwise only the head is read, if the string has the layout.
        """
        return await self.contents.base(keys.check_session_id(session_id), full=full)

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        """The last delta as stored, if any, and whether the session exists. One request."""
        found = await self.contents.find(session_id, {**EXISTS, "diff": 1, "diff_expires_at": 1})
        if found is None:
            return None, False
        raw, expires_at = found.get("diff"), found.get("diff_expires_at")
        if not isinstance(raw, bytes) or not (expires_at is None or isinstance(expires_at, datetime)):
            return None, True
        return (raw if expires_at is None or expires_at > await self.database.now() else None), True

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to; None if there is no mapping. Two requests. Raises InvalidData."""
        mapping = await self.mappings.get(agent_id)
        if mapping is None:
            return None
        found = await self.contents.find(mapping.session_id, EXISTS)
        return AgentSession(mapping.session_id, await self._ttl(mapping.expires_at), found is not None)

    def scan(self, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all sessions, each once, in batches. `rate`: maximum number of sessions per second."""
        return self._listing.scan(rate)

    def list_all(self, convert: Callable[[Listed], T], rate: float | None = None) -> AsyncGenerator[Sequence[T], None]:
        """All sessions with their heads, each once, in batches, converted by `convert`. `rate`: as for `scan`."""
        return self._listing.list_all(convert, rate)

    def list_fields(self, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """The fields of all sessions that lists show, each once, in batches. `rate`: as for `scan`."""
        return self._listing.list_fields(rate)

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """These sessions with their heads. Missing sessions are left out."""
        return await self._listing.list(session_ids)

    async def history(
        self, session_id: str, limit: int, offset: int, max_bytes: int | None = None
    ) -> HistoryPage | None:
        """A page of the trajectory; None if the session does not exist. One or two requests.

        Raises TooLarge if more than `max_bytes` would have to be read.
        """
        return await self._history.page(session_id, limit, offset, max_bytes)

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """The TTL in milliseconds of what there is of a session, by the key that it would have in Redis."""
        found = await self.contents.find(session_id, {**EXISTS, "diff_expires_at": 1})
        mapping = await self.mappings.get(agent_id)
        ttls: dict[str, int | None] = {}
        if found is not None:
            ttls[keys.session_key(session_id)] = await self._ttl(found["expires_at"])
            if isinstance(diff := found.get("diff_expires_at"), datetime) and (ttl := await self._ttl(diff)):
                ttls[keys.diff_key(session_id)] = ttl
        if mapping is not None:
            ttls[keys.agent_key(agent_id)] = await self._ttl(mapping.expires_at)
        return ttls

    async def traces(self, session_id: str) -> Traces:
        """The number of sessions. A last delta does not outlive its session here, and there is only one database."""
        with self.database.request():
            count = await self.database.sessions.estimated_document_count()
        return Traces(None, {0: count} if count else {}, 0)

    async def ping(self) -> dict[str, Any]:
        """Check that the server responds: `latency_ms` and `version`."""
        return await self.database.connection.ping()
