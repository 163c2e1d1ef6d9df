"""How an update is made: read, apply, compare and write, again while other writers are faster.

Promises 2 and 3 of DESIGN are kept here. No update is lost, since each is written only over the bytes it was based
on. None is applied twice, since its op_id is looked for wherever an earlier attempt may have been carried out. Where
the actions of that time have been trimmed, it cannot be found out: op_ids made by awictl carry their time, so that
this is noticed; an op_id of the caller's own is known for as long as its action is kept.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..document.keys import op_id_time
from ..document.splice import Base, action_count, base_after
from ..document.timestamps import parse_timestamp, timestamp
from ..document.update import Change, Update, actions_to_drop, apply_update
from ..errors import AwiError, OutcomeUnknown, Unreachable, UpdateConflict
from ..settings import Settings
from ..store.base import Outcome, ReplyLost, SessionStore, no_session
from ..util.bounded_dict import BoundedDict

if TYPE_CHECKING:
    from ..archive.base import Archive

log = logging.getLogger("awictl")

#: Seconds that an update goes on trying, while other writers are faster or the server is away after a lost reply.
RETRY_SECONDS = 10.0
#: Longest pause before the first retry, in seconds; twice as long before each further one, up to the cap.
PAUSE_SECONDS = 0.002
PAUSE_CAP_SECONDS = 0.25
#: Seconds without another try to drop actions, after they could not be archived.
ARCHIVE_PAUSE_SECONDS = 30.0
#: Sessions whose head is remembered from the last update, which spares the next one a round trip.
WARM_HEADS = 1_024
#: Largest head that is remembered, in bytes.
WARM_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Updated:
    """What an update did."""

    #: The document afterwards, without its trajectory.
    head: dict[str, Any]
    #: The action as recorded; None where this op_id had been applied before.
    action: dict[str, Any] | None
    op_id: str


#: Archives the actions that a change drops from a session.
ArchiveDropped = Callable[[str, Change], Awaitable[None]]


def archive_dropped_to(open_archive: Callable[[], Archive]) -> ArchiveDropped:
    """Archive the actions that a change drops, before it drops them. The archive is opened at first use."""

    async def archive_dropped(session_id: str, change: Change) -> None:
        from ..archive.trajectory import Chunk

        chunk = Chunk(change.head["history"]["trimmed_actions"] - len(change.dropped), change.dropped)
        agent_id = change.head.get("agent_id")
        await open_archive().save_trimmed_actions(session_id, agent_id if isinstance(agent_id, str) else None, chunk)

    return archive_dropped


class Updater:
    """Makes updates in a store. It may be shared by many tasks: their updates of one session take turns.

    Where there is an `archive`, actions are dropped only after it has them; while it is out of reach, none are.
    """

    def __init__(self, store: SessionStore, settings: Settings, archive: ArchiveDropped | None = None) -> None:
        self._store = store
        self._archive = archive
        self._no_dropping_until = 0.0
        self._max_actions = settings.max_actions
        self._warm: BoundedDict[str, Base] = BoundedDict(WARM_HEADS)
        self._locks: dict[str, _CountedLock] = {}

    def agent_id(self, session_id: str) -> str | None:
        """The agent of a session that was updated lately, else None."""
        base = self._warm.get(session_id)
        return _agent_id(base) if base is not None else None

    async def run(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        *,
        look_for_op_id: bool,
        base: Base | None = None,
    ) -> Updated:
        """Apply the update that `build` makes for the head of a session.

        `look_for_op_id`: whether somebody may have applied it before, so that the trajectory has to be searched.
        `base`: what the session was like when the caller read it just now, which spares reading it.
        Raises NotFound, UpdateConflict, OutcomeUnknown, and what the store raises.
        """
        async with self._turn(session_id):
            return await self._attempts(session_id, build, op_id, look_for_op_id, base)

    async def _attempts(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        look_for_op_id: bool,
        base: Base | None,
    ) -> Updated:
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETRY_SECONDS
        base = self._warm.pop(session_id, None) or base
        #: the number of the action in the first attempt whose reply was lost
        sent_t: int | None = None
        for attempt in range(1_000_000):
            failure: Exception
            try:
                base = base or await self._store.read_base(session_id)
                if base is not None:
                    base = await self._with_room(session_id, base)
                if base is None:
                    raise self._gone(session_id, op_id, sent_t)
                if (look_for_op_id or sent_t is not None) and _knows(base, op_id):
                    return Updated(base.head, None, op_id)
                if look_for_op_id and _trimmed(base) and (made := op_id_time(op_id)) is not None:
                    base = base if "actions" in base.document["history"] else await self._whole(session_id, base)
                    if _oldest_time(base) > made:
                        raise self._too_late(op_id)
                if sent_t is not None and _oldest_t(base) > sent_t:
                    raise self._too_late(op_id)
                change = await self._change(session_id, base, build(base.head))
                outcome = await self._commit(session_id, base, change, look_for_op_id or sent_t is not None)
                if outcome is Outcome.OK:
                    self._remember(session_id, base_after(base, change.head, change.splice))
                    return Updated(change.head, change.action, op_id)
                if outcome is Outcome.APPLIED:
                    now = await self._store.read_base(session_id)
                    return Updated((now or base).head, None, op_id)
                if outcome is Outcome.GONE:
                    raise self._gone(session_id, op_id, sent_t)
                failure = UpdateConflict(
                    f"{self._store.where}: other writers kept changing {session_id} for {RETRY_SECONDS:g} s: "
                    "nothing was written; try again"
                )
            except _Lost as lost:
                sent_t = lost.t if sent_t is None else sent_t
                failure = self._unknown(op_id, str(lost.__cause__))
            except Unreachable as error:
                if sent_t is None:
                    raise
                failure = self._unknown(op_id, str(error))
            base = None
            pause = random.uniform(0, min(PAUSE_CAP_SECONDS, PAUSE_SECONDS * 2 ** min(attempt, 16)))  # noqa: S311
            if clock() + pause > deadline:
                raise failure
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the deadline comes first")

    async def _with_room(self, session_id: str, base: Base) -> Base | None:
        """The base itself; read whole where actions have to be dropped, since which ones cannot be told from a head."""
        if "actions" in base.document["history"]:
            return base
        count = action_count(base)
        if count is not None and not self._to_drop(count):
            return base
        return await self._store.read_base(session_id, whole=True)

    async def _change(self, session_id: str, base: Base, update: Update) -> Change:
        actions = base.document["history"].get("actions")
        drop = self._to_drop(len(actions)) if actions is not None else 0
        change = apply_update(base, update, timestamp(), drop)
        if not change.dropped or self._archive is None:
            return change
        try:
            await self._archive(session_id, change)
        except AwiError as error:
            log.warning("%s keeps all its actions for now, since the oldest cannot be archived: %s", session_id, error)
            self._no_dropping_until = asyncio.get_running_loop().time() + ARCHIVE_PAUSE_SECONDS
            return apply_update(base, update, timestamp())
        return change

    def _to_drop(self, count: int) -> int:
        """How many actions leave before one more is recorded."""
        if asyncio.get_running_loop().time() < self._no_dropping_until:
            return 0
        return actions_to_drop(count, self._max_actions)

    async def _commit(self, session_id: str, base: Base, change: Change, look_for_op_id: bool) -> Outcome:
        try:
            return await self._store.commit(
                session_id, _agent_id(base) or "", base, change, look_for_op_id=look_for_op_id
            )
        except ReplyLost as error:
            raise _Lost(change.action["t"]) from error

    def _remember(self, session_id: str, base: Base) -> None:
        if len(base.prefix) <= WARM_HEAD_BYTES:
            self._warm[session_id] = base

    def _gone(self, session_id: str, op_id: str, sent_t: int | None) -> Exception:
        if sent_t is not None:
            return self._unknown(op_id, "the session is gone")
        return no_session(session_id, self._store.where)

    async def _whole(self, session_id: str, base: Base) -> Base:
        return await self._store.read_base(session_id, whole=True) or base

    def _too_late(self, op_id: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"outcome unknown: the actions of the time of {op_id} have left the trajectory, so it cannot be found out "
            "any more whether it was applied: nothing was written now",
            op_id=op_id,
        )

    def _unknown(self, op_id: str, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"outcome unknown: {why}; the update may have been applied: repeat it with op_id {op_id}, "
            "which never applies it twice",
            op_id=op_id,
        )

    @asynccontextmanager
    async def _turn(self, session_id: str) -> AsyncIterator[None]:
        """One update of a session at a time: only other processes can then be in conflict."""
        lock = self._locks.setdefault(session_id, _CountedLock())
        lock.users += 1
        try:
            async with lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[session_id]


class _CountedLock(asyncio.Lock):
    """A lock that counts who holds it or waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.users = 0


class _Lost(Exception):
    """The reply to a commit was lost: action number `t` may have been recorded."""

    def __init__(self, t: int) -> None:
        super().__init__(t)
        self.t = t


def _agent_id(base: Base) -> str | None:
    agent_id = base.document.get("agent_id")
    return agent_id if isinstance(agent_id, str) else None


def _knows(base: Base, op_id: str) -> bool:
    """Whether what was read shows an action with this op_id; where only the head was, that is the last action."""
    history = base.document["history"]
    actions = [history.get("last_action"), *history.get("actions", ())]
    return any(isinstance(action, dict) and action.get("op_id") == op_id for action in actions)


def _trimmed(base: Base) -> bool:
    """Whether actions have left the trajectory."""
    return bool(base.document["history"].get("trimmed_actions"))


def _oldest_time(base: Base) -> datetime:
    """From when on the trajectory is complete."""
    times = [
        parse_timestamp(action.get("timestamp"))
        for action in base.document["history"].get("actions", ())[:1]
        if isinstance(action, dict)
    ]
    return times[0] if times and times[0] else datetime.now(UTC)


def _oldest_t(base: Base) -> int:
    """The smallest `t` that the trajectory may still hold."""
    history = base.document["history"]
    left = history.get("trimmed_actions")
    first = next(iter(history.get("actions", ())), None)
    numbers = [left, first.get("t") if isinstance(first, dict) else None]
    return max((number for number in numbers if type(number) is int), default=0)
