"""End sessions and restore them: promise 4 of DESIGN.

Ending a session has three steps, and a crash may follow any of them:

1. Mark: record `session_end` as the last action and remove the TTL.
2. Archive the session and read it back.
3. Delete it from the store if it is still what was archived.

A session that is marked but still in the store is finished by ending it again, or by a sweep.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ..archive.base import Archive, Archived, app_document_read_only
from ..archive.connect import required
from ..archive.transfer import Transfer, Transferred
from ..document import keys
from ..document.schema import as_object, as_text, has_ended
from ..document.timestamps import optional_timestamp
from ..document.update import Update, ending
from ..errors import AwiError, InvalidData, NotFound, UpdateConflict, as_awi_error
from ..store.base import DeleteOutcome, Listed, SessionStore
from ..store.errors import already_live, no_session
from .fallback import OpenArchive
from .update import RETRY_SECONDS, Updater

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
        """End a session: mark, archive, delete. Steps that are already done are skipped.

        Raises NotFound, Refused (no archive, or it holds something else under this id), Unreachable, UpdateConflict.
        """
        keys.check_session_id(session_id)
        archive = self._required_archive()
        transfer = Transfer(self._store, archive)
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETRY_SECONDS
        again = False
        while True:
            found = await _archivable(self._store, session_id)
            if found is None:
                return await self._already_ended(session_id, archive)
            await _mark(self._updater, found, keep=True, again=again)
            try:
                kept = (await transfer.archive_and_delete([session_id])).get(session_id)
                if isinstance(kept, AwiError):
                    raise kept
            except Exception as failure:
                error = as_awi_error(failure)
                raise type(error)(
                    f"{error}. {session_id} stays in Redis, marked as ended and without a TTL: "
                    "end it again later, or run `awictl archive sweep`"
                ) from failure
            if kept is None:
                return await self._already_ended(session_id, archive)
            if kept.deleted:
                return _ended(kept, archive)
            # The agent acted after the end was recorded: record it again. That is necessary, too, if only the head
            # says that the session has ended.
            again = not kept.snapshot.ended
            if clock() > deadline:
                raise UpdateConflict(
                    f"{self._store.where}: the agent keeps updating {session_id}, so it was not ended; try again"
                )

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
        if not dry_run:
            await archive.withdraw([session_id])  # the app could not save its own document beside it
            return found, await self._store.restore(session_id, agent_id, found.raw)
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
    if found.head.get("session_id", session_id) != session_id:
        raise InvalidData(f"{store.where}: {session_id} cannot be archived: its document has another session_id")
    return found


async def _mark(updater: Updater, listed: Listed, *, keep: bool, again: bool = False) -> None:
    """Record the end of a session, unless that was done before. `keep`: remove its TTL. `again`: record it anyway."""
    last = _last_action(listed.head)
    if has_ended(listed.head) and (listed.ttl_ms is None or not keep) and not again:
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


def not_archived(session_id: str, archive: Archive) -> NotFound:
    """The error for a session that the archive does not have."""
    return NotFound(f"there is no session {session_id} in {archive.where}")


class _MarkedByOthers(Exception):
    """Another client recorded the end in the meantime."""


def _last_action(head: dict[str, Any]) -> Any:
    return as_object(head.get("history")).get("last_action")
