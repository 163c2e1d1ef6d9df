"""Get or create the session of an agent, for each of its requests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.byte_layout import encode
from ..document.json_codec import encodable
from ..document.schema import new_document
from ..document.splice import Base, base_from_string
from ..document.timestamps import timestamp
from ..document.update import decode_diff
from ..errors import NotFound, RateLimited, UpdateConflict
from ..util.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..store.get_or_create import GetOrCreateStore

log = logging.getLogger("awictl")

#: Agents whose session id is cached, which saves their next request a round trip.
KNOWN_AGENTS = 65_536
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

    def __init__(self, store: GetOrCreateStore) -> None:
        self._store = store
        self._known: BoundedDict[str, str] = BoundedDict(KNOWN_AGENTS)

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
        """The current session of an agent, its TTL extended; a new one on `route` if the agent has none.

        `limit`: maximum number of requests for `operation` per hour; 0 for no limit. `diff`: also read the diff of the
        last update. `create`: whether to create a session. One round trip if the session id is cached; otherwise two,
        or more in a race.

        Raises RateLimited; NotFound if the agent has no session and `create` is false.
        """
        asked = self._known.get(agent_id)
        seen = await self._store.read_for_request(agent_id, asked, operation, limit, diff=diff)
        rate_limit = RateLimitStatus(limit, seen.requests, seen.window_ms)
        if seen.refused:
            raise RateLimited(limit=limit, reset_ms=seen.window_ms)
        for _ in range(ATTEMPTS):
            if seen.base is not None and asked is not None and self._is_of(seen.base, agent_id, asked):
                self._remember(agent_id, asked)
                return Visit(asked, seen.base, seen.diff, rate_limit)
            self._known.pop(agent_id, None)
            foreign = seen.base is not None
            there = keys.as_session_id(seen.current)
            if not create:
                if there is None or there == asked:
                    break
                asked = there
                seen = await self._store.read_for_request(agent_id, asked, operation, 0, diff=diff)
                continue
            fresh = keys.new_session_id()
            name, url = encodable(agent_name), encodable(route)
            raw = encode(new_document(fresh, agent_id, name, url, timestamp()))
            seen, begun = await self._store.create_if_absent(agent_id, fresh, raw, seen, replace=foreign, diff=diff)
            if begun:
                base = base_from_string(raw)
                self._remember(agent_id, fresh)
                return Visit(fresh, base, None, rate_limit)
            asked = there
        if not create:
            raise NotFound(f"agent {agent_id} has no session at {self._store.where}")
        raise UpdateConflict(
            f"{self._store.where}: other requests keep creating and ending sessions of agent {agent_id}; try again"
        )

    async def unmap(self, agent_id: str, session_id: str) -> None:
        """Remove the mapping of an agent to a session, so that its next request creates another one."""
        self._known.pop(agent_id, None)
        await self._store.delete_mapping(agent_id, session_id)

    def _is_of(self, base: Base, agent_id: str, session_id: str) -> bool:
        if base.document.get("agent_id") == agent_id:
            return True
        log.warning(
            "%s: agent %s is mapped to %s, which belongs to another agent", self._store.where, agent_id, session_id
        )
        return False

    def _remember(self, agent_id: str, session_id: str) -> None:
        if session_id != self._known.get(agent_id):
            self._known[agent_id] = session_id
