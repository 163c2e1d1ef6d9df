"""Move one session from a store to another: copy it, read the copy back, and only then delete it.

A crash at any step leaves the session in at least one of the two stores, and repeating the move converges: a copy with
the same bytes is taken for done. While it is moved, its agent may still update it: then the copy is an older version,
which is replaced, and the session is deleted only if its bytes are those of the copy.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import Enum

from ...archive.decision import ArchivedState
from ...archive.snapshot import Snapshot
from ...document import keys
from ...errors import AwiError, InvalidData, InvalidInput, Refused
from ...store.base import DeleteOutcome, Lifetime, SessionStore, Stored
from ..earlier_sessions import EarlierSessions
from ..find import OpenArchive

#: Difference between two TTLs, in milliseconds, above which the later one counts as extended in between.
EXTENDED_MS = 1_000
#: Pause in seconds before a session that has just expired is read again.
_EXPIRED_SECONDS = 0.01


class MoveStep(Enum):
    """How far a move got."""

    #: The target has an equal copy.
    COPIED = "copied"
    #: The session is in the target, and gone from the source.
    MOVED = "moved"
    #: The session ended or expired before it could be moved.
    GONE = "gone"
    #: The session has changed meanwhile: copy it again.
    CHANGED = "changed"


@dataclass
class Move:
    """One session on its way to another store."""

    session_id: str
    #: The version that was copied; None if the session does not exist, or was not copied yet.
    snapshot: Snapshot | None = None
    #: Its TTL in milliseconds when it was read, and that moment by the monotonic clock, in seconds.
    ttl_ms: int | None = None
    read_at: float = 0.0
    #: The bytes that this move itself has stored in the target.
    stored: bytes | None = None
    #: Whether an older version in the target was replaced, which was there before.
    replaced: bool = False
    #: The session that its agent is mapped to in the target; None if that is not known.
    agent_session: str | None = None

    @property
    def agent_id(self) -> str | None:
        """The agent's id, for its mapping; None if there is none."""
        return self.snapshot.mapped_agent_id if self.snapshot is not None else None

    def left_ms(self) -> int | None:
        """The TTL that is left, in milliseconds; None for none."""
        return None if self.ttl_ms is None else self.ttl_ms - int((time.monotonic() - self.read_at) * 1000)


class SessionMover:
    """Moves sessions from one store to another. Methods raise the errors of both stores."""

    def __init__(self, source: SessionStore, target: SessionStore, open_archive: OpenArchive) -> None:
        self._source = source
        self._target = target
        self._open_archive = open_archive
        self._earlier = EarlierSessions(target, open_archive, 0)

    async def copy(self, move: Move, *, dry_run: bool = False) -> MoveStep:
        """Copy the session as it is now. `dry_run`: only check.

        Raises InvalidData if it is not a session document, and Refused if the target has another version of it, which
        is not known to be older.
        """
        move.read_at = time.monotonic()
        stored = await self._source.read(move.session_id)
        if stored is None:
            return await self._without_source(move)
        move.snapshot, move.ttl_ms = self._parsed(move.session_id, stored), stored.ttl_ms
        there, derived = await asyncio.gather(self._target.read(move.session_id), self._derived(move))
        equal = there is not None and there.raw == stored.raw
        if there is not None and not equal:
            if there.raw != move.stored:
                self._check_older(there.raw, move.snapshot)
                move.replaced = True
            if not dry_run and await self._delete_copy(move, there.raw) is DeleteOutcome.CHANGED:
                return MoveStep.CHANGED
        if dry_run:
            return MoveStep.COPIED
        left = move.left_ms()
        if left is not None and left <= 0:
            await asyncio.sleep(_EXPIRED_SECONDS)
            return MoveStep.CHANGED
        if there is not None and equal and _is_longer(there.ttl_ms, left):
            left = there.ttl_ms  # its agent uses it there
        # also if it is equal: a move that was interrupted may lack the mapping
        agent_id, diff = derived
        move.agent_session = await self._target.put(move.session_id, agent_id, stored.raw, left, diff)
        move.stored = stored.raw
        if move.snapshot.ended and move.agent_id is not None:  # its updates may be repeated before it is archived
            await self._earlier.ended(move.agent_id, move.session_id)
        copied = await self._target.read(move.session_id)
        return MoveStep.COPIED if copied is not None and copied.raw == stored.raw else MoveStep.CHANGED

    async def delete(self, move: Move, lifetime: Lifetime | None) -> MoveStep:
        """Delete a session that was copied from the source, unless it has changed since.

        `lifetime`: its TTL in the source after it was copied.
        """
        assert move.snapshot is not None  # noqa: S101  # it was copied
        if lifetime is not None and _is_longer(lifetime.ttl_ms, move.left_ms()):
            return MoveStep.CHANGED
        outcome = await self._source.delete(move.session_id, move.agent_id, move.snapshot.raw)
        if outcome is DeleteOutcome.GONE:
            return await self._without_source(move)
        return MoveStep.MOVED if outcome is DeleteOutcome.DELETED else MoveStep.CHANGED

    async def undo(self, move: Move) -> None:
        """Delete what was stored in the target, if it has not changed since, and the source has the session."""
        if move.stored is not None and await self._source.lifetimes([move.session_id]):
            await self._undo(move, move.stored)

    async def _undo(self, move: Move, stored: bytes) -> None:
        await self._delete_copy(move, stored)
        move.stored = None

    async def _delete_copy(self, move: Move, raw: bytes) -> DeleteOutcome:
        return await self._target.delete(move.session_id, move.agent_id, raw)

    async def _without_source(self, move: Move) -> MoveStep:
        """What became of a session that is gone from the source: another process has moved it, or it ended."""
        if move.snapshot is None or move.stored is None:
            return MoveStep.GONE
        if await self._was_ended(move.snapshot):
            await self._undo(move, move.stored)
            return MoveStep.GONE
        return MoveStep.MOVED

    async def _derived(self, move: Move) -> tuple[str | None, tuple[bytes, int] | None]:
        """The agent, if it is mapped to the session, and the session's last delta with its TTL in milliseconds."""
        session_id, agent_id = move.session_id, move.agent_id
        try:
            keys.check_agent_id(agent_id or "")
        except InvalidInput:
            return None, None
        assert agent_id is not None  # noqa: S101  # it was checked
        ttls, (delta, _), mapped_id = await asyncio.gather(
            self._source.expiries(session_id, agent_id), self._source.diff(session_id), self._mapped_id(agent_id)
        )
        delta_ttl = ttls.get(keys.diff_key(session_id))
        diff = (delta, delta_ttl) if delta and delta_ttl else None
        return agent_id if mapped_id == session_id else None, diff

    async def _mapped_id(self, agent_id: str) -> str | None:
        try:
            mapped = await self._source.agent_session(agent_id)
        except InvalidData:
            return None
        return mapped.session_id if mapped is not None else None

    def _parsed(self, session_id: str, stored: Stored) -> Snapshot:
        try:
            return Snapshot.parse(session_id, stored.raw)
        except InvalidData as error:
            raise InvalidData(
                f"{error}; {session_id} was left in {self._source.where} (`awictl session show -o raw {session_id}` "
                "prints it as it is)"
            ) from error

    def _check_older(self, raw: bytes, mine: Snapshot) -> None:
        """Raise Refused unless the version in the target is an older one of the same session."""
        left = f"is in {self._target.where}; {mine.session_id} was left in {self._source.where}"
        try:
            its = Snapshot.parse(mine.session_id, raw)
        except InvalidData as error:
            raise Refused(f"a damaged version ({error}) {left}") from error
        if (mine.agent_id or "").lower() != (its.agent_id or "").lower() or not (
            mine.started_at == its.started_at or mine.has_action(its.last_action_digest)
        ):
            raise Refused(f"another session with this id {left}")
        if its.trajectory_digest == mine.trajectory_digest:
            if mine.revision.compared_to(its.revision) > 0:
                return
        elif its.last_action_digest != mine.last_action_digest and (
            not its.actions or mine.has_action(its.last_action_digest)
        ):
            return
        newer = its.actions and its.has_action(mine.last_action_digest)
        raise Refused(f"a {'newer version' if newer else 'version with other actions'} {left}")

    async def _was_ended(self, snapshot: Snapshot) -> bool:
        """Whether a session that is gone from the source ended there, or is being ended, in this version or later."""
        if await self._source.endings.taken(snapshot.session_id):
            return True
        archive = self._open_archive()
        if archive is None:
            return False
        try:
            archived = await archive.load(snapshot.session_id)
        except AwiError:
            return False
        if archived is None or archived.summary.state is not ArchivedState.ENDED:
            return False
        its = Snapshot.parse_archived(snapshot.session_id, archived.raw)
        if its is not None:
            return its.has_action(snapshot.last_action_digest)
        ended_at, last = archived.summary.ended_at, snapshot.last_activity_at
        return ended_at is not None and last is not None and ended_at >= last


def _is_longer(ttl_ms: int | None, than_ms: int | None) -> bool:
    """Whether a TTL in milliseconds is clearly longer than another one; None is the longest."""
    if ttl_ms is None or than_ms is None:
        return ttl_ms is None and than_ms is not None
    return ttl_ms - than_ms > EXTENDED_MS
