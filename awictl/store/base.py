"""The interface of a store of live sessions, and the records that it returns. `redis/sessions.py` implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ..errors import AwiError

if TYPE_CHECKING:
    from ..document.splice import Base
    from ..document.update import Change
    from .endings import EndingStore
    from .get_or_create import GetOrCreateStore
    from .keyspace import Keyspace
    from .session_fields import SessionFields
    from .strings import StringStore

T = TypeVar("T")


class CommitOutcome(Enum):
    """The result of writing an update."""

    OK = "ok"
    #: The session has changed since it was read. Nothing was written.
    CONFLICT = "conflict"
    #: The session does not exist.
    GONE = "gone"
    #: The session has an action with this op_id already. Nothing was written.
    APPLIED = "applied"
    #: The session has ended and waits to be archived: it has no TTL. Nothing was written.
    ENDED = "ended"


class DeleteOutcome(Enum):
    """The result of deleting a session."""

    DELETED = "deleted"
    #: The session has changed since it was read. Nothing was deleted.
    CHANGED = "changed"
    #: The session does not exist.
    GONE = "gone"


class Stored(NamedTuple):
    """A session string as stored."""

    raw: bytes
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None


class Lifetime(NamedTuple):
    """TTL and size of a session."""

    session_id: str
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string in bytes.
    bytes: int


class SessionVersion(NamedTuple):
    """What changes with every write to a session, but is read without its document."""

    session_id: str
    #: When it expires, in milliseconds since 1970 by the server's clock, to within 1 ms; None if it has no TTL, or its
    #: expiry is not available.
    expires_ms: int | None
    #: Length of the string in bytes.
    bytes: int


class SessionVersions(NamedTuple):
    """The versions of sessions at one moment."""

    #: The server's clock, in milliseconds since 1970; None if it is not available.
    now_ms: int | None
    versions: Sequence[SessionVersion]


class Listed(NamedTuple):
    """A session in a listing. A tuple, because a listing creates one for every session."""

    session_id: str
    #: The document without its trajectory; empty if it could not be read.
    head: dict[str, Any]
    #: Length of the trajectory; None if unknown.
    actions: int | None
    #: Milliseconds until the session expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string in bytes.
    bytes: int
    #: Why it could not be read; None if it could.
    error: str | None = None
    #: Size of all actions together in bytes; None if unknown.
    trajectory_bytes: int | None = None


class HistoryPage(NamedTuple):
    """A page of a trajectory, newest action first."""

    trajectory: list[Any]
    #: Length of the whole trajectory.
    total: int
    limit: int
    offset: int
    #: Whether it is what was known when Redis was unreachable; see `docs/fallback.md`.
    degraded: bool = False


class Traces(NamedTuple):
    """What a server reports about a session that does not exist."""

    #: Milliseconds until the session's last delta expires; None if there is none.
    diff_ttl_ms: int | None
    #: Number of keys of each database, by its number; empty if not available.
    databases: dict[int, int]
    #: Number of the database in use.
    database: int


class AgentSession(NamedTuple):
    """The session that an agent is mapped to."""

    session_id: str
    #: Milliseconds until the mapping expires; None if it has no TTL.
    ttl_ms: int | None
    #: Whether the session exists.
    exists: bool
    #: Whether it is what was known when Redis was unreachable.
    degraded: bool = False


class SessionStore(Protocol):
    """A store of live sessions. Every method raises the errors of `awictl.errors`."""

    #: The server's address for messages, without secrets.
    where: str
    #: What it is, for messages: Redis or MongoDB.
    name: str

    @property
    def identity(self) -> str:
        """The identity of the server and database, as archives record it for the sessions that are live there."""

    @property
    def strings(self) -> StringStore:
        """Plain string keys on the same server, for caches and media."""

    @property
    def keyspace(self) -> Keyspace:
        """All keys of the server, of any kind."""

    @property
    def get_or_create(self) -> GetOrCreateStore:
        """Lookup and creation of agents' current sessions."""

    @property
    def endings(self) -> EndingStore:
        """Sessions that were taken away from their agents, to end them."""

    async def create(self, session_id: str, agent_id: str, raw: bytes, ttl_ms: int | None = None) -> str | None:
        """Store a new session and map its agent to it. Returns the agent's previous session id, if any.

        `ttl_ms`: TTL in milliseconds, instead of the usual one. Raises Refused if the session exists.
        """

    async def read(self, session_id: str) -> Stored | None:
        """The full string of a session; None if it does not exist."""

    async def read_many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        """The full strings of several sessions, or why one could not be read. Missing sessions are left out."""

    async def lifetimes(self, session_ids: Sequence[str]) -> Sequence[Lifetime]:
        """TTL and size of these sessions. Missing sessions are left out."""

    async def versions(self, session_ids: Sequence[str]) -> SessionVersions:
        """Expiry and size of these sessions, to recognize which ones change. Missing sessions are left out."""

    async def read_base(self, session_id: str, *, full: bool = False) -> Base | None:
        """The stored version for an update to be based on; None if the session does not exist.

        `full`: read the trajectory too. Otherwise only the head is read, if the string has the layout.
        """

    async def commit(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> CommitOutcome:
        """Write `change` if the session has not changed since `base` was read (compare-and-set).

        `look_for_op_id`: search the trajectory for the op_id first. Raises ReplyLost if the outcome is unknown,
        and Unconfirmed if it was written, but not acknowledged by enough replicas.
        """

    async def confirm(self, session_id: str, op_id: str) -> None:
        """Wait until replicas acknowledge all earlier writes to a session, if the settings demand that.

        `op_id`: the update that was found in it. Raises Unconfirmed.
        """

    async def touch(
        self, sessions: Sequence[tuple[str, str | None]], ttl_ms: int | None = None
    ) -> list[bool | AwiError]:
        """Extend the TTL of sessions and of their agents' mappings.

        Returns for each whether the session exists, or the error that concerns only this one. `sessions`: session ids
        with their agent ids; None for an unknown agent, which costs another round trip. `ttl_ms`: TTL in milliseconds,
        instead of the usual one.
        """

    async def set_min_ttl(self, session_ids: Sequence[str], ttl_ms: int) -> int:
        """Extend the TTL of sessions to at least `ttl_ms` milliseconds. Returns how many were extended."""

    async def delete(self, session_id: str, agent_id: str | None, raw: bytes | None) -> DeleteOutcome:
        """Delete a session, its last delta, and its agent's mapping if that points to the session.

        Nothing is deleted if the session's string is not `raw`. None: delete without comparing.
        """

    async def restore(self, session_id: str, agent_id: str | None, raw: bytes) -> str | None:
        """Store an archived session. Returns the session id that its agent is mapped to now.

        An agent that is mapped to another session stays mapped to that one. If the session exists with the same bytes,
        it was restored before, and only its TTL is set. Raises Refused if it exists with others.
        """

    async def put(
        self,
        session_id: str,
        agent_id: str | None,
        raw: bytes,
        ttl_ms: int | None,
        diff: tuple[bytes, int] | None = None,
    ) -> str | None:
        """Store a session exactly as another store has it. Returns the session id that its agent is mapped to now.

        `agent_id`: the agent to map to it, unless that is mapped to another session; None: map nobody. `ttl_ms`: TTL in
        milliseconds; None: it never expires. `diff`: its last delta, and the TTL of that in milliseconds. If the
        session exists with the same bytes, it was stored before, and only its TTL is set. Raises Refused if it exists
        with others. Idempotent.
        """

    def scan(self, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The ids of all sessions, each once, in batches. `rate`: maximum number of keys to scan per second."""

    def list_all(self, convert: Callable[[Listed], T], rate: float | None = None) -> AsyncGenerator[Sequence[T], None]:
        """All sessions with their heads, each once, in batches, converted by `convert`. `rate`: as for `scan`.

        Each session is converted right after it was decoded, so that its head need not be kept: keeping the heads of a
        batch makes the garbage collector run so often that `cache diagnose` takes 1.7 times as long.
        """

    def list_fields(self, rate: float | None = None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """Like `list_all`, but decodes only the fields that lists show, which takes less time."""

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """These sessions with their heads. Missing sessions are left out."""

    async def history(
        self, session_id: str, limit: int, offset: int, max_bytes: int | None = None
    ) -> HistoryPage | None:
        """A page of the trajectory; None if the session does not exist.

        Raises TooLarge if more than `max_bytes` would have to be read.
        """

    async def diff(self, session_id: str) -> tuple[bytes | None, bool]:
        """The last delta as stored, if any, and whether the session exists."""

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to; None if there is no mapping."""

    async def expiries(self, session_id: str, agent_id: str) -> dict[str, int | None]:
        """The TTL in milliseconds of each existing key of a session, by key; None for a key without a TTL."""

    async def traces(self, session_id: str) -> Traces:
        """What the server reports about a session that does not exist. One round trip."""

    async def ping(self) -> dict[str, Any]:
        """Check that the server responds: `latency_ms`, and `version`, `server` and `role` if available."""

    async def close(self) -> None:
        """Close all connections."""
