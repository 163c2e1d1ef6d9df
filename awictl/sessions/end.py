"""End sessions and restore them: promise 4 of DESIGN.

Ending a session has three steps, and a crash may follow any of them:

1. Take it away from its agent and record `session_end` as its last action (see `taking`).
2. Archive it and read it back.
3. Delete what was taken.

A session that was taken but not archived is finished by ending it again, or by `finish_taken`, which `archive sweep`
runs. If it cannot be archived, it is put back, marked as ended and without a TTL. So is a session whose end is only
recorded (`record`). Ending it again, or a sweep, archives and deletes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..archive.base import Archive, Archived, app_document_read_only
from ..archive.connect import required
from ..archive.decision import Outdated
from ..archive.transfer import MAX_ARCHIVE_ATTEMPTS, Transfer, Transferred
from ..document import keys
from ..document.schema import OTHER_ID_REMEDY, as_object, as_text, has_ended
from ..document.timestamps import optional_timestamp
from ..document.update import Update, ending
from ..errors import AwiError, InvalidData, NotFound, Refused, Unreachable, UpdateConflict, as_awi_error
from ..store.base import DeleteOutcome, Listed, SessionStore, Stored
from ..store.errors import already_live, no_session
from .find import OpenArchive
from .taking import Taking
from .update import Updater

#: Seconds after which an end gives up if the agent keeps writing the session back.
DEADLINE_SECONDS = 1.0
#: Number of versions of a session that are looked at before `end_if` gives up, because its agent keeps changing it.
MAX_VERSIONS = 8
#: What an operator can do without an archive.
DISCARD_HINT = "to end a session and lose it for good, `awictl session end --discard --yes`"


@dataclass(frozen=True)
class Ended:
    """The outcome of ending a session."""

    session_id: str
    agent_id: str | None
    #: Timestamp of the recorded end; None if it expired or was discarded.
    ended_at: str | None
    #: Number of actions in its trajectory; None if unknown.
    actions: int | None
    #: The archive that holds it; None if it was discarded.
    archive: str | None

    def row(self) -> dict[str, Any]:
        """The fields as a dict."""
        return dict(vars(self))


class SessionEndings:
    """Ends the sessions of a store and restores them from the archive."""

    def __init__(self, store: SessionStore, updater: Updater, open_archive: OpenArchive) -> None:
        self._store = store
        self._updater = updater
        self._open_archive = open_archive

    async def end(self, session_id: str) -> Ended:
        """End a session: take it, archive it, delete it. Steps that are already done are skipped.

        Raises NotFound, Refused (no archive, or it holds something else under this id), Unreachable, UpdateConflict.
        """
        keys.check_session_id(session_id)
        archive = self._required_archive()
        await self._check_archivable(session_id)
        return await self._finish(session_id, archive)

    async def end_if(self, session_id: str, matches: Callable[[Stored], bool]) -> Ended | None:
        """End a session like `end` if the version that is taken matches; None if not, or if it is not live any more."""
        archive = self._required_archive()
        for _ in range(MAX_VERSIONS):
            stored = await self._store.read(keys.check_session_id(session_id))
            if stored is None or not matches(stored):
                return None
            await self._check_archivable(session_id)
            if (await self._store.endings.take(session_id, stored.raw)).value:  # also if its reply was lost at first
                return await self._finish(session_id, archive)
        raise _keeps_changing(session_id, self._store.where)

    async def discard_if(self, session_id: str, matches: Callable[[Stored], bool]) -> Ended | None:
        """Delete a session like `discard` if the version that is deleted matches; None if not, or if it is gone."""
        for _ in range(MAX_VERSIONS):
            stored = await self._store.read(keys.check_session_id(session_id))
            if stored is None or not matches(stored):
                return None
            listed = next(iter(await self._store.list([session_id])), None)
            agent_id = as_text(listed.head.get("agent_id")) if listed is not None else None
            outcome = await self._store.delete(session_id, agent_id, stored.raw)
            if outcome is DeleteOutcome.DELETED:
                return Ended(session_id, agent_id, None, listed.actions if listed is not None else None, None)
            if outcome is DeleteOutcome.GONE:
                return None
        raise _keeps_changing(session_id, self._store.where)

    async def finish_taken(self) -> dict[str, Ended | AwiError]:
        """Finish the ends that were interrupted after the session was taken. Returns the outcome of each.

        Stops if the archive cannot be reached. Raises the errors of the store, and Refused without an archive.
        """
        outcomes: dict[str, Ended | AwiError] = {}
        for session_id in await self._store.endings.ids():
            try:
                outcomes[session_id] = await self._finish(session_id, self._required_archive())
            except AwiError as error:
                outcomes[session_id] = error
                if isinstance(error, Unreachable):
                    break
        return outcomes

    async def _finish(self, session_id: str, archive: Archive) -> Ended:
        taking = Taking(self._store, self._updater, session_id)
        transfer = Transfer(self._store, archive)
        clock = asyncio.get_running_loop().time
        deadline = clock() + DEADLINE_SECONDS
        while True:
            taken = await taking.ended()
            if taken is None:
                return await self._already_ended(session_id, archive)
            try:
                kept = await self._archived(transfer, session_id, taken)
            except BaseException as failure:
                await self._put_back(session_id, taken, failure)
                raise
            if kept is None:
                continue
            agent_id = kept.snapshot.mapped_agent_id
            if await self._store.endings.finish(session_id, agent_id, taken):
                await transfer.publish([session_id])
                return _ended(kept, archive)
            if clock() > deadline:
                raise UpdateConflict(
                    f"{self._store.where}: {session_id} was ended and archived, but its agent keeps writing it back; "
                    "stop the agent, and end the session again"
                )

    async def _archived(self, transfer: Transfer, session_id: str, taken: bytes) -> Transferred | None:
        """Archive what was taken of a session; None if another process takes care of it."""
        newer_than = ""
        for _ in range(MAX_ARCHIVE_ATTEMPTS):
            try:
                return await transfer.archive_string(session_id, taken, newer_than)
            except Outdated as error:
                if await self._store.endings.taken(session_id) != taken:
                    return None
                newer_than, outdated = error.digest, error
        raise outdated

    async def _check_archivable(self, session_id: str) -> None:
        """Raise TooLarge or InvalidData if a session could not be archived: then it must not be taken either."""
        try:
            base = await self._store.read_base(session_id, full=True)
        except InvalidData as error:
            raise InvalidData(f"{session_id} cannot be archived: {error}") from error
        if base is not None:
            _check_id(session_id, base.document, self._store.where)

    async def _put_back(self, session_id: str, taken: bytes, failure: BaseException) -> None:
        """Make a session that could not be archived a session again. Raises the failure, with that in its message."""
        try:
            put_back = await self._store.endings.put_back(session_id, taken, None)
        except AwiError:
            put_back = False
        if isinstance(failure, Exception):
            error = as_awi_error(failure)
            stays = f"stays in {self._store.name}, marked as ended and without a TTL"
            if not put_back:
                stays = f"is kept in {keys.ENDING_KEY if self._store.name == 'Redis' else self._store.name}"
            error.args = (f"{error}. {session_id} {stays}: end it again later, or run `awictl archive sweep`",)
            raise error

    async def record(self, session_id: str) -> None:
        """Record the end of a session, which stays in the store. Raises NotFound, InvalidData.

        With an archive, it loses its TTL until it is archived.
        """
        found = await _archivable(self._store, keys.check_session_id(session_id))
        if found is None:
            raise no_session(session_id, self._store.where)
        await _mark(self._updater, found, keep=self._open_archive() is not None)

    async def discard(self, session_id: str) -> Ended:
        """Delete a session without archiving it. Raises NotFound."""
        listed = next(iter(await self._store.list([keys.check_session_id(session_id)])), None)
        if listed is None and await self._store.endings.put_back(
            session_id, await self._store.endings.taken(session_id), None
        ):
            listed = next(iter(await self._store.list([session_id])), None)
        agent_id = as_text(listed.head.get("agent_id")) if listed is not None else None
        if listed is None or await self._store.delete(session_id, agent_id, None) is DeleteOutcome.GONE:
            raise no_session(session_id, self._store.where)
        return Ended(session_id, agent_id, None, listed.actions, None)

    async def restore(self, session_id: str, *, dry_run: bool = False) -> tuple[Archived, str | None]:
        """Make an archived session live again, unless it is already. Returns it and its agent's session afterwards.

        `dry_run`: only check that it would work; returns the session that the agent is mapped to now.
        """
        keys.check_session_id(session_id)
        archive = required(self._open_archive())
        await archive.check_exists()
        found = await archive.load(session_id)
        if found is None:
            raise not_archived(session_id, archive)
        if found.raw is None:
            raise app_document_read_only(session_id, archive.where)
        agent_id = as_text(found.document.get("agent_id"))
        if await self._store.endings.taken(session_id):
            raise Refused(
                f"{self._store.where}: {session_id} is being ended; run `awictl session end {session_id}` first"
            )
        if not dry_run:
            await archive.withdraw([session_id])  # the app could not save its own document beside it
            mapped_id = await self._store.restore(session_id, agent_id, found.raw)
            await archive.withdraw([session_id])  # a sweep may have published it again in between
            return found, mapped_id
        for listed in await self._store.list([session_id]):
            live = await self._store.read(session_id) if listed.error is None else None
            if live is None or live.raw != found.raw:
                raise already_live(session_id, self._store.where)
        mapped = await self._store.agent_session(agent_id) if agent_id is not None else None
        return found, mapped.session_id if mapped is not None else None

    def _required_archive(self) -> Archive:
        return required(self._open_archive(), f"; {DISCARD_HINT}")

    async def _already_ended(self, session_id: str, archive: Archive) -> Ended:
        """The outcome for a session that is no longer in the store, from the archive."""
        archived = await archive.load(session_id)
        if archived is None:
            raise no_session(session_id, self._store.where, archive.where)
        if archived.raw is None:
            raise app_document_read_only(session_id, archive.where)
        summary = archived.summary
        return Ended(
            session_id,
            summary.agent_id,
            optional_timestamp(summary.ended_at),
            len(archived.document["history"]["actions"]),
            archive.where,
        )


def _ended(kept: Transferred, archive: Archive) -> Ended:
    snapshot = kept.snapshot
    ended_at = optional_timestamp(snapshot.ended_at)
    return Ended(snapshot.session_id, snapshot.agent_id, ended_at, snapshot.length, archive.where)


async def _archivable(store: SessionStore, session_id: str) -> Listed | None:
    """The session as listed; None if it is not in the store. Raises InvalidData if it could not be archived."""
    found = next(iter(await store.list([session_id])), None)
    if found is None:
        return None
    if found.error is not None:
        await store.read(session_id)  # raises TooLarge if that is the reason
        raise InvalidData(f"{store.where}: {session_id} cannot be archived: {found.error}")
    _check_id(session_id, found.head, store.where)
    return found


def _check_id(session_id: str, document: dict[str, Any], where: str) -> None:
    """Raise InvalidData if the document in a session's key says that it is another session."""
    stored = document.get("session_id", session_id)
    if stored != session_id:
        raise InvalidData(
            f"{where}: {session_id} cannot be archived: its document has another session_id ({stored!a:.80}); "
            + OTHER_ID_REMEDY.replace("ID", session_id)
        )


async def _mark(updater: Updater, listed: Listed, *, keep: bool) -> None:
    """Record the end of a session, unless that was done before. `keep`: remove its TTL."""
    last = _last_action(listed.head)
    if has_ended(listed.head) and (listed.ttl_ms is None or not keep):
        return
    update = ending(persist=keep)

    def build(head: dict[str, Any]) -> Update:
        if has_ended(head) and _last_action(head) != last:
            raise _MarkedByOthers
        return update

    try:
        await updater.run(listed.session_id, build, update.op_id, look_for_op_id=False, whole=True)
    except _MarkedByOthers:
        return


def _keeps_changing(session_id: str, where: str) -> UpdateConflict:
    return UpdateConflict(f"{where}: {session_id} keeps changing, so it was not ended; run the command again")


def not_archived(session_id: str, archive: Archive) -> NotFound:
    """The error for a session that the archive does not have."""
    return NotFound(f"there is no session {session_id} in {archive.where}")


class _MarkedByOthers(Exception):
    """Another client recorded the end in the meantime."""


def _last_action(head: dict[str, Any]) -> Any:
    return as_object(head.get("history")).get("last_action")
