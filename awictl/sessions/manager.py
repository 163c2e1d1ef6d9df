"""The state manager: one facade over the services that read, write, end and archive sessions.

Longer than 350 lines because the library's public API stands here in one place; every method only delegates.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..document import keys
from ..errors import AwiError, NoSession
from ..settings import Settings
from ..store.base import AgentSession, HistoryPage, Listed, SessionStore, Stored
from ..util.daemon_thread import in_daemon_thread
from ..util.end_tasks import end_tasks
from .reader import LastDiff, SessionReader

# Services are imported when they are first used: a command needs few of them.
if TYPE_CHECKING:
    from ..agents.audit import AuditLog
    from ..agents.registry import AgentRegistry
    from ..archive.base import Archive, Archived
    from ..archive.migrate import Migrated
    from ..archive.sweep import Sweeper
    from ..diagnostics.inventory import Inventory
    from ..document.splice import Base
    from ..fallback.reads import FallbackReader
    from ..fallback.services import FallbackAgentSessions, FallbackEarlierSessions, FallbackWriter
    from ..fallback.switch import SessionFallback
    from ..media.cache import MediaCache
    from ..query_cache.cache import QueryCache
    from ..query_cache.diagnose import Diagnosis
    from ..store.breaker import CircuitBreaker
    from ..store.keyspace import Keyspace
    from ..store.session_fields import SessionFields
    from ..store.strings import StringStore
    from .earlier_sessions import EarlierSessions
    from .end import Ended, SessionEndings
    from .export.export import SessionExports
    from .find import Found
    from .fork import SessionForks
    from .get_or_create import AgentSessions
    from .migration.migrate import StoreMigration
    from .selection import SessionSelection
    from .time_travel import TimeTravel
    from .update import Updated, Updater
    from .verify import SessionVerifier
    from .writer import Created, SessionWriter


class StateManager:
    """Creates, reads, updates and ends sessions. Open one with `StateManager.open`; many tasks may share it.

    It opens the services and delegates to them. Every method raises the errors of `awictl.errors`: InvalidInput,
    NotFound, Refused (ReadOnly, UpdateConflict, AccessDenied), Unreachable, InvalidData, OutcomeUnknown.
    """

    def __init__(self, store: SessionStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._reader = SessionReader(store, lambda: self.archive)
        #: Strings on servers other than the sessions', by URL; closed together with the store.
        self._other_servers: dict[str, StringStore] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, *, redis: Any = None) -> AsyncIterator[StateManager]:
        """A manager on the store that the settings name; closed on exit. Sends nothing before the first call.

        With `embedded` in the settings, starts the embedded server if it is not running. `redis`: a
        `redis.asyncio.Redis` of the caller, whose connections are used for sessions instead; it is not closed. Raises
        InvalidInput if it is another kind of client, or sessions are to be in MongoDB (AWI_USE_REDIS=false), and the
        settings name none.
        """
        if settings.embedded and redis is None:
            from ..store import embedded

            configured = settings
            settings = await in_daemon_thread(lambda: embedded.attach(configured))
        manager = cls(_open_store(settings, redis), settings)
        try:
            yield manager
        except BaseException:
            with suppress(Exception):  # the error in the block is the one to report
                await manager.close()
            raise
        await manager.close()

    async def close(self) -> None:
        """Close the connections to all servers that were used.

        If some cannot be closed, the others are closed all the same. Then the first error is raised, and the others
        are its notes.
        """
        agents: AgentRegistry | None = vars(self).get("agents")
        before = [agents.close()] if agents is not None else []  # it still writes to the archive
        results: list[Any] = await asyncio.gather(*before, return_exceptions=True)
        archive: Archive | None = vars(self).get("archive")
        fallback: SessionFallback | None = vars(self).get("fallback")
        closing = [self.store.close(), *(one.close() for one in self._other_servers.values())]
        if archive is not None:
            closing.append(archive.close())
        if fallback is not None:
            closing.append(fallback.close())
        results += await asyncio.gather(*closing, return_exceptions=True)
        if errors := [one for one in results if isinstance(one, BaseException)]:
            for other in errors[1:]:
                errors[0].add_note(f"also: {other!r}")
            raise errors[0]

    # -- services

    @cached_property
    def archive(self) -> Archive | None:
        """The archive that the settings name, opened at first use; None if they name none."""
        from ..archive.connect import open_archive

        return open_archive(self.settings)

    def required_archive(self, otherwise: str = "") -> Archive:
        """The archive. Raises Refused if none is configured; `otherwise` completes the message with an alternative."""
        from ..archive.connect import required

        return required(self.archive, otherwise)

    async def existing_archive(self) -> Archive:
        """The archive, to read it. Raises Refused if none is configured, NotFound if its file does not exist."""
        archive = self.required_archive()
        await archive.check_exists()
        return archive

    @cached_property
    def cache(self) -> QueryCache:
        """The cached results of queries."""
        from ..query_cache.cache import QueryCache

        strings = self._strings(self.settings.cache_redis_url)
        return QueryCache(strings, self._reader, self._redis_writer, self.settings)

    @cached_property
    def media(self) -> MediaCache:
        """The cached images and their embeddings."""
        from ..media.cache import MediaCache

        return MediaCache(self._strings(self.settings.media_redis_url), self.settings)

    @cached_property
    def agents(self) -> AgentRegistry:
        """The agents that have an API key; keys are stored beside the archive. Raises Refused without an archive."""
        from ..agents.key_store import open_key_store
        from ..agents.registry import AgentRegistry

        archive = self.required_archive("; the keys of agents are kept there")
        return AgentRegistry(open_key_store(archive), self.settings)

    @cached_property
    def audit_log(self) -> AuditLog:
        """The app's audit log and security events. Raises Refused unless the archive is in MongoDB."""
        from ..agents.audit import open_audit_log

        return open_audit_log(self.required_archive("; the audit log of the app is in its MongoDB"), self.settings)

    async def existing_agents(self) -> AgentRegistry:
        """The agents, to read them. Raises Refused without an archive, NotFound if its file does not exist."""
        agents = self.agents
        await self.required_archive().check_exists()
        return agents

    @cached_property
    def agent_sessions(self) -> AgentSessions | FallbackAgentSessions:
        """Gets or creates the sessions of agents for their requests; this extends their TTL. Raises ReadOnly."""
        from .get_or_create import AgentSessions

        self.settings.check_writable()
        sessions = AgentSessions(self.store.get_or_create, self._earlier_sessions.ended)
        if self.fallback is None:
            return sessions
        from ..fallback.services import FallbackAgentSessions

        return FallbackAgentSessions(sessions, self.fallback)

    @cached_property
    def _earlier_sessions(self) -> EarlierSessions:
        from .earlier_sessions import EarlierSessions

        return EarlierSessions(self.store, lambda: self.archive, self.settings.session_ttl_ms)

    @cached_property
    def earlier_sessions(self) -> EarlierSessions | FallbackEarlierSessions:
        """The op_ids of agents' earlier sessions."""
        if self.fallback is None:
            return self._earlier_sessions
        from ..fallback.services import FallbackEarlierSessions

        return FallbackEarlierSessions(self._earlier_sessions, self.fallback)

    @cached_property
    def time_travel(self) -> TimeTravel:
        """The states of sessions at any moment."""
        from .time_travel import TimeTravel

        return TimeTravel(self._readers.find, self.decoded, lambda: self.archive)

    @cached_property
    def exports(self) -> SessionExports:
        """Exports sessions to a file, and imports them from one; see docs/export.md."""
        from .export.export import SessionExports

        return SessionExports(self.time_travel.whole, self.store, lambda: self.archive, self.settings)

    @cached_property
    def verifier(self) -> SessionVerifier:
        """Verifies sessions: does the history explain the state, and is the archived copy equal?"""
        from .verify import SessionVerifier

        return SessionVerifier(self.store, lambda: self.archive)

    @cached_property
    def forks(self) -> SessionForks:
        """Makes new sessions of what sessions were at any moment."""
        from .fork import SessionForks

        return SessionForks(self.store, self.time_travel, lambda: self.archive, self.settings)

    @cached_property
    def inventory(self) -> Inventory:
        """All keys on all servers that the settings name."""
        from ..diagnostics.inventory import Inventory

        keyspaces = {self.settings.keyspace_id: self.store.keyspace}  # each server once, whatever it is called
        for url in (self.settings.cache_redis_url, self.settings.media_redis_url):
            if url is not None:
                keyspaces.setdefault(self.settings.for_server(url).keyspace_id, self.keyspace_at(url))
        return Inventory(list(keyspaces.values()))

    def sweeper(
        self, margin_ms: int, *, rate: float | None = None, scan_rate: float | None = None, dry_run: bool = False
    ) -> Sweeper:
        """A sweeper that archives sessions that expire within `margin_ms` milliseconds or have ended.

        `rate`: maximum number of sessions to archive per second; `scan_rate`: keys to scan per second. Raises Refused.
        """
        from ..archive.sweep import Sweeper

        if not dry_run:
            self.settings.check_writable()
        return Sweeper(self.store, self.required_archive(), margin_ms, rate=rate, scan_rate=scan_rate)

    def keyspace_at(self, url: str) -> Keyspace:
        """The keys of a server that cached results or media have to themselves."""
        return self._strings(url).keyspace

    def check_writable(self) -> None:
        """Raise ReadOnly if the settings refuse all writes."""
        self.settings.check_writable()

    @cached_property
    def breaker(self) -> CircuitBreaker | None:
        """Refuses requests to Redis at once while it is away; None without a fallback (`Settings.falls_back`)."""
        from ..store.redis.sessions import RedisStore

        if not self.settings.falls_back or not isinstance(self.store, RedisStore):
            return None
        return self.store.guard(self.settings.timeout)

    def migration(
        self, *, to_redis: bool, from_app: bool = False, rate: float | None = None, dry_run: bool = False
    ) -> AbstractAsyncContextManager[StoreMigration]:
        """Moves all live sessions between Redis and MongoDB; see `open_migration`."""
        from .migration.open import open_migration

        options: dict[str, Any] = {"from_app": from_app, "rate": rate, "dry_run": dry_run}
        services = self.store, self.settings, lambda: self.archive, self.bring_home
        return open_migration(*services, to_redis=to_redis, **options)

    @cached_property
    def fallback(self) -> SessionFallback | None:
        """Lets sessions go on in MongoDB while Redis is away; None without a fallback (`Settings.falls_back`)."""
        if self.breaker is None:
            return None
        from ..fallback.open import open_fallback

        def services() -> tuple[Updater, SessionEndings, EarlierSessions]:
            return self._updater, self._endings, self._earlier_sessions

        return open_fallback(self.store, self.settings, self.breaker, lambda: self.archive, services)

    @asynccontextmanager
    async def journal_watched(self) -> AsyncIterator[None]:
        """Bring home what is journaled, by this process or another, as soon as Redis is there, while a block runs."""
        if self.fallback is None:
            yield
            return
        watching = asyncio.create_task(self.fallback.watch())
        try:
            yield
        finally:
            await end_tasks(watching)

    async def bring_home(self) -> int:
        """Bring home all that is journaled, once. Returns how many sessions could not be. Raises Unreachable."""
        if self.fallback is None:
            return 0
        self.settings.check_writable()
        return await self.fallback.bring_all()

    @cached_property
    def _updater(self) -> Updater:
        from .trimmed import TrimmedActions
        from .update import Updater

        archived = self.settings.archive is not None or self.settings.embedded
        trimmed = TrimmedActions(self.required_archive) if archived else None
        breaker = self.breaker
        return Updater(self.store, self.settings, trimmed, lambda: breaker is not None and not breaker.is_closed)

    @cached_property
    def _redis_writer(self) -> SessionWriter:
        from .writer import SessionWriter

        return SessionWriter(self.store, self._updater, self._reader, self.settings)

    @cached_property
    def _writer(self) -> SessionWriter | FallbackWriter:
        if self.fallback is None:
            return self._redis_writer
        from ..fallback.services import FallbackWriter

        return FallbackWriter(self._redis_writer, self.fallback)

    @cached_property
    def _readers(self) -> FallbackReader | SessionReader:
        if not self.settings.falls_back:
            return self._reader
        from ..fallback.reads import FallbackReader

        return FallbackReader(self._reader, lambda: self.fallback, lambda: self.archive)

    @cached_property
    def _endings(self) -> SessionEndings:
        from .end import SessionEndings

        return SessionEndings(self.store, self._updater, lambda: self.archive)

    @cached_property
    def selection(self) -> SessionSelection:
        """Selects sessions, live and archived, by an expression; see docs/select.md."""
        from .selection import SessionSelection

        return SessionSelection(self.store, lambda: self.archive, lambda: self._endings, self.settings.check_writable)

    def _strings(self, url: str | None) -> StringStore:
        """Plain string keys: on the sessions' server, or on the one that a URL names."""
        if url is None:
            return self.store.strings
        if url not in self._other_servers:
            from ..store.redis.strings import Strings

            self._other_servers[url] = Strings.open(self.settings.for_server(url))
        return self._other_servers[url]

    # -- creating and updating

    async def initialize_session(
        self,
        agent_id: str,
        agent_name: str,
        route: str = "/",
        *,
        session_id: str | None = None,
        ttl_ms: int | None = None,
    ) -> dict[str, Any]:
        """Create a session and make it the agent's current one. Returns the whole document. One round trip.

        `ttl_ms`: its first TTL in milliseconds, instead of SESSION_TTL_MINUTES. Each update sets the usual TTL again.
        """
        return (await self.create(agent_id, agent_name, route, session_id=session_id, ttl_ms=ttl_ms)).document

    async def create_session(
        self,
        agent_id: str,
        agent_name: str,
        route: str = "/",
        *,
        session_id: str | None = None,
        ttl_ms: int | None = None,
    ) -> tuple[dict[str, Any], str | None]:
        """Like `initialize_session`; also returns the session that the agent was mapped to before, if any."""
        created = await self.create(agent_id, agent_name, route, session_id=session_id, ttl_ms=ttl_ms)
        return created.document, created.previous

    async def create(
        self,
        agent_id: str,
        agent_name: str,
        route: str = "/",
        *,
        session_id: str | None = None,
        ttl_ms: int | None = None,
    ) -> Created:
        """Like `create_session`; also returns whether Redis is unreachable, so that the session is in MongoDB."""
        return await self._writer.create(agent_id, agent_name, route, session_id=session_id, ttl_ms=ttl_ms)

    async def update_state_with_delta(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merge `delta` into a session and record the action. Returns the document without its trajectory.

        `entry`: any of `action`, `input`, `success`, `observation`, `op_id`. An update whose op_id is already in the
        trajectory changes nothing. Two round trips; one if this manager also wrote the previous update.
        """
        return (await self._writer.apply(session_id, delta, entry)).head

    async def apply(
        self,
        session_id: str,
        delta: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        base: Base | None = None,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """Like `update_state_with_delta`; the result also contains the recorded action.

        `base`: the session as it was just read (`Visit.base`), which saves a read. `fresh_op_id`: the op_id to use if
        the entry has none; it must be new, so that no earlier attempt can have used it.
        """
        return await self._writer.apply(session_id, delta, entry, base=base, fresh_op_id=fresh_op_id)

    async def preview(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Updated:
        """What `apply` would do now: the document before and after, and the action. Writes nothing. Raises NotFound."""
        return await self._writer.preview(session_id, delta, entry)

    async def update_page_state(
        self, session_id: str, page: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Record the page that the agent now sees. Returns the document without its trajectory.

        `page`: any fields of `page_state`; a `route` also becomes the current URL.
        """
        return (await self._writer.update_page_state(session_id, page, entry)).head

    async def update_pagination(
        self, session_id: str, pagination: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Move to another page of results; enable or disable prev_page and next_page accordingly.

        `pagination`: any of `cursor` (counted from 1), `total_pages`, `page_size`, `total_items`. Returns the document
        without its trajectory.
        """
        return (await self._writer.update_pagination(session_id, pagination, entry)).head

    async def touch_session(self, session_id: str, *, ttl_ms: int | None = None) -> None:
        """Extend the TTL of a session and of its agent's mapping without rewriting them. Raises NotFound.

        `ttl_ms`: the TTL to set in milliseconds, instead of SESSION_TTL_MINUTES. The next update sets the usual one
        again. One round trip; a second one for the mapping if this manager has not used the session before.
        """
        if not (await self.touch_sessions([session_id], ttl_ms=ttl_ms))[0]:
            raise await self.why_missing(session_id)

    async def touch_sessions(self, session_ids: Sequence[str], *, ttl_ms: int | None = None) -> list[bool]:
        """Like `touch_session` for several sessions; for each, whether it exists. Raises the first error."""
        outcomes = await self._writer.touch(session_ids, ttl_ms)
        for outcome in outcomes:
            if isinstance(outcome, AwiError):
                raise outcome
        return [outcome is True for outcome in outcomes]

    async def touch_each(self, session_ids: Sequence[str], *, ttl_ms: int | None = None) -> list[bool | AwiError]:
        """Like `touch_sessions`, but returns the error that concerns only one session in its place."""
        return await self._writer.touch(session_ids, ttl_ms)

    # -- reading: nothing here writes or extends a TTL

    async def get_session_state(self, session_id: str) -> dict[str, Any] | None:
        """The whole document; None if there is no such session. One round trip."""
        return await self._reader.state(session_id)

    async def find_session(self, session_id: str) -> Found:
        """A session from Redis; from the archive if it is not live, or Redis is unreachable. Raises NotFound."""
        return await self._readers.find(session_id)

    async def read_session(self, session_id: str) -> Stored:
        """The stored string and its TTL. Raises NotFound. One round trip."""
        return await self._reader.stored(session_id)

    def decoded(self, session_id: str, stored: Stored) -> dict[str, Any]:
        """The document in a stored string. Raises InvalidData, which names the key."""
        return self._reader.decoded(session_id, stored)

    async def find_session_for_agent(self, agent_id: str) -> str | None:
        """The id of the agent's current session; None if it has none."""
        found = await self._readers.agent_session(agent_id)
        return found.session_id if found is not None and found.exists else None

    async def get_agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to, even if that is gone; None without a mapping."""
        return await self._readers.agent_session(agent_id)

    async def get_action_history(
        self,
        session_id: str,
        limit: int = 20,
        offset: int = 0,
        *,
        max_bytes: int | None = None,
        journaled: bool = False,
    ) -> HistoryPage:
        """A page of the trajectory, newest first, with the total. At most two round trips.

        `journaled`: whether to look into the journal first, where the session has just been found (`Visit.degraded`).
        Raises NotFound, and TooLarge if more than `max_bytes` of the session would have to be read.
        """
        if journaled and self.fallback is not None:
            page = await self.fallback.degraded.history(session_id, limit, offset, max_bytes)
            if page is not None:
                return page
        return await self._readers.history(session_id, limit, offset, max_bytes=max_bytes)

    async def find_history(self, session_id: str, limit: int = 20, offset: int = 0) -> tuple[HistoryPage, Found | None]:
        """Like `get_action_history`, with the archive as a fallback if the session is not live or Redis is unreachable.

        An archived trajectory is complete: it includes actions that were trimmed. Also returns what the archive
        returned; None if the page is from Redis.
        """
        return await self._readers.find_history(session_id, limit, offset)

    async def get_state_diff(self, session_id: str) -> dict[str, Any] | None:
        """`{"delta", "last_action"}` of the last update; None if there was none in the last five minutes.

        Raises NotFound if there is neither a diff nor a session. One round trip.
        """
        return (await self.find_diff(session_id)).diff

    async def find_diff(self, session_id: str) -> LastDiff:
        """Like `get_state_diff`; also returns whether Redis is unreachable, so that it is what MongoDB has."""
        return await self._readers.diff(session_id)

    async def get_expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """The TTL in milliseconds of each existing key of a session and its agent; None for a key without a TTL."""
        return await self.store.expiries(keys.check_session_id(session_id), keys.check_agent_id(agent_id))

    async def list_sessions(self, *, rate: float | None = None) -> AsyncGenerator[Listed, None]:
        """Every live session, each once, in no particular order. `rate`: keys to scan per second."""
        async with aclosing(self._reader.list_all(lambda listed: listed, rate=rate)) as batches:
            async for batch in batches:
                for listed in batch:
                    yield listed

    def list_session_fields(self, *, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """The fields of every live session that lists show, in batches. `rate`: keys to scan per second."""
        return self.store.list_fields(rate)

    def list_session_ids(self, *, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all live sessions, each once, in batches. `rate`: keys to scan per second."""
        return self.store.scan(rate)

    async def why_missing(self, session_id: str) -> AwiError:
        """The error for writing to a session that is not live: NotFound; Refused if the app archived it."""
        return await self._reader.why_missing(session_id)

    async def explain_missing(self, error: NoSession) -> NoSession:
        """The same error with hints: is the id complete, is the session archived, is this the right database?"""
        return await self._reader.explain(error)

    # -- cached query results

    async def get_cached_query_results(self, cache_key: str) -> list[Any] | None:
        """The cached results of a query, by its key (`cache_key`); None if they are not cached or have expired.

        Raises InvalidData if the key holds something else. One round trip.
        """
        return await self.cache.results(cache_key)

    async def cache_query_results(
        self, session_id: str, filters: Any, sort: Any, results: Sequence[Any], *, op_id: str | None = None
    ) -> str:
        """Cache the results of a query and record that in the session, as the app does. Returns the cache key.

        Raises NotFound if there is no such session; nothing is cached then. `op_id` names the recorded action.
        """
        stored = await self.cache.put(filters, sort, results, session_id=session_id, op_id=op_id)
        return stored.cache_key

    async def diagnose_query(
        self, filters: Any, sort: Any, *, rate: float | None = None, sessions: bool = True
    ) -> Diagnosis:
        """Find out whether a query is cached and, if not, why: which similar queries are cached instead.

        On a miss, other spellings of the query are looked up in one round trip (`query_cache/spellings.py`) and, unless
        `sessions` is False, all sessions are scanned for those that point to it and for similar cached queries.
        `rate`: keys to scan per second. Raises InvalidInput, Unreachable.
        """
        from ..query_cache.diagnose import diagnose

        return await diagnose(self.cache, self._reader, self.settings, filters, sort, rate=rate, scan_sessions=sessions)

    # -- ending and restoring

    async def end_session(self, session_id: str) -> Ended:
        """Record the end of a session, archive it, read it back, and delete it. Idempotent.

        Raises NotFound; Refused if there is no archive or it holds something else under this id; Unreachable if the
        archive cannot be reached: the session then stays, marked as ended and without a TTL.
        """
        self.settings.check_writable()
        return await self._endings.end(session_id)

    async def finish_ends(self) -> dict[str, Ended | AwiError]:
        """Finish the ends of sessions that were interrupted, for example by a crash. Returns the outcome of each."""
        self.settings.check_writable()
        return await self._endings.finish_taken()

    async def record_end(self, session_id: str) -> bool:
        """Record the end of a session without archiving it yet: `end_session` or a sweep does that. Idempotent.

        With an archive, the session loses its TTL until it is archived. Returns whether Redis is unreachable, so that
        the end is recorded in MongoDB. Raises NotFound, Unreachable, InvalidData.
        """
        self.settings.check_writable()
        if self.fallback is None:
            await self._endings.record(session_id)
            return False
        return await self.fallback.record_end(session_id, self._endings.record)

    async def journal_end(self, session_id: str, head: dict[str, Any]) -> None:
        """Note in the journal that a session has ended, which could not be archived: Redis may be unreachable now.

        `head`: the session before its end, without its trajectory. Raises Unreachable.
        """
        if self.fallback is not None:
            await self.fallback.journal_end(session_id, head)

    async def discard_session(self, session_id: str) -> Ended:
        """Delete a session for good, without archiving it. Raises NotFound."""
        self.settings.check_writable()
        return await self._endings.discard(session_id)

    async def restore_session(self, session_id: str, *, dry_run: bool = False) -> tuple[Archived, str | None]:
        """Make an archived session live again, JSON-equal to what it was; it stays in the archive too.

        Returns it and the session that its agent is now mapped to: another one if the agent has continued elsewhere.
        Raises NotFound; Refused if another version is live, or if the app archived it (which kept only a part).
        `dry_run`: only check that it would work.
        """
        if not dry_run:
            self.settings.check_writable()
        return await self._endings.restore(session_id, dry_run=dry_run)

    async def migrate_archive(self, progress: Callable[[int], None] = lambda _: None) -> Migrated:
        """Migrate what earlier versions of awictl archived; see `archive.migrate`. Raises Refused, Unreachable."""
        from ..archive.migrate import migrate

        self.settings.check_writable()
        return await migrate(self.store, self.required_archive(), progress)

    async def get_archived_session(self, session_id: str) -> Archived | None:
        """A session from the archive with its complete trajectory; None if it is not there, or there is no archive."""
        keys.check_session_id(session_id)
        return await self.archive.load(session_id) if self.archive is not None else None


def _open_store(settings: Settings, redis: Any) -> SessionStore:
    """The store of live sessions that the settings name. Sends nothing yet."""
    if not settings.use_redis and redis is None:
        from ..store.mongo.sessions import MongoStore

        return MongoStore.open(settings)
    from ..store.redis.sessions import RedisStore

    return RedisStore.open(settings, redis)
