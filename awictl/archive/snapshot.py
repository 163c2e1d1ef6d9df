"""A session as it goes into an archive, and whether it may take the place of what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from ..document.action_numbers import next_t_of
from ..document.byte_layout import decode
from ..document.json_codec import dumps, encodable
from ..document.schema import SESSION_END, as_array, as_object, has_ended
from ..document.timestamps import parse_timestamp
from ..errors import InvalidData, Refused
from .trajectory import ActionCount, Chunk, complete, count_actions

#: Characters that an archive keeps of an id, a name or a route, beside the document itself.
MAX_TEXT = 1_024
#: Two moments that differ by no more than this are the same expiry: clocks and round trips take their time.
SAME_EXPIRY = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Revision(NamedTuple):
    """How far a session has got, by three numbers that grow with each update.

    None of them alone can be trusted. A delta may overwrite `statistics`; the app's `t` sticks at 100, and falls back
    to that in a session that awictl wrote before; the clocks of two writers differ. So two of three decide.
    """

    #: `statistics.total_actions`.
    total_actions: int
    #: The number of the next action.
    next_t: int
    #: `last_updated`, milliseconds since 1970.
    updated_ms: int

    def compared_to(self, other: Revision) -> int:
        """Above 0 where this is the newer one, below 0 where it is the older one, 0 where that cannot be told."""
        return sum((mine > its) - (mine < its) for mine, its in zip(self, other, strict=True))


@dataclass(frozen=True)
class ArchivedVersion:
    """What an archive has to know of a session that it holds, to decide about a snapshot."""

    session_id: str
    digest: str
    revision: Revision
    agent_id: str | None
    started_at: datetime | None
    active: bool
    expires_at: datetime | None
    #: Why it is never rewritten, if so: what shape it has.
    foreign: str = ""
    #: In how many pieces it is kept; 0 where it is whole.
    parts: int = 0
    #: Its last action (see `Snapshot.last`).
    last: str = ""


class Outdated(Refused):
    """The archive has a newer state of this session: nothing was archived or deleted."""


class Decision(Enum):
    """What is to be done with a snapshot."""

    #: There is nothing under its id.
    INSERT = "insert"
    #: It takes the place of an older one.
    REPLACE = "replace"
    #: The same is there, but the session lives longer than was known then.
    EXTEND = "extend"
    #: The same is there.
    NOTHING = "nothing"


@dataclass(frozen=True)
class Snapshot:
    """A session as it was read from the store, with what an archive wants to know of it."""

    session_id: str
    #: The string as it was stored: what is archived, and what comes back.
    raw: bytes
    document: dict[str, Any]
    #: The document with the actions that had left it before, as far as they are archived.
    complete: dict[str, Any]
    #: SHA-256 of `raw`, in hex.
    digest: str
    revision: Revision
    #: When it would have expired; None where it never would.
    expires_at: datetime | None

    @classmethod
    def of(
        cls, session_id: str, raw: bytes, *, ttl_ms: int | None = None, now: datetime, chunks: Iterable[Chunk] = ()
    ) -> Snapshot:
        """The snapshot of a stored string. Raises InvalidData where it is no session document."""
        document = decode(raw)
        next_t = next_t_of(document)
        if document.get("session_id", session_id) != session_id:
            raise InvalidData(f"the document says that it is session {document['session_id']!r:.80}")
        updated = moment_of(document.get("last_updated"))
        return cls(
            session_id,
            raw,
            document,
            complete(document, chunks),
            hashlib.sha256(raw).hexdigest(),
            Revision(
                count_of(as_object(document.get("statistics")).get("total_actions")),
                next_t,
                (updated - _EPOCH) // timedelta(milliseconds=1) if updated else 0,
            ),
            _milliseconds(now + timedelta(milliseconds=ttl_ms)) if ttl_ms is not None else None,
        )

    @property
    def agent_id(self) -> str | None:
        """The agent's id."""
        return _text(self.document.get("agent_id"))

    @property
    def mapped_agent(self) -> str | None:
        """The same as it stands in the name of the agent's mapping."""
        agent_id = self.document.get("agent_id")
        return agent_id if isinstance(agent_id, str) and agent_id == encodable(agent_id) else None

    @property
    def agent_name(self) -> str | None:
        """The agent's name."""
        return _text(self.document.get("agent_name"))

    @property
    def route(self) -> str | None:
        """Where the agent was."""
        return _text(as_object(self.document.get("page_state")).get("route"))

    @property
    def started_at(self) -> datetime | None:
        """When the session began; its first action tells where its statistics do not."""
        return moment_of(self.statistics.get("session_start")) or _time_of(self.actions[:1])

    @property
    def last_activity_at(self) -> datetime | None:
        """When the agent did something last."""
        return moment_of(self.statistics.get("last_activity")) or moment_of(self.document.get("last_updated"))

    @property
    def ended_at(self) -> datetime | None:
        """When it was ended; None where it was not."""
        return _time_of(self.actions[-1:]) or self.last_activity_at if self.ended else None

    @property
    def ended(self) -> bool:
        """Whether it was ended, and nothing happened in it since."""
        last = as_object(self.actions[-1]) if self.actions else {}
        return has_ended(self.document) and last.get("action") == SESSION_END

    @property
    def last(self) -> str:
        """A digest of its last action; empty where it has none."""
        return _mark_of(self.actions[-1]) if self.actions else ""

    @property
    def trimmed(self) -> bool:
        """Whether actions have left it."""
        return bool(as_object(self.document.get("history")).get("trimmed_actions"))

    @property
    def statistics(self) -> dict[str, Any]:
        """What the document counts."""
        return as_object(self.document.get("statistics"))

    def count(self, name: str) -> int:
        """One of the counts in `statistics`; 0 where it is none."""
        return count_of(self.statistics.get(name))

    @property
    def actions(self) -> list[Any]:
        """The trajectory, complete as far as that is known; oldest first."""
        return as_array(as_object(self.complete.get("history")).get("actions"))

    @cached_property
    def action_counts(self) -> Mapping[str, ActionCount]:
        """How often each action was taken."""
        return count_actions(self.actions)

    def _continues(self, known: ArchivedVersion) -> bool:
        """Whether this is the same session as `known`, and not another one under the same id.

        A delta may overwrite when it began; then what it did last has to be in this trajectory too.
        """
        if not _same_agent(known.agent_id, self.agent_id):
            return False
        return known.started_at == self.started_at or known.last in map(_mark_of, self.actions)

    def decide(self, known: ArchivedVersion | None, where: str) -> Decision:
        """What is to be done with this snapshot where an archive holds `known`. Raises Refused, Outdated."""
        if known is None:
            return Decision.INSERT
        at = f"{where}: {self.session_id}"
        if known.foreign:
            raise Refused(f"{at} is there {known.foreign}: nothing was archived or deleted")
        if known.digest == self.digest:
            later = self.expires_at and (known.expires_at is None or self.expires_at - known.expires_at > SAME_EXPIRY)
            return Decision.EXTEND if later and not self.ended else Decision.NOTHING
        if not self._continues(known):
            raise Refused(
                f"{at} is another session there (of agent {known.agent_id}, begun {known.started_at}): "
                "nothing was archived or deleted"
            )
        order = self.revision.compared_to(known.revision)
        if order < 0:
            raise Outdated(f"{at} is newer there than what is to be archived: nothing was archived or deleted")
        if order == 0:
            raise Refused(
                f"{at} has other content there, and which of the two is newer cannot be told: "
                "nothing was archived or deleted"
            )
        return Decision.REPLACE


def count_of(value: Any) -> int:
    """A stored count; 0 where it is none."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _mark_of(action: Any) -> str:
    return hashlib.sha256(dumps(action)).hexdigest()[:32]


def _same_agent(one: str | None, other: str | None) -> bool:
    return (one or "").lower() == (other or "").lower()


def moment_of(stored: Any) -> datetime | None:
    """The moment that a stored timestamp names, as precise as archives keep it; None where it is none."""
    moment = parse_timestamp(stored)
    try:
        return _milliseconds(moment) if moment is not None else None
    except OverflowError:  # in its own time zone it is of the year 1 or 9999, in UTC it is not
        return None


def _time_of(actions: list[Any]) -> datetime | None:
    return moment_of(as_object(actions[0]).get("timestamp")) if actions else None


def _milliseconds(moment: datetime) -> datetime:
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    finer = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - finer) if finer else moment


def _text(value: Any) -> str | None:
    return encodable(value[:MAX_TEXT]) if isinstance(value, str) else None
