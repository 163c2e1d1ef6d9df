"""What a store of live sessions is: the interface of `redis.py`, and the records that it returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..document.splice import Base
from ..document.update import Change
from ..errors import AwiError

if TYPE_CHECKING:
    from .get_or_create import GetOrCreateStore
    from .redis.keyspace import Keyspace
    from .redis.strings import Strings
    from .session_fields import SessionFields


class Outcome(Enum):
    """What became of a commit."""

    OK = "ok"
    #: The session is not what the update was based on: nothing was written.
    CONFLICT = "conflict"
    #: There is no such session (any more).
    GONE = "gone"
    #: An action with this op_id is there already: nothing was written.
    APPLIED = "applied"


@dataclass(frozen=True)
class Stored:
    """A session string as it is stored."""

    raw: bytes
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None


@dataclass(frozen=True)
class Lifetime:
    """How long a session will stay, and how large it is."""

    session_id: str
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string.
    bytes: int


class DeleteOutcome(Enum):
    """What became of a deletion."""

    DELETED = "deleted"
    #: The session is not what the caller saw: nothing was deleted.
    CHANGED = "changed"
    #: There is no such session (any more).
    GONE = "gone"


class Listed(NamedTuple):
    """What a listing tells of one session. A tuple, since a listing makes one of each session that there is."""

    session_id: str
    #: The document without its trajectory; empty where it could not be read.
    head: dict[str, Any]
    #: How many actions the trajectory holds; None where that cannot be told.
    actions: int | None
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string.
    bytes: int
    #: Why it could not be read, if so.
    error: str | None = None


@dataclass(frozen=True)
class HistoryPage:
    """Some actions of a session, newest first."""

    trajectory: list[Any]
    #: How many actions the session holds.
    total: int
    limit: int
    offset: int


@dataclass(frozen=True)
class Traces:
    """What a server tells of a session that is not there."""

    #: Milliseconds until its last diff expires; None where there is none.
    diff_ttl_ms: int | None
    #: How many keys each database has, by its number; empty where the server does not tell. And the one in use.
    databases: dict[int, int]
    database: int


@dataclass(frozen=True)
class AgentSession:
    """The session that an agent is mapped to."""

    session_id: str
    #: Milliseconds until the mapping expires; None where it never does.
    ttl_ms: int | None
    #: Whether there is such a session.
    exists: bool


class SessionStore(Protocol):
    """Where live sessions are kept. Every method raises the errors of `awictl.errors`."""

    #: For messages: which server this is, without secrets.
    where: str

    @property
    def strings(self) -> Strings:
        """Caches and media, where they are kept on the same server."""

    @property
    def keyspace(self) -> Keyspace:
        """All keys of the server, whatever they are for."""

    @property
    def get_or_create(self) -> GetOrCreateStore:
        """Lookup and creation of agents' current sessions."""

    async def create(self, session_id: str, agent_id: str, raw: bytes) -> str | None:
        """Store a new session and point its agent to it. Returns the agent's previous session id, if it had one.

        Raises Refused where the session exists.
        """

    async def read(self, session_id: str) -> Stored | None:
        """The whole string; None where there is no such session."""

    async def read_many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        """The whole strings of several sessions, or why one cannot be read; those that have gone are left out."""

    async def lifetimes(self, session_ids: Sequence[str]) -> Sequence[Lifetime]:
        """How long these sessions will stay; those that have gone meanwhile are left out."""

    async def read_base(self, session_id: str, *, full: bool = False) -> Base | None:
        """What an update is based on; None where there is no such session."""

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> Outcome:
        """Write `change` if the session is still `base`. Raises ReplyLost where that cannot be told."""

    async def touch(self, sessions: Sequence[tuple[str, str | None]]) -> list[bool]:
        """Put off the expiry of sessions and of their agents' mappings; for each, whether it exists.

        `sessions`: session ids, each with its agent id where that is known (it saves a round trip).
        """

    async def set_min_ttl(self, session_ids: Sequence[str], ttl_ms: int) -> int:
        """Keep sessions from expiring within `ttl_ms` milliseconds. Returns how many would have."""

    async def delete(self, session_id: str, agent_id: str | None, raw: bytes | None) -> DeleteOutcome:
        """Remove a session, its last delta, and its agent's mapping where that points to it.

        Only if its string is still `raw`; whatever it is where that is None.
        """

    async def restore(self, session_id: str, agent_id: str | None, raw: bytes) -> str | None:
        """Store an archived session. Returns the session that its agent is in, which is another one if it had one.

        Raises Refused where the session exists.
        """

    def scan(self, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all sessions, each once, in batches, at most `rate` keys a second."""

    def list_all(self, rate: float | None = None) -> AsyncGenerator[Sequence[Listed], None]:
        """All sessions with their heads, each once, in batches as they are found. `rate`: as for `scan`."""

    def list_fields(self, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """Like `list_all`, but decodes only the fields that lists show, which takes less time."""

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """What a listing tells of these sessions; those that have gone meanwhile are left out."""

    async def history(self, session_id: str, limit: int, offset: int) -> HistoryPage | None:
        """A page of the trajectory; None where there is no such session."""

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        """The stored last delta, if any, and whether the session exists."""

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to; None where it is mapped to none."""

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """For each key of a session that is there, the milliseconds until it expires; None where it never does."""

    async def traces(self, session_id: str) -> Traces:
        """What is left of a session that is not there. One round trip."""

    async def ping(self) -> dict[str, Any]:
        """Whether the server answers: `latency_ms` and, where the server tells, `version`, `server`, `role`."""

    async def close(self) -> None:
        """Close all connections."""
