"""What this process last read and wrote of sessions in Redis: the newest that is known of them if Redis goes away."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..util.bounded_dict import BoundedByteDict, BoundedDict

#: Maximum number of sessions, and of agents, of which something is kept. The heads are those that other caches keep.
MAX_SESSIONS = 4_096
MAX_AGENTS = 65_536
#: Maximum number of the latest actions of a session that are kept, and their size in memory, of all sessions, in bytes.
#: They are needed only if Redis has lost what was not archived.
MAX_ACTIONS = 512
ACTIONS_BYTES = 67_108_864
#: Seconds after which an action is taken to be archived: twice the default of `archive sweep --watch --snapshot-age`.
UNARCHIVED_SECONDS = 120.0
#: Estimated size of an action in memory, as a multiple of its size as stored, and in bytes beyond that.
_MEMORY_FACTOR, _MEMORY_BYTES = 5, 1_000


class Known(NamedTuple):
    """A session as it was in Redis. A tuple, because each request creates one."""

    #: The document without its trajectory. It must not be changed.
    head: dict[str, Any]
    #: When that was, by the monotonic clock, in seconds.
    at: float


class _Actions:
    """The latest actions of a session that this process wrote."""

    def __init__(self) -> None:
        self.sizes: deque[int] = deque(maxlen=MAX_ACTIONS)
        self.actions: deque[dict[str, Any]] = deque(maxlen=MAX_ACTIONS)
        self.bytes = 0

    def add(self, action: dict[str, Any], size: int) -> None:
        memory = size * _MEMORY_FACTOR + _MEMORY_BYTES
        self.bytes += memory - (self.sizes[0] if len(self.sizes) == MAX_ACTIONS else 0)
        self.sizes.append(memory)
        self.actions.append(action)


class KnownSessions:
    """The sessions that this process used last. `ttl_seconds`: how long a session lasts without being used."""

    def __init__(self, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl_seconds
        self._clock = clock
        self._sessions: BoundedDict[str, Known] = BoundedDict(MAX_SESSIONS)
        self._agents: BoundedDict[str, str] = BoundedDict(MAX_AGENTS)
        self._actions: BoundedByteDict[str, _Actions] = BoundedByteDict(
            MAX_SESSIONS, ACTIONS_BYTES, lambda _, actions: actions.bytes
        )

    def saw(self, session_id: str, head: dict[str, Any], agent_id: str | None = None) -> None:
        """Note a session as it is in Redis now, and that it is the current one of `agent_id`."""
        self._sessions[session_id] = Known(head, self._clock())
        if agent_id is not None and self._agents.get(agent_id) != session_id:
            self._agents[agent_id] = session_id

    def wrote(self, session_id: str, head: dict[str, Any], action: dict[str, Any] | None, size: int) -> None:
        """Note a session after an update in Redis. `size`: that of the recorded action, in bytes as stored."""
        self.saw(session_id, head)
        if action is not None:
            written = self._actions.pop(session_id, None) or _Actions()
            written.add(action, size)
            self._actions[session_id] = written

    def head(self, session_id: str) -> dict[str, Any] | None:
        """The head of a session; None if it is not known, or the session may have expired since."""
        known = self._sessions.get(session_id)
        return known.head if known is not None and self._clock() - known.at < self._ttl else None

    def actions(self, session_id: str) -> Sequence[dict[str, Any]]:
        """The latest actions of a session that this process wrote, oldest first."""
        written = self._actions.get(session_id)
        return tuple(written.actions) if written is not None else ()

    def session_of(self, agent_id: str) -> str | None:
        """The session of an agent that is known last; None if that may have expired since."""
        session_id = self._agents.get(agent_id)
        return session_id if session_id is not None and self.head(session_id) is not None else None

    def written_lately(self) -> list[str]:
        """The sessions that this process wrote to so lately that the actions may not be archived yet."""
        since = self._clock() - UNARCHIVED_SECONDS
        return [one for one in self._actions if (known := self._sessions.get(one)) is not None and known.at > since]

    def forget(self, session_id: str, agent_id: str | None = None) -> None:
        """Forget a session, because it has ended, and that it is the current one of `agent_id`."""
        self._sessions.pop(session_id, None)
        self._actions.pop(session_id, None)
        if agent_id is not None and self._agents.get(agent_id) == session_id:
            del self._agents[agent_id]
