"""Bring journaled sessions home: put what Redis lacks of them into Redis, each action once, in order.

Everything is decided by what Redis, the journal and the archive have at that moment, and written by compare-and-set. So
any number of processes may bring the same session home at once, and a crash at any point changes nothing: the next
attempt finds what is there already.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..archive.decision import ArchivedState
from ..document import keys
from ..document.action_numbers import t_of
from ..document.byte_layout import decode
from ..document.json_codec import dumps
from ..document.rejoin import rejoined
from ..document.schema import as_text, has_ended
from ..document.splice import Base, base_from_string
from ..errors import AwiError, InvalidData, Refused, TooLarge, UpdateConflict
from ..sessions.applied_before import may_be_trimmed, was_applied
from ..store.base import CommitOutcome, SessionStore
from ..store.endings import SEPARATOR
from ..store.errors import ReplyLost
from ..util.batched import batched_by_bytes
from ..util.keyed_slots import KeyedSlots
from .journal import Entry, Journal
from .progress import progress_of, updated_ms
from .rebase import settle
from .versions import is_end, is_same, op_id_of, op_ids_of, replaced_older, restored, spliced, trajectory, without

if TYPE_CHECKING:
    from ..archive.base import Archived
    from ..document.update import Change
    from ..sessions.earlier_sessions import EarlierSessions
    from ..sessions.end import SessionEndings
    from ..sessions.find import OpenArchive
    from ..sessions.trimmed import TrimmedActions
    from ..sessions.update import Updater

log = logging.getLogger("awictl")

#: How often a session is tried that other processes write to at the same time.
ATTEMPTS = 1_000
#: Maximum number of actions that are brought home in one write, and their size in bytes.
BATCH_ACTIONS, BATCH_BYTES = 200, 1_048_576


class Homecoming:
    """Brings journaled sessions into the store. `trimmed`: the archive of trimmed actions, if there is an archive."""

    def __init__(
        self,
        store: SessionStore,
        journal: Journal,
        updater: Updater,
        endings: SessionEndings,
        earlier: EarlierSessions,
        trimmed: TrimmedActions | None,
        open_archive: OpenArchive,
        ttl_ms: int,
    ) -> None:
        self._store = store
        self._journal = journal
        self._updater = updater
        self._endings = endings
        self._earlier = earlier
        self._trimmed = trimmed
        self._open_archive = open_archive
        self._ttl_ms = ttl_ms
        self._slots = KeyedSlots(1)
        #: Sessions that have ended, and are still to be archived.
        self._ended: dict[str, None] = {}

    async def bring(self, session_id: str) -> None:
        """Bring a session home, if it is in the journal and not home yet.

        Raises Unreachable if Redis or MongoDB is away, and Unconfirmed if replicas have not acknowledged the writes.
        """
        async with self._slots.taken(session_id):
            for _ in range(ATTEMPTS):
                entry = await self._journal.entry(session_id)
                if entry is None or not entry.pending:
                    return
                if entry.home is None:
                    await self._journal.adopt(session_id)
                    continue
                record = await self._journal.store.read_base(session_id, full=True)
                if record is None or record.revision != entry.revision:
                    continue  # with another version, `home` may be another one, too
                brought = await self._brought(entry, record)
                if isinstance(brought, bytes):
                    marked = await settle(self._journal.store, entry, record, brought)
                else:
                    marked = brought and await self._journal.mark_home(entry, record)
                if marked:
                    log.info("%s: all that was journaled is in %s", session_id, self._store.where)
                    return
            raise UpdateConflict(f"{self._store.where}: other writers kept changing {session_id}; try again")

    async def archive_ended(self) -> None:
        """Archive the sessions that were brought home and have ended. If that fails, a sweep does it."""
        while self._ended:
            session_id = next(iter(self._ended))
            del self._ended[session_id]
            try:
                await self._endings.end(session_id)
            except AwiError as error:
                log.warning("%s has ended, but is not archived yet: %s", session_id, error)

    async def _brought(self, entry: Entry, record: Base) -> bytes | bool:
        """Bring home what this version of a journaled session has. False if it has to be tried again.

        Returns the string in Redis if it has other actions, or other numbers, than the journaled session.
        """
        session_id, home = entry.session_id, entry.home or 0
        ops = trajectory(record)[home:]
        try:
            base = await self._store.read_base(session_id, full=True)
        except (InvalidData, TooLarge) as error:
            await self._set_aside(entry, ops, str(error))
            return True
        if base is None:
            return await self._into_nothing(entry, record, ops)
        if base.document.get("agent_id") != record.document.get("agent_id"):
            await self._set_aside(entry, ops, "the session in Redis belongs to another agent")
            return True
        aside = await self._journal.aside_of(session_id)
        persist = self._open_archive() is not None
        change = replaced_older(base, record, home, aside, persist=persist)
        if change is not None:
            if not await self._committed(entry, base, change, ops):
                return False
        elif todo := await self._missing(entry, base, record, aside):
            [batch, *others] = batched_by_bytes(todo, lambda one: len(dumps(one)), BATCH_BYTES, BATCH_ACTIONS)
            try:
                change = await self._updater.fold(session_id, base, batch, persist=persist)
            except InvalidData as error:
                await self._set_aside(entry, batch, str(error))
                return False
            if not await self._committed(entry, base, change, todo) or others:
                return False
        elif ops:
            await self._store.confirm(session_id, op_id_of(ops[-1]) or "")
        last = change.action if change is not None else next(iter(trajectory(base)[-1:]), None)
        differs = bool(aside) or (bool(ops) and not (is_same(last, ops[-1]) and t_of(last) == t_of(ops[-1])))
        stored = await self._store.read(session_id) if differs else None
        await self._finish(entry, record)
        return stored.raw if stored is not None else True

    async def _committed(self, entry: Entry, base: Base, change: Change, ops: Sequence[Any]) -> bool:
        """Write a change. Returns whether it is written; sets `ops` aside if the session refuses it for good."""
        agent_id = as_text(base.document.get("agent_id")) or ""
        try:
            outcome = await self._store.commit(entry.session_id, agent_id, base, change, look_for_op_id=False)
        except TooLarge as error:
            await self._set_aside(entry, ops, str(error))
            return False
        except ReplyLost:
            return False
        if outcome is CommitOutcome.ENDED:
            await self._set_aside(entry, ops, "the session has ended in Redis meanwhile")
        return outcome is CommitOutcome.OK

    async def _missing(self, entry: Entry, base: Base, record: Base, aside: set[str]) -> list[Any]:
        """The journaled actions that are to be applied to the session in Redis, oldest first.

        Those are set aside of which it cannot be determined whether they were applied before.
        """
        stored, actions, home = trajectory(base), trajectory(record), entry.home or 0
        todo = without(actions[home:], op_ids_of(stored) | aside)
        if todo and is_end(todo[-1]) and has_ended(base.document):
            todo.pop()  # it has ended there, too
        if not todo or not may_be_trimmed(base):
            return todo
        before = actions[home - 1] if home else None
        # what was applied since then is still there; earlier ones that an agent repeats may be in the archive
        kept = any(is_same(before, one) for one in reversed(stored))
        missing, unknown = [], []
        for one in todo:
            applied = await was_applied(entry.session_id, base, str(op_id_of(one)), self._trimmed)
            if applied is None and not kept:
                unknown.append(one)
            elif not applied:
                missing.append(one)
        reason = "whether it was applied before cannot be determined, since actions of that time have been trimmed"
        await self._set_aside(entry, unknown, reason)
        return missing

    async def _into_nothing(self, entry: Entry, record: Base, ops: Sequence[Any]) -> bytes | bool:
        """Bring a session home that Redis does not have: it has lost it, or it has expired there, or it has ended."""
        session_id = entry.session_id
        archive = self._open_archive()
        archived = await self._archived(session_id)
        ended = archived is not None and _has_ended(archived, entry)
        if taken := await self._store.endings.taken(session_id):
            ended, there = True, op_ids_of(decode(rejoined(taken.split(SEPARATOR)))["history"]["actions"])
        else:
            there = op_ids_of(archived.document["history"]["actions"]) if archived is not None else set()
        aside = await self._journal.aside_of(session_id)
        todo = without(ops, there | aside)
        if ended:
            await self._set_aside(entry, [one for one in todo if not is_end(one)], "the session has ended meanwhile")
            return True
        lacking = without(trajectory(record), there | aside)
        if not lacking and updated_ms(record.head) < time.time() * 1000 - self._ttl_ms:
            return True  # it has expired, and the archive has all of it
        raw = await self._restored(entry, record, archived, todo)
        over = is_end(ops[-1] if ops else None)
        if archive is not None:
            await archive.withdraw([session_id])  # the app could not save its own document beside it
        try:
            ttl_ms = None if over and archive is not None else self._ttl_ms
            agent_id = None if over else as_text(record.document.get("agent_id"))
            await self._store.put(session_id, agent_id, raw, ttl_ms, _diff_of(ops))
        except Refused:
            return False
        if archive is not None:
            await archive.withdraw([session_id])  # a sweep may have published it again in between
        await self._finish(entry, record)
        return raw

    async def _archived(self, session_id: str) -> Archived | None:
        """A session in the archive; None if it is not there, or is damaged there, which must not keep it away."""
        archive = self._open_archive()
        try:
            return await archive.load(session_id) if archive is not None else None
        except InvalidData as error:
            log.warning("%s is restored from the journal alone: %s", session_id, error)
            return None

    async def _restored(self, entry: Entry, record: Base, archived: Archived | None, todo: Sequence[Any]) -> bytes:
        """The string of a session that Redis has lost.

        That is the journaled one, unless the session went on in Redis and was archived before Redis lost it. Actions
        before a gap that nobody can fill are moved to the archive, as if they had been trimmed.
        """
        known: list[Any] = []
        if archived is not None and archived.raw is not None:
            base = base_from_string(archived.raw)
            known = base.document["history"]["actions"]
            last = base.document["history"].get("last_action")
            later = progress_of(base.head).compared_to(entry.progress) > 0
            if later and not any(is_same(last, one) for one in trajectory(record)):
                change = await self._updater.fold(entry.session_id, base, todo) if todo else None
                return spliced(archived.raw, change) if change is not None else archived.raw
        earlier, raw = restored(record, entry.home or 0, known)
        if earlier and self._trimmed is not None:
            for run in earlier:
                await self._trimmed.keep(entry.session_id, as_text(record.document.get("agent_id")), run)
        return raw

    async def _finish(self, entry: Entry, record: Base) -> None:
        """What follows once all actions are in Redis: the mapping; or the rest of the end, but for the archiving."""
        agent_id, actions = as_text(record.document.get("agent_id")), trajectory(record)
        if not is_end(actions[-1] if actions else None):
            if agent_id is not None:
                await self._map(agent_id, entry.session_id, record)
            return
        if agent_id is not None:
            await self._earlier.ended(agent_id, entry.session_id)
            await self._store.get_or_create.delete_mapping(agent_id, entry.session_id)
        if self._open_archive() is not None:
            self._ended[entry.session_id] = None

    async def _map(self, agent_id: str, session_id: str, record: Base) -> None:
        """Map an agent to a session, unless it has gone on with another one, in Redis or in the journal."""
        try:
            mapped = await self._store.agent_session(agent_id)
        except InvalidData:
            return
        if mapped is not None and mapped.session_id == session_id:
            return
        if await self._journal.session_of(agent_id) not in (session_id, None):
            return
        if mapped is not None:
            for other in await self._store.list([mapped.session_id]):
                if other.error is None and updated_ms(other.head) > updated_ms(record.head):
                    return
            await self._store.get_or_create.delete_mapping(agent_id, mapped.session_id)
        stored = await self._store.read(session_id)
        if stored is not None:
            with suppress(Refused):  # an update came in between: the next request finds or creates the mapping
                await self._store.restore(session_id, agent_id, stored.raw)

    async def _set_aside(self, entry: Entry, ops: Sequence[Any], reason: str) -> None:
        """Keep those of the actions aside that are from the journal, and warn about them."""
        kept = [one for one in ops if op_id_of(one) is not None]
        if kept:
            await self._journal.set_aside(entry, kept, reason)
            log.error(
                "%s: %d journaled actions cannot be applied in %s and are kept aside (`awictl doctor`): %s",
                entry.session_id,
                len(kept),
                self._store.where,
                reason,
            )


def _has_ended(archived: Archived, entry: Entry) -> bool:
    """Whether a session has ended by what the archive has, and did not go on afterwards."""
    if archived.raw is None:
        return True
    if archived.summary.state is not ArchivedState.ENDED:
        return False
    return progress_of(decode(archived.raw)).compared_to(entry.progress) >= 0


def _diff_of(ops: Sequence[Any]) -> tuple[bytes, int] | None:
    """The last delta of a session, as it is stored in Redis, and its TTL; None if nothing was journaled."""
    if not ops or is_end(ops[-1]):
        return None
    return dumps({"delta": ops[-1].get("delta"), "action": ops[-1]}), keys.DIFF_TTL_SECONDS * 1000
