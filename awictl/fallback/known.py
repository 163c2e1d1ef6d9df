"""What this process last read or wrote of sessions in Redis: the newest that is known of them if Redis goes away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..util.bounded_dict import BoundedDict

#: Maximum number of sessions, and of agents, of which something is kept. The heads are those that other caches keep.
MAX_SESSIONS = 4_096
MAX_AGENTS = 65_536


class Known(NamedTuple):
    """A session as it was in Redis. A tuple, because each request creates one."""

    #: The document without its trajectory. It must not be changed.
    head: dict[str, Any]
    #: When that was, by the monotonic clock, in seconds.
    at: float


class KnownSessions:
    """The sessions that this process used last. `ttl_seconds`: how long a session lasts without being used."""

    def __init__(self, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl_seconds
        self._clock = clock
        self._sessions: BoundedDict[str, Known] = BoundedDict(MAX_SESSIONS)
        self._agents: BoundedDict[str, str] = BoundedDict(MAX_AGENTS)

    def saw(self, session_id: str, head: dict[str, Any], agent_id: str | None = None) -> None:
        """Note a session as it is in Redis now, and that it is the current one of `agent_id`."""
        self._sessions[session_id] = Known(head, self._clock())
        if agent_id is not None and self._agents.get(agent_id) != session_id:
            self._agents[agent_id] = session_id

    def head(self, session_id: str) -> dict[str, Any] | None:
        """The head of a session; None if it is not known, or the session may have expired since."""
        known = self._sessions.get(session_id)
        return known.head if known is not None and self._clock() - known.at < self._ttl else None

    def session_of(self, agent_id: str) -> str | None:
        """The session of an agent that is known last; None if that may have expired since."""
        session_id = self._agents.get(agent_id)
        return session_id if session_id is not None and self.head(session_id) is not None else None

    def forget(self, session_id: str, agent_id: str | None = None) -> None:
        """Forget a session, because it has ended, and that it is the current one of `agent_id`."""
        self._sessions.pop(session_id, None)
        if agent_id is not None and self._agents.get(agent_id) == session_id:
            del self._agents[agent_id]
