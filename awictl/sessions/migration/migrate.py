"""Move all live sessions from one store to another: from Redis to MongoDB, or back.

Several passes: each moves what a scan of the source finds, and the next one finds the sessions that were created, or
written back, meanwhile. It can be killed at any moment and repeated (see `mover`); several may run at once.
Caches, media and request counts are not moved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from ...archive.pace import Pace
from ...archive.transfer import Transfer
from ...document.keys import is_session_id
from ...errors import (
    AccessDenied,
    AwiError,
    InvalidData,
    NotFound,
    Refused,
    TooLarge,
    Unreachable,
    UpdateConflict,
    as_awi_error,
)
from ...store.base import SessionStore
from ...util.batched import batched, batched_by_bytes
from ...util.humanize import plural
from ..find import OpenArchive
from .mover import Move, MoveStep, SessionMover
from .result import MigrationResult, NotSimplyMoved

if TYPE_CHECKING:
    from .from_app import AppSession, AppSessions

log = logging.getLogger("awictl")

#: Maximum number of passes: agents that never stop creating sessions must not keep it from ending.
PASSES = 5
#: Number of times that a session is copied again because it changed before it could be deleted.
MAX_ATTEMPTS = 20
#: Maximum number and size in bytes of the sessions that are moved at the same time.
AT_ONCE = 16
AT_ONCE_BYTES = 4_194_304
#: Number of sessions whose sizes are read in one request.
_SIZES = 500

#: Shows the progress of a number of sessions; see `Output.progress`.
ShowProgress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
#: Finishes the ends that were interrupted in the source; see `SessionEndings.finish_taken`.
FinishEnds = Callable[[], Awaitable[Mapping[str, Any]]]
#: Applies to Redis what was recorded while it was away. Returns of how many sessions that failed.
BringHome = Callable[[], Awaitable[int]]


class StoreMigration:
    """Moves all sessions from one store to another. `result` has what was done, also after an error or Ctrl-C.

    `finish_ends`: finishes ends that were interrupted in the source. `bring_home`: applies to Redis what was recorded
    while it was away. `app`: the app's own sessions, to be copied, too. `rate`: maximum number of sessions per second.
    `dry_run`: write nothing.
    """

    def __init__(
        self,
        source: SessionStore,
        target: SessionStore,
        open_archive: OpenArchive,
        finish_ends: FinishEnds,
        *,
        bring_home: BringHome | None = None,
        app: AppSessions | None = None,
        rate: float | None = None,
        dry_run: bool = False,
    ) -> None:
        self.source = source
        self.target = target
        self.result = MigrationResult()
        self._open_archive = open_archive
        self._finish_ends = finish_ends
        self._bring_home = bring_home
        self._app = app
        self._pace = Pace(rate)
        self._group = min(AT_ONCE, self._pace.batch_size)
        self._dry_run = dry_run
        self._mover = SessionMover(source, target, open_archive)
        #: Sessions that stay in the source: a later pass does not try them again.
        self._left: set[str] = set()
        #: Sessions that are live in the source according to the archive, which records where each of them is moved to.
        self._archived: set[str] = set()
        #: Sessions that are being ended in the target.
        self._ending: set[str] = set()

    async def run(self, show_progress: ShowProgress = lambda _: nullcontext(lambda _: None)) -> MigrationResult:
        """Move all sessions. Raises Unreachable if one of the servers is; what was moved until then stays moved."""
        await asyncio.gather(self.source.ping(), self.target.ping())
        if self._bring_home is not None and not self._dry_run and (left := await self._bring_home()):
            raise Refused(
                f"nothing was moved: {plural(left, 'session')} went on in MongoDB while Redis was away, and cannot be "
                "brought back to Redis at the moment; run `awictl archive sweep`, then `awictl doctor`"
            )
        self._archived = await self._archived_sessions()
        for number in range(1 if self._dry_run else PASSES):
            await self._finish_interrupted()
            self._ending = set(await self.target.endings.ids())
            ids = await self._found()
            self.result.unfinished = number == PASSES - 1 and bool(ids)
            if not ids and number:
                break
            with show_progress(len(ids)) as progress:
                for some in batched(ids, _SIZES):
                    await self._move_some(some, progress)
        if self._app is not None:
            await self._copy_from_app(self._app, show_progress)
        return self.result

    async def _found(self) -> list[str]:
        """The ids of the sessions to be moved."""
        found: list[str] = []
        async with aclosing(self.source.scan()) as batches:
            async for ids in batches:
                found += [one for one in ids if one not in self._left]
        return found

    async def _archived_sessions(self) -> set[str]:
        """The sessions that are live in the source according to the archive."""
        archive = self._open_archive()
        if archive is None or self._dry_run:
            return set()
        try:
            await archive.check_exists()
        except NotFound:
            return set()
        async with aclosing(archive.live(self.source.identity)) as versions:
            return {one.session_id async for one in versions if one.server}

    async def _finish_interrupted(self) -> None:
        """Finish the ends that were interrupted: what was taken from its agent is no session to be moved."""
        if self._dry_run:
            outcomes: Mapping[str, Any] = dict.fromkeys(await self.source.endings.ids())
        else:
            outcomes = await self._finish_ends()
        for session_id, outcome in outcomes.items():
            if session_id in self._left:
                continue
            self.result.counts.found += 1
            if isinstance(outcome, Unreachable):
                raise outcome
            if isinstance(outcome, AwiError):
                self._leave(session_id, outcome)
            else:
                self.result.counts.ended += 1
                self.result.exceptions.append(NotSimplyMoved(session_id, "ended"))

    # -- moving

    async def _move_some(self, ids: Sequence[str], progress: Callable[[int], None]) -> None:
        sizes = {one.session_id: one.bytes for one in await self.source.lifetimes(ids)}
        if missing := [one for one in ids if one not in sizes]:
            await self._explain(missing)
            progress(len(missing))
        for group in batched_by_bytes(sizes, lambda one: sizes[one], AT_ONCE_BYTES, self._group):
            await self._pace.wait(len(group))
            await self._move_group(group)
            progress(len(group))

    async def _explain(self, missing: Sequence[str]) -> None:
        """Count sessions that are gone; leave keys that are not strings."""
        wrong = {one.session_id: one.error for one in await self.source.list(missing)}
        for session_id in missing:
            self.result.counts.found += 1
            if why := wrong.get(session_id):
                self._leave(session_id, InvalidData(f"{why}; {session_id} was left in {self.source.where}"))
            else:
                self.result.counts.gone += 1

    async def _move_group(self, ids: Sequence[str]) -> None:
        """Move sessions at the same time; then those that changed meanwhile again, one by one, which is quicker."""
        moves = [Move(one) for one in ids if one not in self._ending]
        self.result.counts.found += len(ids)
        for session_id in self._ending.intersection(ids):
            text = f"it is being ended in {self.target.where}; {session_id} was left in {self.source.where}"
            self._leave(session_id, Refused(text))
        for move in await self._attempt(moves):
            for _ in range(MAX_ATTEMPTS):
                if not await self._attempt([move]):
                    break
            else:
                await self._mover.undo(move)
                text = f"it kept changing; {move.session_id} was left in {self.source.where}"
                self._leave(move.session_id, UpdateConflict(text), move.agent_id)

    async def _attempt(self, moves: Sequence[Move]) -> list[Move]:
        """Copy sessions, and delete them from the source. Returns those that have changed meanwhile."""
        steps = await self._each(moves, partial(self._mover.copy, dry_run=self._dry_run))
        copied = [move for move, step in zip(moves, steps, strict=True) if step is MoveStep.COPIED]
        if self._dry_run:
            self._count_moved(copied)
            return []
        changed = [move for move, step in zip(moves, steps, strict=True) if step is MoveStep.CHANGED]
        if copied:
            names = [one.session_id for one in copied]
            await self._register(names)
            lifetimes = {one.session_id: one for one in await self.source.lifetimes(names)}
            steps = await self._each(copied, lambda one: self._mover.delete(one, lifetimes.get(one.session_id)))
            changed += [move for move, step in zip(copied, steps, strict=True) if step is MoveStep.CHANGED]
        return changed

    async def _each(self, moves: Sequence[Move], step: Callable[[Move], Awaitable[MoveStep]]) -> list[MoveStep | None]:
        """Take a step with each session, and count those that are done. None: an error, for which it was left.

        Raises Unreachable and AccessDenied, which concern all of them.
        """
        outcomes = await asyncio.gather(*map(step, moves), return_exceptions=True)
        if denied := next((one for one in outcomes if isinstance(one, AccessDenied)), None):
            await asyncio.gather(*map(self._mover.undo, moves))
            raise denied
        steps: list[MoveStep | None] = []
        for move, outcome in zip(moves, outcomes, strict=True):
            if isinstance(outcome, Unreachable) or not isinstance(outcome, Exception | MoveStep):
                raise outcome
            if isinstance(outcome, Exception):
                await self._mover.undo(move)
                self._leave(move.session_id, as_awi_error(outcome), move.agent_id)
                steps.append(None)
                continue
            if outcome is MoveStep.MOVED:
                self._count_moved([move])
            self.result.counts.gone += outcome is MoveStep.GONE
            steps.append(outcome)
        return steps

    def _count_moved(self, moves: Iterable[Move]) -> None:
        for move in moves:
            self.result.counts.moved += 1
            other = move.agent_session if move.agent_session != move.session_id else None
            if move.replaced:
                self.result.counts.replaced += 1
            if move.replaced or other is not None:
                outcome = "replaced" if move.replaced else "mapped"
                self.result.exceptions.append(NotSimplyMoved(move.session_id, outcome, move.agent_id, other))

    def _leave(self, session_id: str, error: AwiError, agent_id: str | None = None) -> None:
        """Leave a session in the source, for this reason."""
        conflict = isinstance(error, Refused) and not isinstance(error, TooLarge)
        self._left.add(session_id)
        self.result.counts.conflicts += conflict
        self.result.counts.failed += not conflict
        outcome = "conflict" if conflict else "failed"
        self.result.exceptions.append(NotSimplyMoved(session_id, outcome, agent_id, None, str(error), error))

    async def _register(self, session_ids: Sequence[str]) -> None:
        """Tell the archive that sessions are live in the target: it must not take them for vanished from the source."""
        archive = self._open_archive()
        known = [one for one in session_ids if one in self._archived]
        if archive is None or not known:
            return
        for session_id, outcome in (await Transfer(self.target, archive).archive(known)).items():
            if isinstance(outcome, AwiError):
                log.warning("%s: the archive still has it as live in %s: %s", session_id, self.source.where, outcome)

    # -- the app's own sessions

    async def _copy_from_app(self, app: AppSessions, show_progress: ShowProgress) -> None:
        """Copy the app's own active sessions to the target, unless they are anywhere else already."""
        found = await app.active()
        with show_progress(len(found)) as progress:
            for document_id, session_id in found:
                await self._pace.wait(1)
                try:
                    if (where := await self._where_is(session_id)) is not None:
                        self.result.counts.skipped += 1
                        reason = f"{where} has it already"
                        self.result.exceptions.append(NotSimplyMoved(session_id, "skipped", reason=reason))
                    elif (one := await app.load(document_id)) is not None:
                        await self._copy_one(one)
                except Unreachable:
                    raise
                except AwiError as error:
                    self._leave(session_id, error)
                progress(1)

    async def _copy_one(self, one: AppSession) -> None:
        if not self._dry_run:
            current = await self.target.put(one.session_id, one.agent_id, one.raw, one.ttl_ms)
            if current not in (None, one.session_id):
                self.result.exceptions.append(NotSimplyMoved(one.session_id, "mapped", one.agent_id, current))
        self.result.counts.from_app += 1

    async def _where_is(self, session_id: str) -> str | None:
        """The store or archive that has a session of awictl with this id; None if none has."""
        if not is_session_id(session_id):
            return None  # it cannot be copied
        for store in (self.target, self.source):
            if await store.lifetimes([session_id]) or await store.endings.taken(session_id):
                return store.where
        archive = self._open_archive()
        if archive is None:
            return None
        try:
            await archive.check_exists()
            archived = await archive.load(session_id)
        except NotFound:
            return None
        return archive.where if archived is not None and archived.raw is not None else None
