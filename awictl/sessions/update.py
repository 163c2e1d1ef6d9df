"""Optimistic concurrency: update a session by compare-and-set with retries.

This keeps promises 2 and 3 of DESIGN.

No update is lost: it is written only if the stored bytes are still the ones it is based on.

No update is applied twice: whenever an earlier attempt may have succeeded, the trajectory is searched for its op_id.
If its action may have been trimmed, and the archive cannot tell, the outcome is unknown (see `applied_before`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..document.fold import fold
from ..document.schema import as_text
from ..document.splice import Base, action_count, base_after
from ..document.timestamps import timestamp
from ..document.update import Change, Update, actions_to_drop, apply_update
from ..errors import AwiError, OutcomeUnknown, Unreachable, UpdateConflict
from ..settings import Settings
from ..store.base import CommitOutcome, SessionStore
from ..store.errors import ClientClosed, ReplyLost, has_ended, no_session
from ..util.bounded_dict import BoundedByteDict
from ..util.keyed_slots import KeyedSlots
from .applied_before import is_found, may_be_trimmed, was_applied
from .trimmed import TrimmedActions

log = logging.getLogger("awictl")

#: Seconds to retry after conflicts with other writers, or while the server is unreachable after a lost reply.
RETRY_SECONDS = 10.0
#: Exponential backoff with full jitter: maximum seconds before the first retry, doubled per retry up to the cap.
BACKOFF_SECONDS = 0.002
BACKOFF_CAP_SECONDS = 0.25
#: Seconds during which no actions are trimmed after they could not be archived.
ARCHIVE_RETRY_SECONDS = 30.0
#: Maximum number of heads cached after an update, which saves the next update a round trip, and their size in memory.
CACHED_HEADS = 1_024
CACHED_HEADS_BYTES = 33_554_432
#: Size of the largest head that is cached, in bytes as stored.
CACHED_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Updated:
    """The outcome of an update."""

    #: The document afterwards, without its trajectory.
    head: dict[str, Any]
    #: The action as recorded; None if this op_id had already been applied.
    action: dict[str, Any] | None
    op_id: str
    #: The document before it, without its trajectory; None if this op_id had already been applied.
    before: dict[str, Any] | None = None
    #: Whether it was recorded in MongoDB, because Redis is unreachable; it is applied to Redis afterwards.
    degraded: bool = False
    #: Size of the recorded action in bytes, as stored; 0 if none was recorded.
    size: int = 0


class Updater:
    """Applies updates to the sessions of a store. Many tasks may share it; it serializes their updates per session.

    With `trimmed`, actions are trimmed only after they were archived; while that fails, none are trimmed. `away`:
    whether the server is known to be away, so that a lost reply is not retried.
    """

    def __init__(
        self,
        store: SessionStore,
        settings: Settings,
        trimmed: TrimmedActions | None = None,
        away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._away = away
        self._trimmed = trimmed
        self._no_trimming_until = 0.0
        self._max_actions = settings.max_actions
        self._heads: BoundedByteDict[str, Base] = BoundedByteDict(
            CACHED_HEADS, CACHED_HEADS_BYTES, lambda _, base: base.memory
        )
        #: Updates of one session are serialized in this process, so that only other processes can conflict.
        self._locks = KeyedSlots(1)

    def agent_id(self, session_id: str) -> str | None:
        """The agent of a session, if its head is cached; else None."""
        base = self._heads.get(session_id)
        return as_text(base.document.get("agent_id")) if base is not None else None

    def forget(self, session_id: str) -> None:
        """Do not use the cached head of a session: the caller has a newer one."""
        self._heads.pop(session_id, None)

    async def run(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        *,
        look_for_op_id: bool,
        base: Base | None = None,
        whole: bool = False,
    ) -> Updated:
        """Apply the update that `build` returns for the current head of a session.

        `build` is called again for each retry. `look_for_op_id`: whether the update may have been applied before, so
        that the trajectory has to be searched. `base`: the session as the caller just read it, which saves a read.
        `whole`: read the whole session, not only its head, so that no other array can pass for the trajectory.

        Raises NotFound, UpdateConflict, OutcomeUnknown, Unconfirmed, and the errors of the store.
        """
        async with self._locks.taken(session_id):
            return await self._attempts(session_id, build, op_id, look_for_op_id, base, whole)

    async def _attempts(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        look_for_op_id: bool,
        base: Base | None,
        whole: bool,
    ) -> Updated:
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETRY_SECONDS
        cached = self._heads.pop(session_id, None)
        base = None if whole else cached or base
        #: the first attempt whose reply was lost
        sent: _ReplyLost | None = None
        for attempt in range(1_000_000):
            failure: Exception
            try:
                base = base or await self._store.read_base(session_id, full=whole)
                if base is not None:
                    base = await self._with_trajectory_to_trim(session_id, base)
                if base is None:
                    raise self._gone(session_id, op_id, sent is not None)
                if look_for_op_id or sent is not None:
                    base, applied = await self._search(session_id, base, op_id, sent)
                    if applied is None:
                        raise self._trimmed_away(op_id)
                    if applied:
                        await self._store.confirm(session_id, op_id)
                        return Updated(base.head, None, op_id)
                change = await self.change(session_id, base, build(base.head))
                outcome = await self._commit(session_id, base, change, look_for_op_id or sent is not None)
                if outcome is CommitOutcome.OK:
                    self._remember(session_id, base_after(base, change.head, change.splice))
                    return Updated(change.head, change.action, op_id, base.head, size=len(change.splice.tail))
                if outcome is CommitOutcome.APPLIED:
                    await self._store.confirm(session_id, op_id)
                    now = await self._store.read_base(session_id)
                    return Updated((now or base).head, None, op_id)
                if outcome is CommitOutcome.ENDED:
                    raise has_ended(session_id, self._store.where)
                if outcome is CommitOutcome.GONE:
                    raise self._gone(session_id, op_id, sent is not None)
                failure = UpdateConflict(
                    f"{self._store.where}: other writers kept changing {session_id} for {RETRY_SECONDS:g} s; "
                    "nothing was written; try again"
                )
            except _ReplyLost as lost:
                sent = sent or lost
                failure = self._unknown(op_id, str(lost.__cause__))
            except Unreachable as error:
                if sent is None:
                    raise
                failure = self._unknown(op_id, str(error))
                if isinstance(error, ClientClosed):
                    raise failure from error
            except AwiError as error:
                if sent is None or isinstance(error, OutcomeUnknown):
                    raise
                raise self._unknown(op_id, str(error)) from error
            if sent is not None and self._away():
                raise failure
            base = None
            delay = random.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2 ** min(attempt, 16)))  # noqa: S311
            if clock() + delay > deadline:
                raise failure
            await asyncio.sleep(delay)
        raise AssertionError("unreachable: the deadline comes first")

    async def _with_trajectory_to_trim(self, session_id: str, base: Base) -> Base | None:
        """The base; read again with its trajectory if actions have to be trimmed (a head does not contain them)."""
        if "actions" in base.document["history"]:
            return base
        count = action_count(base)
        if count is not None and not self._to_drop(count):
            return base
        return await self._store.read_base(session_id, full=True)

    async def change(self, session_id: str, base: Base, update: Update) -> Change:
        """What an update makes of a session, without writing it; what it trims is archived before."""
        return await self._trimmed_change(session_id, base, lambda drop: apply_update(base, update, timestamp(), drop))

    async def fold(
        self, session_id: str, base: Base, records: Sequence[Mapping[str, Any]], *, persist: bool = False
    ) -> Change:
        """What recorded actions make of a session (see `document.fold`), without writing it; otherwise like `change`.

        `base`: with its trajectory. The caller commits the change.
        """
        self._heads.pop(session_id, None)
        return await self._trimmed_change(session_id, base, lambda drop: fold(base, records, drop, persist=persist))

    async def _trimmed_change(self, session_id: str, base: Base, make: Callable[[int], Change]) -> Change:
        """The change that `make` returns for a number of actions to drop, after these were archived."""
        actions = base.document["history"].get("actions")
        change = make(self._to_drop(len(actions)) if actions is not None else 0)
        if not change.dropped or self._trimmed is None:
            return change
        try:
            await self._trimmed.save(session_id, base, change)
        except AwiError as error:
            log.warning(
                "%s: no actions are trimmed for now, since the oldest cannot be archived: %s", session_id, error
            )
            self._no_trimming_until = asyncio.get_running_loop().time() + ARCHIVE_RETRY_SECONDS
            return make(0)
        return change

    def _to_drop(self, count: int) -> int:
        """How many actions to trim before one more is recorded."""
        if asyncio.get_running_loop().time() < self._no_trimming_until:
            return 0
        return actions_to_drop(count, self._max_actions)

    async def _commit(self, session_id: str, base: Base, change: Change, look_for_op_id: bool) -> CommitOutcome:
        try:
            agent_id = as_text(base.document.get("agent_id")) or ""
            return await self._store.commit(session_id, agent_id, base, change, look_for_op_id=look_for_op_id)
        except ReplyLost as error:
            raise _ReplyLost(base.document["history"].get("last_action")) from error

    def _remember(self, session_id: str, base: Base) -> None:
        if len(base.prefix) <= CACHED_HEAD_BYTES:
            self._heads[session_id] = base

    def _gone(self, session_id: str, op_id: str, sent: bool) -> Exception:
        if sent:
            return self._unknown(op_id, "the session is gone")
        return no_session(session_id, self._store.where)

    async def _search(
        self, session_id: str, base: Base, op_id: str, sent: _ReplyLost | None
    ) -> tuple[Base, bool | None]:
        """The base, read again if necessary, and whether the update was applied before; None if that is unknown.

        False also means that only what was read does not have the op_id: the commit searches the whole trajectory.
        """
        if is_found(base, op_id):
            return base, True
        if not may_be_trimmed(base):
            return base, False
        if "actions" not in base.document["history"]:
            whole = await self._store.read_base(session_id, full=True)
            if whole is None:
                raise self._gone(session_id, op_id, sent is not None)
            base = whole
        return base, await was_applied(session_id, base, op_id, self._trimmed, sent.before if sent else None)

    def _trimmed_away(self, op_id: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"outcome unknown: actions from the time of {op_id} have been trimmed, so whether it was applied can no "
            "longer be determined; nothing was written now. If it was never sent before, send it with a new op_id",
            op_id=op_id,
        )

    def _unknown(self, op_id: str, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"outcome unknown: {why}; the update may have been applied: retry it with op_id {op_id}, "
            "which never applies it twice",
            op_id=op_id,
        )


class _ReplyLost(Exception):
    """The reply to a commit was lost; `before` was the last action before it, if there was one."""

    def __init__(self, before: Any) -> None:
        super().__init__()
        self.before = before
