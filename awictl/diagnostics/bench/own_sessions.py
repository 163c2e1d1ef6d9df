"""The sessions and cached results that `bench latency` writes to a store, and deletes again.

Each session is an agent's own; both have the id of the run in their names. The query of the cached results is in the
sessions' documents, so that a later run finds all that a killed one has left.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from itertools import islice
from typing import Any

from ...document.byte_layout import encode
from ...document.keys import is_cache_key
from ...document.schema import active_query
from ...errors import Unreachable
from ...query_cache.cache_key import cache_key
from ...sessions.manager import StateManager
from ...store.base import Listed
from ...util.batched import batched
from .example_session import ExampleSite, example_steps

#: What the ids of sessions start with. The id of its agent is that of the session without `sess_`.
PREFIX = "sess_bench_"
_ID = re.compile(PREFIX + "[0-9a-f]{16}_[0-9]+_[0-9]+", re.ASCII)
#: TTL of all that is written, in minutes.
TTL_MINUTES = 5
#: Sessions are touched at least once per second while they are measured. One with less time to live, in milliseconds,
#: was left by a run that was killed.
LEFT_MS = TTL_MINUTES * 60_000 - 30_000
#: Number of actions of a session when it is created, and when another one takes its place for updates.
ACTIONS, MAX_ACTIONS = 20, 100
#: A site whose sessions are about as large as those of the app with as many actions.
_SITE = ExampleSite(page_size=5, excerpt_sentences=1)
#: Number of cached results.
RESULTS = 20
#: Maximum number of requests at once that create or delete sessions.
_AT_ONCE = 32


Drop = Callable[[str], Awaitable[bool]]


class OwnSessions:
    """The sessions of one run at one store: for each client one that is read, and one that is updated."""

    def __init__(self, manager: StateManager, clients: int, drop: Drop | None = None) -> None:
        """`drop`: deletes everything at once, unless there are sessions without this prefix. Returns whether it did."""
        self.manager = manager
        self.clients = clients
        self._drop = drop
        run_id = secrets.token_hex(8)
        self._start = f"{PREFIX}{run_id}"
        self._query = {"bench": run_id}
        self.cache_key = cache_key(self._query)
        self._generations = [0] * clients
        self._updates = [0] * clients
        #: The ids of all sessions that may exist.
        self._created: set[str] = set()
        #: Size of the stored document in bytes.
        self.document_bytes = 0

    def read_id(self, client: int) -> str:
        """The session that a client reads, and nobody changes."""
        return f"{self._start}_{client}_0"

    def updated_id(self, client: int) -> str:
        """The session that a client updates."""
        return f"{self._start}_{client}_{self._generations[client] + 1}"

    async def create(self) -> None:
        """Store the sessions and the cached results."""
        ids = [name(client) for client in range(self.clients) for name in (self.read_id, self.updated_id)]
        for some in batched(ids, _AT_ONCE):
            await asyncio.gather(*map(self._create, some))
        await self.manager.cache.put(self._query, {}, _SITE.posts(range(RESULTS)))

    async def _create(self, session_id: str) -> None:
        document = {**example_document(), "session_id": session_id, "agent_id": _agent_of(session_id)}
        document["query_cache"] = {**document["query_cache"], "active_cache_key": self.cache_key}
        raw = encode(document)
        self.document_bytes = len(raw)
        self._created.add(session_id)
        await self.manager.store.create(session_id, document["agent_id"], raw)

    async def before_update(self, client: int) -> None:
        """Put a new session in the place of a client's if that has become long: sessions of agents are short."""
        self._updates[client] += 1
        if self._updates[client] + ACTIONS > MAX_ACTIONS:
            old = self.updated_id(client)
            self._generations[client] += 1
            self._updates[client] = 1
            await self._create(self.updated_id(client))
            await self._delete(old)

    async def touch(self) -> None:
        """Keep the sessions from expiring."""
        await self.manager.touch_sessions(sorted(self._created))

    async def remove(self) -> None:
        """Delete everything again. Deletes what it can, unless the server is away; raises the first error."""
        if self._drop is not None and await self._drop(self._start):
            return
        outcomes: list[Any] = list(
            await asyncio.gather(self.manager.cache.delete([self.cache_key]), return_exceptions=True)
        )
        for some in batched(sorted(self._created), _AT_ONCE):
            if any(isinstance(one, Unreachable) for one in outcomes):
                break
            outcomes += await asyncio.gather(*map(self._delete, some), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _delete(self, session_id: str) -> None:
        await self.manager.store.delete(session_id, _agent_of(session_id), None)
        self._created.discard(session_id)


def example_document() -> dict[str, Any]:
    """A session with `ACTIONS` actions."""
    *_, last = islice(example_steps(_SITE, rounds=2), ACTIONS - 1)  # the first action is its start
    return last.document


def _agent_of(session_id: str) -> str:
    return session_id.removeprefix("sess_")


async def remove_leftovers(manager: StateManager) -> int:
    """Delete what runs that were killed have left. Returns the number of sessions."""
    removed = 0
    async with aclosing(manager.store.scan()) as batches:
        async for names in batches:
            if ours := [one for one in names if _ID.fullmatch(one)]:
                left = [one for one in await manager.store.list(ours) if _is_left(one)]
                await _delete_left(manager, left)
                removed += len(left)
    return removed


def _is_left(listed: Listed) -> bool:
    """Whether it is a session of a benchmark that no run touches any more."""
    is_ours = listed.head.get("agent_id") == _agent_of(listed.session_id)
    return is_ours and (listed.ttl_ms is None or listed.ttl_ms < LEFT_MS)


async def _delete_left(manager: StateManager, left: Iterable[Listed]) -> None:
    for one in left:
        query = active_query(one.head)
        if query is not None and is_cache_key(query[0]):
            await manager.cache.delete([query[0]])
        await manager.store.delete(one.session_id, _agent_of(one.session_id), None)
