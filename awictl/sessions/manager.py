"""The state manager: what can be done with sessions, in the domain's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ..document import byte_layout, keys
from ..document.json_codec import check_input
from ..document.schema import Update, decode_diff, new_document, page_delta, pagination_delta, timestamp
from ..document.validation import checked_object, checked_update
from ..errors import InvalidData, InvalidInput, NotFound, Unreachable
from ..settings import Settings
from ..store.base import AS_LISTED, AgentSession, HistoryPage, Listed, Stored, View, no_session
from .archiving import Archiving
from .update import Updated

# what only some commands need is imported by them: most never meet the archive
if TYPE_CHECKING:
    from ..archive.base import Archive
    from ..diagnostics.inventory import Inventory
    from ..document.byte_layout import Base
    from ..media.cache import MediaCache
    from ..query_cache.cache import QueryCache
    from ..query_cache.diagnose import Diagnosis
    from ..store.redis.keyspace import Keyspace
    from ..store.redis.strings import Strings
    from .fallback import Found
    from .get_or_create import Visits

T = TypeVar("T")


class StateManager(Archiving):
    """Creates, reads and updates sessions. Open one with `StateManager.open`; it may be shared by many tasks.

    Every method raises the errors of `awictl.errors`: InvalidInput, NotFound, Refused (ReadOnly, UpdateConflict,
    AccessDenied), Unreachable, InvalidData, OutcomeUnknown.
    """

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[StateManager]:
        """A manager on the store that the settings name, closed in the end. Nothing is sent before the first call.

        With `embedded` in the settings, the embedded server is started where it is not running.
        """
        from ..store.redis.sessions import RedisStore

        if settings.embedded:
            from ..store import embedded

            settings = await asyncio.to_thread(embedded.attach, settings)
        store = RedisStore.open(settings)
        manager = cls(store, settings)
        try:
            yield manager
        finally:
            await store.close()
            opened: Archive | None = vars(manager).get("archive")
            if opened is not None:
                await opened.close()
            for strings in manager._further.values():
                await strings.close()

    # -- creating and updating

    async def initialize_session(
        self, agent_id: str, agent_name: str, route: str = "/", *, session_id: str | None = None
    ) -> dict[str, Any]:
        """Create a session and make it the agent's current one. Returns the whole document. One round trip."""
        document, _ = await self.create_session(agent_id, agent_name, route, session_id=session_id)
        return document

    async def create_session(
        self, agent_id: str, agent_name: str, route: str = "/", *, session_id: str | None = None
    ) -> tuple[dict[str, Any], str | None]:
        """Like `initialize_session`; also returns the session that the agent was mapped to before, if any."""
        self.check_writable()
        keys.check_agent_id(agent_id)
        session_id = keys.check_session_id(session_id or keys.new_session_id())
        texts = check_input([agent_name, route])
        if not all(isinstance(text, str) for text in texts):
            raise InvalidInput("the name of an agent and a route are text")
        document = new_document(session_id, agent_id, texts[0], texts[1], timestamp())
        previous = await self.store.create(session_id, agent_id, byte_layout.encode(document))
        return document, previous

    async def update_state_with_delta(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merge `delta` into a session and record the action. Returns the document without its trajectory.

        `entry`: any of `action`, `input`, `success`, `observation`, `op_id`. Two round trips; one where this manager
        wrote the last update too. An update whose op_id is in the trajectory already changes nothing.
        """
        return (await self.apply(session_id, delta, entry)).head

    async def apply(
        self,
        session_id: str,
        delta: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        base: Base | None = None,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """Like `update_state_with_delta`; the result also tells the recorded action.

        `base`: the session as it was read just now (`Visit.base`), which spares reading it. `fresh_op_id`: what to call
        the update where the entry does not say; nobody can have applied it before.
        """
        update, given = checked_update(delta, entry, self.settings.max_delta_bytes, fresh_op_id)
        return await self._update(session_id, lambda _: update, update.op_id, given, base)

    async def update_page_state(
        self, session_id: str, page: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Record the page that the agent now sees: any fields of `page_state`. A route becomes the current URL too."""
        page = checked_object(page, "a page", self.settings.max_delta_bytes)
        entry = {"action": "page_update", "input": page, **(entry or {})}
        return await self.update_state_with_delta(session_id, page_delta(page), entry)

    async def update_pagination(
        self, session_id: str, pagination: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Move to another page of results, and switch prev_page and next_page on or off accordingly.

        `pagination`: any of `cursor` (counted from 1), `total_pages`, `page_size`, `total_items`.
        """
        limit = self.settings.max_delta_bytes
        pagination = checked_object(pagination, "a pagination", limit)
        entry = {"action": "pagination_update", "input": pagination, **(entry or {})}
        sample, given = checked_update({}, entry, limit)

        def build(head: dict[str, Any]) -> Update:
            return checked_update(pagination_delta(head, pagination), {**entry, "op_id": sample.op_id}, limit)[0]

        return (await self._update(session_id, build, sample.op_id, given)).head

    async def touch_session(self, session_id: str) -> None:
        """Put off the expiry of a session and of its agent's mapping; nothing is rewritten.

        One round trip; another one for the mapping where this manager has not met the session before.
        """
        if not (await self.touch_sessions([session_id]))[0]:
            raise await self.why_missing(session_id)

    async def touch_sessions(self, session_ids: Sequence[str]) -> list[bool]:
        """Like `touch_session` for many; for each, whether it exists."""
        self.check_writable()
        for session_id in session_ids:
            keys.check_session_id(session_id)
        return await self.store.touch([(session_id, self._updater.agent_id(session_id)) for session_id in session_ids])

    # -- reading: nothing here writes, or puts off an expiry

    async def get_session_state(self, session_id: str) -> dict[str, Any] | None:
        """The whole document; None where there is no such session. One round trip."""
        stored = await self.store.read(keys.check_session_id(session_id))
        return self.decoded(session_id, stored) if stored is not None else None

    async def find_session(self, session_id: str) -> Found:
        """A session from Redis, or from the archive where it is not live or Redis is out of reach. Raises NotFound."""
        from . import fallback

        return await fallback.find(keys.check_session_id(session_id), self.store, lambda: self.archive)

    async def read_session(self, session_id: str) -> Stored:
        """The stored string and its expiry. Raises NotFound."""
        stored = await self.store.read(keys.check_session_id(session_id))
        if stored is None:
            raise no_session(session_id, self.store.where)
        return stored

    def decoded(self, session_id: str, stored: Stored) -> dict[str, Any]:
        """The document in a stored string. Raises InvalidData, naming the key."""
        try:
            return byte_layout.decode(stored.raw)
        except InvalidData as error:
            raise InvalidData(
                f"{self.store.where}, key {keys.session_key(session_id)}: {error} "
                f"(`awictl session show -o raw {session_id}` prints it as it is)"
            ) from None

    async def find_session_for_agent(self, agent_id: str) -> str | None:
        """The id of the agent's current session; None where it has none."""
        found = await self.get_agent_session(agent_id)
        return found.session_id if found is not None and found.exists else None

    async def get_agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to, even where it has gone; None where it is mapped to none."""
        return await self.store.agent_session(keys.check_agent_id(agent_id))

    async def get_action_history(self, session_id: str, limit: int = 20, offset: int = 0) -> HistoryPage:
        """A page of the trajectory, newest first, with the total. Raises NotFound. At most two round trips."""
        if limit < 0 or offset < 0:
            raise InvalidInput("limit and offset cannot be negative")
        page = await self.store.history(keys.check_session_id(session_id), limit, offset)
        if page is None:
            raise no_session(session_id, self.store.where)
        return page

    async def find_history(self, session_id: str, limit: int = 20, offset: int = 0) -> tuple[HistoryPage, Found | None]:
        """Like `get_action_history`, from the archive where the session is not live or Redis is out of reach.

        There the trajectory is complete: the actions that left the session early are in it. Also returns what was
        found there.
        """
        try:
            return await self.get_action_history(session_id, limit, offset), None
        except (NotFound, Unreachable) as error:
            from . import fallback

            found = await fallback.from_archive(session_id, lambda: self.archive, error)
            return fallback.history_of(found.document, limit, offset), found

    async def get_state_diff(self, session_id: str) -> dict[str, Any] | None:
        """`{"delta", "last_action"}` of the last update; None where there was none in the last five minutes.

        Raises NotFound where there is neither a diff nor a session. One round trip.
        """
        raw, exists = await self.store.diff(keys.check_session_id(session_id))
        if raw is None:
            if not exists:
                raise no_session(session_id, self.store.where)
            return None
        return decode_diff(raw, f"{self.store.where}, key {keys.diff_key(session_id)}")

    async def get_cached_query_results(self, cache_key: str) -> list[Any] | None:
        """The cached results of a query, by its key (`cache_key`); None where they are not cached, or have expired.

        Raises InvalidData where something else is stored there. One round trip.
        """
        return await self.cache.results(cache_key)

    async def cache_query_results(
        self, session_id: str, filters: Any, sort: Any, results: Sequence[Any], *, op_id: str | None = None
    ) -> str:
        """Cache the results of a query, and record in the session that they are, as the app does. Returns the key.

        Raises NotFound where there is no such session; then nothing is cached. `op_id` names the recorded action.
        """
        stored = await self.cache.put(filters, sort, results, session_id=session_id, op_id=op_id)
        return stored.cache_key

    async def diagnose_query(
        self, filters: Any, sort: Any, *, rate: float | None = None, sessions: bool = True
    ) -> Diagnosis:
        """Find out whether a query is cached, and on a miss, why: what is cached in its place.

        If it is not cached, its other spellings are looked up in one round trip (`query_cache/spellings.py`), and,
        unless `sessions` is False, all sessions are scanned for those that point to it and for similar cached queries.
        `rate`: keys to scan per second. Raises InvalidInput, Unreachable.
        """
        from ..query_cache.diagnose import diagnose

        return await diagnose(self.cache, self, filters, sort, rate=rate, look_through_sessions=sessions)

    @cached_property
    def cache(self) -> QueryCache:
        """The cached results of queries."""
        from ..query_cache.cache import QueryCache

        return QueryCache(self._strings(self.settings.cache_redis_url), self)

    @cached_property
    def media(self) -> MediaCache:
        """The cached images and their embeddings."""
        from ..media.cache import MediaCache

        return MediaCache(self._strings(self.settings.media_redis_url), self)

    def _strings(self, url: str | None) -> Strings:
        """Where strings of a kind are kept: on the sessions' server, unless they have one of their own."""
        if url is None:
            return self.store.strings
        if url not in self._further:
            from ..store.redis.strings import Strings

            self._further[url] = Strings.open(self.settings.elsewhere(url))
        return self._further[url]

    def keyspace_at(self, url: str) -> Keyspace:
        """The keys of a server that caches or media have of their own."""
        return self._strings(url).keyspace

    @cached_property
    def inventory(self) -> Inventory:
        """What keys there are, on all servers that the settings name."""
        from ..diagnostics.inventory import Inventory

        places = {self.settings.redis_place: self.store.keyspace}  # each once, however often it is named
        for url in (self.settings.cache_redis_url, self.settings.media_redis_url):
            if url is not None:
                places.setdefault(self.settings.elsewhere(url).redis_place, self.keyspace_at(url))
        return Inventory(list(places.values()))

    @cached_property
    def visits(self) -> Visits:
        """What finds the sessions of agents for their requests, and begins those that are missing.

        Other than reading, this is an agent's own activity: it puts off the expiry.
        """
        from .get_or_create import Visits

        self.check_writable()
        return Visits(self.store.get_or_create)

    async def get_expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """For each key of a session and its agent that is there, the milliseconds until it expires."""
        return await self.store.expiries(keys.check_session_id(session_id), keys.check_agent_id(agent_id))

    async def list_sessions(self, *, rate: float | None = None) -> AsyncGenerator[Listed, None]:
        """Every live session, each once, as they are found. `rate`: keys that the server visits in a second."""
        async with aclosing(self.list_sessions_as(AS_LISTED, rate=rate)) as batches:
            async for batch in batches:
                for listed in batch:
                    yield listed

    async def list_sessions_as(self, view: View[T], *, rate: float | None = None) -> AsyncGenerator[Sequence[T], None]:
        """The same in batches, each as `view` makes it: the cheap way where there are very many."""
        async with aclosing(self.store.list_all(view, rate)) as batches:
            async for batch in batches:
                yield batch

    async def list_session_ids(self, *, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all live sessions, each once, in batches as they are found."""
        async with aclosing(self.store.scan(rate)) as batches:
            async for batch in batches:
                yield batch

    # -- checks

    async def _update(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        given: bool,
        base: Base | None = None,
    ) -> Updated:
        self.check_writable()
        try:
            return await self._updater.run(
                keys.check_session_id(session_id), build, op_id, look_for_op_id=given, base=base
            )
        except NotFound:
            raise await self.why_missing(session_id) from None
