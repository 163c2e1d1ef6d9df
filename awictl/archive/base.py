"""What an archive is: the interface of `mongo.py` and `sqlite.py`, and the records that they return."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from ..document.json_codec import dumps, encodable, loads
from ..document.timestamps import optional_timestamp
from ..errors import AwiError, InvalidInput, Refused
from .snapshot import ArchivedVersion, Snapshot, moment_of
from .trajectory import ActionCount, Chunk

#: Times that a snapshot is judged again because somebody else wrote under its id meanwhile.
SAVE_TRIES = 8


class Shape(Enum):
    """Who wrote an archived document, which tells what it looks like."""

    AWICTL = "awictl"
    #: The app's archive of ended sessions, and its sessions from before Redis: both readable, neither ever written.
    APP = "app"


@dataclass(frozen=True)
class ArchivedSummary:
    """What a listing of the archive tells of one session."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    started_at: datetime | None
    last_activity_at: datetime | None
    ended_at: datetime | None
    #: Whether it may live still: it was archived before it expired.
    active: bool
    #: As the document counts them.
    total_actions: int
    successful_actions: int
    failed_actions: int
    #: Length of the document in bytes; None where that is not known.
    bytes: int | None
    shape: Shape = Shape.AWICTL
    #: How often each action was taken; empty where that was not asked for.
    action_counts: Mapping[str, ActionCount] = field(default_factory=dict, compare=False)

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from the start to the last activity; None where that is not known."""
        if self.started_at is None or self.last_activity_at is None:
            return None
        return max(0, (self.last_activity_at - self.started_at) // timedelta(milliseconds=1))

    def row(self) -> dict[str, Any]:
        """The summary as plain data."""
        return {
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "agent_name": self.agent_name,
            "route": self.route,
            "started_at": optional_timestamp(self.started_at),
            "last_activity_at": optional_timestamp(self.last_activity_at),
            "ended_at": optional_timestamp(self.ended_at),
            "active": self.active,
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
    #: The session document, its trajectory complete as far as the archive has it.
    document: dict[str, Any]
    #: The string as it was stored; None in the older shapes, of which no session can be restored.
    raw: bytes | None
    #: The archived document itself, as plain JSON: of the older shapes only.
    original: dict[str, Any] | None = None


@dataclass(frozen=True)
class ArchiveQuery:
    """What an archived session must be like to be listed; None where that does not matter."""

    #: Id or name of its agent.
    agent: str | None = None
    #: Its last activity was then or later.
    since: datetime | None = None
    #: Its last activity was earlier than that.
    until: datetime | None = None
    #: Whether one of its actions failed.
    failed: bool = False


@dataclass(frozen=True)
class Cursor:
    """A place in a listing, which goes from the latest activity to the earliest: behind this session."""

    last_activity_at: datetime | None
    session_id: str

    @property
    def text(self) -> str:
        """The cursor as one word."""
        return base64.urlsafe_b64encode(dumps([optional_timestamp(self.last_activity_at), self.session_id])).decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that a word stands for. Raises InvalidInput."""
        try:
            moment, session_id = loads(base64.urlsafe_b64decode(text.encode()))
            if (
                not isinstance(session_id, str)
                or session_id != encodable(session_id)
                or (moment is not None and moment_of(moment) is None)
            ):
                raise ValueError
        except (ValueError, TypeError, AwiError):
            raise InvalidInput(f"{text!r:.80} is no cursor: use the one that an earlier page ended with") from None
        return cls(moment_of(moment), session_id)


class Archive(Protocol):
    """Where ended sessions are kept. Every method raises the errors of `awictl.errors`."""

    #: For messages: which archive this is, without secrets.
    where: str

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots, and read them back. For each session id, None, or why it is not there equal.

        It may be repeated at any time: an older snapshot never replaces a newer one, and other content under one id
        is Refused. Raises Unreachable where nothing can be told.
        """

    async def save_trimmed_actions(self, session_id: str, agent_id: str | None, chunk: Chunk) -> None:
        """Archive actions that leave a session of this agent, and read them back. It may be repeated."""

    async def load_trimmed_actions(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """The actions that left this session of this agent. A damaged chunk is left out with a warning."""

    async def load(self, session_id: str) -> Archived | None:
        """A session; None where it is not in the archive. Raises InvalidData where it is damaged."""

    def find(
        self, query: ArchiveQuery, after: Cursor | None = None, limit: int | None = None, *, action_counts: bool = False
    ) -> AsyncGenerator[ArchivedSummary, None]:
        """The sessions that match, latest activity first, from behind a cursor on. `action_counts`: fill them in."""

    def expired(self, now: datetime) -> AsyncGenerator[ArchivedVersion, None]:
        """Sessions that may live still as far as is known, but should have expired by now; the earliest first."""

    async def mark_ended(self, sessions: Sequence[ArchivedVersion]) -> int:
        """Mark sessions as ended when they expired, if they are still as known. Returns how many were."""

    async def ping(self) -> dict[str, Any]:
        """Whether the archive answers: `latency_ms` and, where the server tells, `version`."""

    async def missing_indexes(self) -> list[str]:
        """The fields of each index that is not there; the first `save` makes it."""

    async def close(self) -> None:
        """Close all connections."""


def not_settled(session_id: str, where: str) -> Refused:
    """The error for a snapshot under whose id others kept writing."""
    return Refused(f"{where}: other writers kept archiving {session_id}: nothing was deleted; try again")


def app_document_read_only(session_id: str, where: str) -> Refused:
    """The error for writing to a session, or restoring one, of which there is a document of the app."""
    return Refused(
        f"{where}: {session_id} is there in the app's own shape, which is read-only: it lacks much of the session, "
        "and the app may still use it"
    )
