"""The interface of an archive, and the records that it returns."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ..document.json_codec import dumps, encodable, loads
from ..document.timestamps import optional_timestamp
from ..errors import AwiError, InvalidInput, Refused, Unreachable
from .chunks import Chunk
from .decision import ArchivedState, ArchivedVersion
from .merge import Gap
from .snapshot import Snapshot
from .trajectory import ActionCount, with_chunks
from .values import parse_datetime

#: Number of times that a snapshot is compared with the archive again because another writer changed the session there.
MAX_SAVE_ATTEMPTS = 8
#: Maximum size of a batch, in sessions and in bytes; a single larger session is a batch of its own.
BATCH_SESSIONS = 100
BATCH_BYTES = 4_194_304


class Shape(Enum):
    """The shape of an archived document, named after the program that wrote it."""

    AWICTL = "awictl"
    #: Ended sessions that the app archived, and sessions from before it kept them in Redis. Both are read-only.
    APP = "app"


@dataclass(frozen=True)
class ArchivedSummary:
    """One row of a listing of the archive. A field is None if the archived document does not have it."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    started_at: datetime | None
    last_activity_at: datetime | None
    ended_at: datetime | None
    state: ArchivedState
    #: The counts in the document's statistics.
    total_actions: int
    successful_actions: int
    failed_actions: int
    #: Size of the session document in bytes.
    bytes: int | None
    shape: Shape = Shape.AWICTL
    #: When it was last seen in Redis; None if that is unknown.
    last_seen_at: datetime | None = None
    #: Where actions are missing, in order.
    gaps: tuple[Gap, ...] = ()
    #: Number of its actions that another writer overwrote in Redis after they were archived.
    overwritten_actions: int = 0
    #: How often each action was taken, by name; filled in only on request.
    action_counts: Mapping[str, ActionCount] = field(default_factory=dict, compare=False)

    @property
    def active(self) -> bool:
        """Whether the session may still be live: it was archived before it ended or expired."""
        return self.state is ArchivedState.LIVE

    @property
    def vanished(self) -> bool:
        """Whether another program deleted it from Redis before it ended or expired."""
        return self.state is ArchivedState.VANISHED

    @property
    def missing_actions(self) -> int:
        """Number of actions that are known to be missing."""
        return sum(gap.size or 0 for gap in self.gaps)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the start to the last activity; None if either is unknown."""
        if self.started_at is None or self.last_activity_at is None:
            return None
        return max(0, (self.last_activity_at - self.started_at) // timedelta(milliseconds=1))

    def row(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "agent_name": self.agent_name,
            "route": self.route,
            "started_at": optional_timestamp(self.started_at),
            "last_activity_at": optional_timestamp(self.last_activity_at),
            "ended_at": optional_timestamp(self.ended_at),
            "active": self.active,
            "state": self.state.value,
            "last_seen_at": optional_timestamp(self.last_seen_at),
            "missing_actions": self.missing_actions,
            "gaps": [gap.row() for gap in self.gaps],
            "overwritten_actions": self.overwritten_actions,
            "total_actions": self.total_actions,
            "failed_actions": self.failed_actions,
            "duration_ms": self.duration_ms,
            "bytes": self.bytes,
            "shape": self.shape.value,
        }


@dataclass(frozen=True)
class Archived:
    """A session in the archive."""

    summary: ArchivedSummary
    #: The session document, with those trimmed actions that the archive has.
    document: dict[str, Any]
    #: The bytes as they were stored in Redis; None for a document of the app, which cannot be restored.
    raw: bytes | None
    #: The app's document as JSON values; None for a document of awictl.
    original: dict[str, Any] | None = None
    #: The snapshot that `document` is put together from; None for a document of the app.
    snapshot: Snapshot | None = None
    #: Ordinal of the first action of the snapshot, and the actions that it lacks.
    first: int = 0
    chunks: Sequence[Chunk] = ()


class GoneSession(NamedTuple):
    """A session that the archive has as live, and that is no longer in Redis."""

    version: ArchivedVersion
    #: What it is now: ENDED (by the app), EXPIRED or VANISHED.
    state: ArchivedState
    #: When it ended; None if that is unknown, or it has vanished.
    ended_at: datetime | None
    #: When it was last in Redis; None if nothing later is known than the archive has.
    seen_at: datetime | None = None


@dataclass(frozen=True)
class ArchiveQuery:
    """The filters of a listing. None matches every session."""

    #: Id or name of the agent.
    agent: str | None = None
    #: Earliest last activity, inclusive.
    since: datetime | None = None
    #: Latest last activity, exclusive.
    until: datetime | None = None
    #: Only sessions with an action that failed.
    failed: bool = False


@dataclass(frozen=True)
class Cursor:
    """The last session of a page in a listing, which is ordered from the latest activity to the earliest."""

    last_activity_at: datetime | None
    session_id: str

    @property
    def text(self) -> str:
        """The cursor in URL-safe Base64."""
        return base64.urlsafe_b64encode(dumps([optional_timestamp(self.last_activity_at), self.session_id])).decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Decode the text of a cursor. Raises InvalidInput if it is not one."""
        try:
            stored, session_id = loads(base64.urlsafe_b64decode(text.encode()))
            if (
                not isinstance(session_id, str)
                or session_id != encodable(session_id)
                or (stored is not None and parse_datetime(stored) is None)
            ):
                raise ValueError
        except (ValueError, TypeError, AwiError):
            raise InvalidInput(f"{text!r:.80} is not a cursor; pass the one that an earlier page ended with") from None
        return cls(parse_datetime(stored), session_id)


class Archive(Protocol):
    """Where sessions are archived. Every method raises the errors of `awictl.errors`."""

    #: The archive's location for messages, without credentials.
    where: str
    #: Seconds that it may take to archive a batch of small sessions; None: its own timeouts are enough.
    patience: float | None

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots and read them back.

        Returns, for each session id, None if the archive now holds exactly these bytes, or else the reason why not:
        Outdated if it holds a newer version, Refused if it holds another session under this id. Idempotent. Raises
        Unreachable if the outcome is unknown.
        """

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions before they are trimmed from a session of this agent, and read them back. Idempotent."""

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the actions that were trimmed from a session of this agent, without damaged chunks."""

    async def load(self, session_id: str) -> Archived | None:
        """Return a session; None if it is not in the archive. Raises InvalidData if it is damaged there."""

    async def load_many(self, session_ids: Sequence[str]) -> dict[str, Archived | AwiError]:
        """Return sessions, or why one cannot be loaded. Sessions that are not in the archive are left out.

        All of them are read in one request and held in memory; see `bulk_load.id_batches`.
        """

    def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """Iterate over the sessions that match, from the latest activity to the earliest.

        after: start behind this session. limit: maximum number of sessions. action_counts: fill in the field of that
        name.
        """

    def live(self, server: str, seen_until: datetime | None = None) -> AsyncGenerator[ArchivedVersion, None]:
        """Iterate over sessions in state LIVE that were last seen on this server, or on one that is not known.

        seen_until: only those that were last seen until then, or at an unknown time; None: all.
        """

    async def mark_gone(self, sessions: Sequence[GoneSession]) -> int:
        """Record that sessions are no longer in Redis, unless they have changed since. Returns the number recorded."""

    async def ended_by_app(self, session_ids: Sequence[str]) -> dict[str, datetime | None]:
        """Return those of the sessions that the app itself archived as ended, and when they ended, if that is known."""

    async def publish(self, session_ids: Sequence[str]) -> None:
        """Show archived sessions to the app: add its view of those that have ended or expired to its own collection.

        Only for sessions that are gone from Redis: the app cannot save its own document of a session that is there.
        The app's own documents are not changed. Idempotent. Nothing in an archive that the app does not read.
        """

    def unpublished(self) -> AsyncGenerator[str, None]:
        """Iterate over the ids of sessions that have ended or expired, and that `publish` has not added yet."""

    async def withdraw(self, session_ids: Sequence[str]) -> None:
        """Take back what `publish` added, before the sessions are in Redis again. Idempotent."""

    async def count_old_sessions(self) -> int:
        """Return the number of sessions that an earlier version of awictl archived and that are to be migrated."""

    def old_sessions(self) -> AsyncGenerator[list[str], None]:
        """Iterate over the ids of the sessions to be migrated, in batches of a limited size."""

    async def migrate(self, session_ids: Sequence[str], gone: Collection[str] = ()) -> dict[str, AwiError | None]:
        """Migrate sessions to the present layout. Idempotent.

        gone: sessions that are not in Redis, of which the app keeps its view. Returns, for each session that had to be
        migrated, None or the reason why it was left as it was.
        """

    async def migrate_actions(self) -> int:
        """Migrate trimmed actions of sessions that have no snapshot in the archive. Returns the number of chunks."""

    async def check_exists(self) -> None:
        """Raise NotFound if the archive is a file that does not exist, which only writing to it would create.

        For operations that only read it: a file that the user named and that is missing is not an empty archive.
        """

    def suspend(self, error: Unreachable) -> None:
        """Raise this error for a moment instead of trying again: the archive did not finish in time."""

    async def ping(self) -> dict[str, Any]:
        """Check that the archive answers. Returns `latency_ms` and `version`."""

    async def missing_indexes(self) -> list[str]:
        """Return the fields of each index that does not exist yet; `save` creates it."""

    async def close(self) -> None:
        """Close all connections."""


def archived_snapshot(summary: ArchivedSummary, snapshot: Snapshot, first: int, chunks: Sequence[Chunk]) -> Archived:
    """Return a session with its whole trajectory. first: ordinal of the snapshot's first action."""
    document = with_chunks(snapshot.document, first, chunks)
    return Archived(summary, document, snapshot.raw, snapshot=snapshot, first=first, chunks=chunks)


def only(found: Mapping[str, Archived | AwiError], session_id: str) -> Archived | None:
    """Return one of the sessions that `Archive.load_many` found; None if it is not among them. Raises its error."""
    loaded = found.get(session_id)
    if isinstance(loaded, AwiError):
        raise loaded
    return loaded


def concurrent_writers(session_id: str, where: str) -> Refused:
    """Return the error for a snapshot that was not saved because other writers kept changing the session."""
    return Refused(f"{where}: other writers kept archiving {session_id}; nothing was deleted; try again")


def app_document_read_only(session_id: str, where: str) -> Refused:
    """Return the error for writing to, or restoring, a session that the app archived."""
    return Refused(
        f"{where}: {session_id} is archived as a document of the app, which is read-only: it lacks parts of the "
        "session, and the app may still use it"
    )
