"""Decide what to do with a snapshot, given the version of the session that the archive already holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from ..errors import Refused
from .merge import Gap
from .snapshot import Revision, Snapshot
from .trajectory import ActionCount

#: Two expiry times that differ by no more than this count as equal: clocks and round trips are not exact.
SAME_EXPIRY = timedelta(seconds=1)


class ArchivedState(Enum):
    """What became of an archived session, as far as the archive knows."""

    #: It was in Redis, and had not ended, when it was last seen.
    LIVE = "live"
    #: Its end was recorded.
    ENDED = "ended"
    #: It expired in Redis without an end.
    EXPIRED = "expired"
    #: It disappeared from Redis before it ended or expired: another program deleted it.
    VANISHED = "vanished"


@dataclass(frozen=True)
class ArchivedVersion:
    """The version of a session that an archive holds: what is compared with a snapshot."""

    session_id: str
    #: SHA-256 of the archived bytes, in hex.
    digest: str
    revision: Revision
    agent_id: str | None
    started_at: datetime | None
    state: ArchivedState
    #: When it was due to expire; None if it had no TTL.
    expires_at: datetime | None
    #: Why awictl must not overwrite it, such as "in format 2, …"; empty if it may.
    protected: str = ""
    #: Number of pieces that its bytes are split into; 0 if they are not split.
    parts: int = 0
    #: Digest of its last action (see `Snapshot.last_action_digest`).
    last_action_digest: str = ""
    #: Identity of the server that it was live on; empty if an earlier version of awictl archived it.
    server: str = ""
    #: When it was last seen in Redis; None if that is unknown.
    seen_at: datetime | None = None
    #: Ordinal of the first action in the archived bytes: its position in the session's whole trajectory, from 0.
    first: int = 0
    #: Number of actions in the archived bytes; None if an earlier version of awictl archived it.
    actions: int | None = None
    #: Digest of those actions (see `action_keys.digest_of_actions`).
    trajectory: str = ""
    #: Where actions are missing, in order.
    gaps: tuple[Gap, ...] = ()
    #: Number of its actions that another writer overwrote after they were archived.
    overwritten_actions: int = 0
    #: How often each action was taken, by name.
    action_counts: Mapping[str, ActionCount] = field(default_factory=dict)


class Outdated(Refused):
    """The archive may hold a newer version of the session; nothing was archived or deleted.

    What is read from Redis from now on is newer than that version (see `Snapshot.newer_than`).
    """

    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        #: Digest of the version that the archive holds.
        self.digest = digest


class Decision(Enum):
    """What to do with a snapshot."""

    #: Insert it: the archive does not have the session.
    INSERT = "insert"
    #: Replace the older version in the archive.
    REPLACE = "replace"
    #: Only record a later expiry, or another server: the archive has the same bytes.
    EXTEND = "extend"
    #: Nothing: the archive has the same bytes.
    NOTHING = "nothing"


def decide(snapshot: Snapshot, archived: ArchivedVersion | None, where: str) -> Decision:
    """Decide what to do with a snapshot if an archive holds `archived`; `where` names the archive in errors.

    A version that is replaced loses none of its actions (see `merge.py`), so only the order of the versions matters.
    Raises Outdated unless the snapshot is known to be newer, and Refused if it must not be archived at all.
    """
    if archived is None:
        return Decision.INSERT
    at = f"{where}: {snapshot.session_id}"
    if archived.protected:
        raise Refused(f"{at} is already archived {archived.protected}; nothing was archived or deleted")
    if archived.digest == snapshot.digest:
        return Decision.EXTEND if _expires_later(snapshot, archived) else Decision.NOTHING
    if not _same_session(snapshot, archived):
        raise Refused(
            f"{at} is another session in the archive (agent {archived.agent_id}, started {archived.started_at}); "
            "nothing was archived or deleted"
        )
    if (
        snapshot.newer_than == archived.digest
        or snapshot.revision.compared_to(archived.revision) > 0
        or _continues(snapshot, archived)
    ):
        return Decision.REPLACE
    raise Outdated(
        f"{at} is already archived in another version, which may be newer; nothing was archived or deleted",
        archived.digest,
    )


def _expires_later(snapshot: Snapshot, archived: ArchivedVersion) -> bool:
    """Whether a snapshot with the same bytes has something to record: its expiry, its server, or that it is live."""
    if snapshot.ended:
        return False
    if archived.state is not ArchivedState.LIVE:
        return True
    if snapshot.expires_at is None:
        return False
    if snapshot.server and snapshot.server != archived.server:
        return True
    return archived.expires_at is None or snapshot.expires_at - archived.expires_at > SAME_EXPIRY


def _same_session(snapshot: Snapshot, archived: ArchivedVersion) -> bool:
    """Whether both are one session, and not two sessions that share an id.

    They are if agent and start are equal. A delta may overwrite the start; then the last archived action has to be in
    the trajectory of the snapshot.
    """
    if (archived.agent_id or "").lower() != (snapshot.agent_id or "").lower():
        return False
    return archived.started_at == snapshot.started_at or snapshot.has_action(archived.last_action_digest)


def _continues(snapshot: Snapshot, archived: ArchivedVersion) -> bool:
    """Whether the snapshot has the last archived action, and others after it.

    Then it is newer, whatever the numbers of its revision are: the clock of a writer may have been set back since, and
    a delta may have lowered the statistics.
    """
    last = archived.last_action_digest
    return last != snapshot.last_action_digest and snapshot.has_action(last)
