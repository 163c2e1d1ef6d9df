"""Get or create the session of an agent, for each of its requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.byte_layout import encode
from ..document.json_codec import encodable
from ..document.schema import has_ended, new_document
from ..document.splice import Base, base_from_string
from ..document.timestamps import timestamp
from ..document.update import decode_diff
from ..errors import NotFound, RateLimited, UpdateConflict
from ..util.bounded_dict import BoundedByteDict

if TYPE_CHECKING:
    from ..store.get_or_create import GetOrCreateStore

log = logging.getLogger("awictl")

#: Maximum number of agents whose session id is cached, which saves their next request a round trip, and its size in
#: memory.
CACHED_AGENTS = 65_536
CACHED_AGENTS_BYTES = 25_165_824
#: Attempts of a request while other requests create and end sessions of the same agent.
ATTEMPTS = 8


class RateLimitStatus(NamedTuple):
    """How many requests an agent may still make in the current window of one hour."""

    #: Maximum number of requests for this operation in a window; 0 if they are not limited.
    limit: int
    #: Requests so far in this window, this one included.
    requests: int
    #: Milliseconds until the window ends.
    reset_ms: int

    @property
    def remaining(self) -> int:
        """Requests left in this window."""
        return max(0, self.limit - self.requests)


class Visit(NamedTuple):
    """One request of an agent, with its session. A tuple, since one is created for every request."""

    session_id: str
    #: The session, as the base of an update. Requests share it: it must not be changed.
    base: Base
    #: The stored diff of its last update; None if it was not requested or has expired.
    diff: bytes | None
    rate_limit: RateLimitStatus
    #: Whether it is what was known when Redis was unreachable.
    degraded: bool = False

    @property
    def head(self) -> dict[str, Any]:
        """The session document without its trajectory."""
        return self.base.head

    @property
    def last_delta(self) -> dict[str, Any] | None:
        """`{"delta", "last_action"}` of the last update; None if there was none in the last five minutes."""
        return decode_diff(self.diff, keys.diff_key(self.session_id)) if self.diff is not None else None


class AgentSessions:
    """Gets or creates the sessions of agents. Many tasks may share it."""

    def __init__(self, store: GetOrCreateStore, on_ended: Callable[[str, str], Awaitable[None]] | None = None) -> None:
        """`on_ended`: called with an agent and its session that has ended and waits to be archived, before the agent
        gets another one.
        """
        self._store = store
        self._on_ended = on_ended
        self._session_ids: BoundedByteDict[str, str] = BoundedByteDict(
            CACHED_AGENTS, CACHED_AGENTS_BYTES, lambda agent_id, session_id: 200 + 4 * len(agent_id) + len(session_id)
        )

    async def get_or_create(
        self,
        agent_id: str,
        agent_name: str,
        *,
        route: str = "/",
        operation: str = "",
        limit: int = 0,
        diff: bool = False,
        create: bool = True,
    ) -> Visit:
        """The current session of an agent, its TTL extended; a new one on `route` if it has none, or that has ended.

        `limit`: maximum number of requests for `operation` per hour; 0 for no limit. `diff`: also read the diff of the
        last update. `create`: whether to create a session. One round trip if the session id is cached; otherwise two,
        or more in a race.

        Raises RateLimited; NotFound if the agent has no session and `create` is false.
        """
        session_id = self._session_ids.get(agent_id)
        lookup = await self._store.read_for_request(agent_id, session_id, operation, limit, diff=diff)
        rate_limit = RateLimitStatus(limit, lookup.requests, lookup.window_ms)
        if lookup.refused:
            raise RateLimited(limit=limit, reset_ms=lookup.window_ms)
        for _ in range(ATTEMPTS):
            if (
                lookup.base is not None
                and session_id is not None
                and self._belongs_to(lookup.base, agent_id, session_id)
                and not (create and await self._has_ended(lookup.base, agent_id, session_id))
            ):
                self._remember(agent_id, session_id)
                return Visit(session_id, lookup.base, lookup.diff, rate_limit)
            self._session_ids.pop(agent_id, None)
            unusable = lookup.base is not None
            mapped_id = keys.as_session_id(lookup.current)
            if not create:
                if mapped_id is None or mapped_id == session_id:
                    break
                session_id = mapped_id
                lookup = await self._store.read_for_request(agent_id, session_id, operation, 0, diff=diff)
                continue
            new_id = keys.new_session_id()
            name, url = encodable(agent_name), encodable(route)
            raw = encode(new_document(new_id, agent_id, name, url, timestamp()))
            lookup, created = await self._store.create_if_absent(
                agent_id, new_id, raw, lookup, replace=unusable, diff=diff
            )
            if created:
                base = base_from_string(raw)
                self._remember(agent_id, new_id)
                return Visit(new_id, base, None, rate_limit)
            session_id = mapped_id
        if not create:
            raise NotFound(f"agent {agent_id} has no session at {self._store.where}")
        raise UpdateConflict(
            f"{self._store.where}: other requests keep creating and ending sessions of agent {agent_id}; try again"
        )

    async def count(self, who: str, operation: str, limit: int) -> RateLimitStatus:
        """Count a request without looking for a session. `limit`: maximum number of requests per hour, above 0.

        Raises RateLimited.
        """
        lookup = await self._store.read_for_request(who, None, operation, limit)
        if lookup.refused:
            raise RateLimited(limit=limit, reset_ms=lookup.window_ms)
        return RateLimitStatus(limit, lookup.requests, lookup.window_ms)

    async def unmap(self, agent_id: str, session_id: str) -> None:
        """Remove the mapping of an agent to a session, so that its next request creates another one."""
        self._session_ids.pop(agent_id, None)
        await self._store.delete_mapping(agent_id, session_id)

    def _belongs_to(self, base: Base, agent_id: str, session_id: str) -> bool:
        if base.document.get("agent_id") == agent_id:
            return True
        log.warning(
            "%s: agent %s is mapped to %s, which belongs to another agent", self._store.where, agent_id, session_id
        )
        return False

    async def _has_ended(self, base: Base, agent_id: str, session_id: str) -> bool:
        """Whether a session has ended and waits to be archived. One that was restored has a TTL, and goes on."""
        if not has_ended(base.document) or not await self._store.has_no_ttl(session_id):
            return False
        if self._on_ended is not None:
            await self._on_ended(agent_id, session_id)
        return True

    def _remember(self, agent_id: str, session_id: str) -> None:
        if session_id != self._session_ids.get(agent_id):
            self._session_ids[agent_id] = session_id
