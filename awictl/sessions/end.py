"""How sessions end, and come back: promise 4 of DESIGN.

An end has three steps, and each may be the last before a crash. The session is marked: its last action is
`session_end`, and it does not expire any more. It is archived and read back. It is deleted, if it is still what was
archived. A session that is marked and still there is one whose end has to be finished, here or by a sweep.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ..archive.base import Archive, Archived, app_document_read_only
from ..archive.transfer import Transfer, Transferred
from ..document.schema import Update, as_object, ending, has_ended, optional_timestamp
from ..errors import AwiError, InvalidData, NotFound, UpdateConflict
from ..store.base import DeleteOutcome, Listed, SessionStore, lives_there, no_session
from .update import RETRY_SECONDS, Updater


@dataclass(frozen=True)
class Ended:
    """A session that has ended."""

    session_id: str
    agent_id: str | None
    #: When, as recorded; None where it expired, or was lost on purpose.
    ended_at: str | None
    #: The actions in its trajectory; None where they are not known.
    actions: int | None
    #: The archive that it is in; None where it was lost on purpose.
    archive: str | None

    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        return dict(vars(self))


class Endings:
    """Ends sessions of a store, and brings them back."""

    def __init__(self, store: SessionStore, updater: Updater, archive: Archive) -> None:
        self._store = store
        self._updater = updater
        self._archive = archive
        self._transfer = Transfer(store, archive)

    async def end(self, session_id: str) -> Ended:
        """End a session; where it is marked or archived already, do what is left. Raises NotFound, Unreachable …"""
        clock = asyncio.get_running_loop().time
        deadline = clock() + RETRY_SECONDS
        while True:
            found = await _archivable(self._store, session_id)
            if found is None:
                return await self._ended_before(session_id)
            await _mark(self._updater, found, keep=True)
            try:
                kept = (await self._transfer.archive_and_delete([session_id])).get(session_id)
                if isinstance(kept, AwiError):
                    raise kept
            except AwiError as error:
                raise type(error)(
                    f"{error}. {session_id} stays in Redis, marked as ended, and does not expire: "
                    "end it again later, or let `awictl archive sweep` do it"
                ) from error
            if kept is None:
                return await self._ended_before(session_id)
            if kept.deleted:
                return self._ended(kept)
            # the agent did something after the end: so this was not the end
            if clock() > deadline:
                raise UpdateConflict(f"{self._store.where}: the agent goes on in {session_id}: it was not ended")

    async def restore(self, session_id: str, *, dry_run: bool = False) -> tuple[Archived, str | None]:
        """Put an archived session back. Returns it, and the session that its agent is in then (in a dry run: now)."""
        found = await self._archive.load(session_id)
        if found is None:
            raise not_archived(session_id, self._archive)
        if found.raw is None:
            raise app_document_read_only(session_id, self._archive.where)
        agent_id = found.document.get("agent_id")
        agent_id = agent_id if isinstance(agent_id, str) else None
        if not dry_run:
            return found, await self._store.restore(session_id, agent_id, found.raw)
        if await self._store.lifetimes([session_id]):
            raise lives_there(session_id, self._store.where)
        mapped = await self._store.agent_session(agent_id) if agent_id is not None else None
        return found, mapped.session_id if mapped is not None else None

    async def _ended_before(self, session_id: str) -> Ended:
        """The end of a session that is not in the store, from the archive."""
        archived = await self._archive.load(session_id)
        if archived is None:
            raise no_session(session_id, self._store.where, self._archive.where)
        if archived.raw is None:
            raise app_document_read_only(session_id, self._archive.where)
        summary = archived.summary
        return Ended(
            session_id,
            summary.agent_id,
            optional_timestamp(summary.ended_at),
            len(archived.document["history"]["actions"]),
            self._archive.where,
        )

    def _ended(self, kept: Transferred) -> Ended:
        snapshot = kept.snapshot
        ended_at = optional_timestamp(snapshot.ended_at)
        return Ended(snapshot.session_id, snapshot.agent_id, ended_at, len(snapshot.actions), self._archive.where)


async def record_end(store: SessionStore, updater: Updater, session_id: str, *, keep: bool) -> None:
    """Record the end of a session, which stays in the store. Raises NotFound, InvalidData.

    `keep`: it does not expire any more, since it waits to be archived.
    """
    found = await _archivable(store, session_id)
    if found is None:
        raise no_session(session_id, store.where)
    await _mark(updater, found, keep=keep)


async def _archivable(store: SessionStore, session_id: str) -> Listed | None:
    """What is there of a session; None where it is not. Raises InvalidData where it could not be archived."""
    found = next(iter(await store.list([session_id])), None)
    if found is None:
        return None
    if found.error is not None:
        await store.read(session_id)  # raises TooLarge where it is only that
        raise InvalidData(f"{store.where}: {session_id} cannot be archived: {found.error}")
    if found.head.get("session_id", session_id) != session_id:
        raise InvalidData(
            f"{store.where}: {session_id} cannot be archived: its document says that it is another session"
        )
    return found


async def _mark(updater: Updater, listed: Listed, *, keep: bool) -> None:
    """Record the end of a session, unless that was done before."""
    last = _last_action(listed.head)
    if has_ended(listed.head) and (listed.ttl_ms is None or not keep):
        return
    update = ending(keep=keep)

    def build(head: dict[str, Any]) -> Update:
        if has_ended(head) and _last_action(head) != last:
            raise _MarkedByOthers
        return update

    try:
        await updater.run(listed.session_id, build, update.op_id, look_for_op_id=False)
    except _MarkedByOthers:
        return


async def discard(store: SessionStore, session_id: str) -> Ended:
    """Delete a session without archiving it. Raises NotFound."""
    listed = next(iter(await store.list([session_id])), None)
    agent_id = listed.head.get("agent_id") if listed is not None else None
    agent_id = agent_id if isinstance(agent_id, str) else None
    if listed is None or await store.delete(session_id, agent_id, None) is DeleteOutcome.GONE:
        raise no_session(session_id, store.where)
    return Ended(session_id, agent_id, None, listed.actions, None)


def not_archived(session_id: str, archive: Archive) -> NotFound:
    """The error for a session that is not in the archive."""
    return NotFound(f"there is no session {session_id} in {archive.where}")


class _MarkedByOthers(Exception):
    """Somebody else has recorded the end meanwhile."""


def _last_action(head: dict[str, Any]) -> Any:
    return as_object(head.get("history")).get("last_action")
