"""The requests of agents: each finds the session that its agent is in, or begins one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.byte_layout import Base, base_of_whole, encode
from ..document.json_codec import encodable
from ..document.schema import decode_diff, new_document, timestamp
from ..errors import NotFound, RateLimited, UpdateConflict
from ..util.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..store.get_or_create import GetOrCreateStore

log = logging.getLogger("awictl")

#: Agents whose session is remembered, which spares their next request a round trip.
KNOWN_AGENTS = 65_536
#: How often a request looks again where others begin and end sessions of the same agent meanwhile.
TRIES = 8


class Allowance(NamedTuple):
    """How many requests an agent may still make."""

    #: Requests for this operation that a window may have; 0: they are not counted.
    limit: int
    #: How many there were in this window, this one included.
    requests: int
    #: Milliseconds until the window ends.
    reset_ms: int

    @property
    def remaining(self) -> int:
        """How many are left in this window."""
        return max(0, self.limit - self.requests)


class Visit(NamedTuple):
    """What a request of an agent finds. A tuple, as all of these: one is made for every request."""

    session_id: str
    #: The session, as the base of an update. It may be shared with other visits: nobody changes it.
    base: Base
    #: Its last delta as it is stored, where it was asked for and there is one.
    diff: bytes | None
    allowance: Allowance

    @property
    def head(self) -> dict[str, Any]:
        """The session document without its trajectory."""
        return self.base.head

    @property
    def last_delta(self) -> dict[str, Any] | None:
        """`{"delta", "last_action"}` of the last update; None where there was none in the last five minutes."""
        return decode_diff(self.diff, keys.diff_key(self.session_id)) if self.diff is not None else None


class Visits:
    """Finds the sessions of agents, for their requests. It may be shared by many tasks."""

    def __init__(self, store: GetOrCreateStore) -> None:
        self._store = store
        self._known: BoundedDict[str, str] = BoundedDict(KNOWN_AGENTS)

    async def visit(
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
        """The session of an agent, whose expiry is put off by this; a new one, on `route`, where it is in none.

        `limit`: how many requests for `operation` the agent may make in an hour; 0: they are not counted. `diff`: tell
        the last delta too. One round trip where the agent's session is known; two otherwise, but for races.

        Raises RateLimited, and NotFound where the agent is in no session and `create` is false.
        """
        asked = self._known.get(agent_id)
        seen = await self._store.read_for_request(agent_id, asked, operation, limit, diff=diff)
        allowance = Allowance(limit, seen.requests, seen.window_ms)
        if seen.refused:
            raise RateLimited(limit=limit, reset_ms=seen.window_ms)
        for _ in range(TRIES):
            if seen.base is not None and asked is not None and self._is_of(seen.base, agent_id, asked):
                self._remember(agent_id, asked)
                return Visit(asked, seen.base, seen.diff, allowance)
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
                base = base_of_whole(raw)
                self._remember(agent_id, fresh)
                return Visit(fresh, base, None, allowance)
            asked = there
        if not create:
            raise NotFound(f"agent {agent_id} has no session at {self._store.where}")
        raise UpdateConflict(f"{self._store.where}: sessions of agent {agent_id} kept beginning and ending: try again")

    async def leave(self, agent_id: str, session_id: str) -> None:
        """Take an agent out of a session: its next request begins another one."""
        self._known.pop(agent_id, None)
        await self._store.delete_mapping(agent_id, session_id)

    def _is_of(self, base: Base, agent_id: str, session_id: str) -> bool:
        if base.document.get("agent_id") == agent_id:
            return True
        log.warning("%s: agent %s is mapped to %s, which is another agent's", self._store.where, agent_id, session_id)
        return False

    def _remember(self, agent_id: str, session_id: str) -> None:
        if session_id != self._known.get(agent_id):
            self._known[agent_id] = session_id
