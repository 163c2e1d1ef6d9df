"""Import the sessions of a file that `session export` wrote: live ones become live again, others go into the archive.

A session is written only after it was read and checked as a whole. First its earlier actions are archived, then the
session itself is stored, in one step. So an import that was interrupted is completed by importing the file again: what
is there with the same content is taken for done.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, UnsetType

from ...archive.base import Archive, Archived, GoneSession
from ...archive.chunks import Chunk, chunks_of
from ...archive.connect import required
from ...archive.decision import ArchivedState, ArchivedVersion
from ...archive.snapshot import Snapshot
from ...document.action_numbers import first_ordinal, t_of
from ...document.byte_layout import decode
from ...document.history.fork import with_earlier_origin
from ...document.json_codec import dumps, json_equal
from ...document.keys import MIN_TTL_MS
from ...document.schema import FORKED_FROM, as_object
from ...document.timestamps import parse_timestamp
from ...errors import AwiError, InvalidData, Refused, TooLarge
from ...settings import Settings
from ...store.base import SessionStore
from ...util.daemon_thread import in_daemon_thread
from ..find import OpenArchive
from .reader import ExportReader, ReadSession, stored_string

#: Maximum number of sessions that are imported at the same time, and from how many bytes on no further one is added.
_AT_ONCE, _AT_ONCE_BYTES = 16, 1_048_576
#: What was done with a session.
IMPORTED, ALREADY, WOULD = "imported", "already there", "would be imported"


@dataclass(frozen=True)
class Imported:
    """What became of a session in a file."""

    #: Its id in the file, and where it is now.
    original_id: str
    session_id: str
    #: live or archived.
    where: str
    actions: int
    #: What was done: "imported", "already there" with the same content, or "would be imported".
    outcome: str
    #: The session that its agent is mapped to, if it is a live one.
    agent_session: str | None = None

    def row(self) -> dict[str, Any]:
        """The fields as a dict."""
        return dict(vars(self))


class SessionImports:
    """Imports sessions into a store and an archive."""

    def __init__(self, store: SessionStore, open_archive: OpenArchive, settings: Settings) -> None:
        self._store = store
        self._open_archive = open_archive
        self._settings = settings

    async def import_file(
        self, read: Callable[[int], bytes], name: str, *, as_new: bool = False, dry_run: bool = False
    ) -> AsyncGenerator[Imported | AwiError, None]:
        """Import the sessions of a file one by one. Yields what became of each, or why it was not imported.

        `read`: blocks and returns at most so many bytes, none at the end. `as_new`: give them new ids, and record where
        they are from. Importing a file again gives them the same ids. `dry_run`: only check. Raises InvalidData at the
        first line that is not valid, which it names; Unreachable.
        """
        if not dry_run:
            self._settings.check_writable()
        reader = ExportReader(read, name, self._settings.max_document_bytes)
        await in_daemon_thread(reader.header)
        sessions = reader.sessions_in_file()
        invalid: InvalidData | None = None
        while invalid is None:
            batch, invalid = await in_daemon_thread(lambda: _some(sessions, reader, as_new=as_new))
            if not batch:
                break
            imports = [self._import(one, reader, dry_run) for one in batch]
            batch.clear()  # a session is not kept longer than it takes to import it
            found = await asyncio.gather(*imports, return_exceptions=True)
            for outcome in found:
                if isinstance(outcome, BaseException) and not isinstance(outcome, (Refused, InvalidData)):
                    raise outcome
                yield outcome
        if invalid is not None:
            raise invalid

    async def _import(self, session: ReadSession, reader: ExportReader, dry_run: bool) -> Imported:
        line = session.line
        raw = await in_daemon_thread(lambda: stored_string(line.document))
        self._check_size(line.session, raw)
        session = session.with_document(None)
        try:
            snapshot = replace(
                Snapshot.parse(line.session, raw),
                first_ordinal=line.first,
                unknown_gaps=tuple(first for first, last in line.gaps if last is None),
                overwritten=sum(step.overwritten for step, _ in session.steps),
            )
        except InvalidData as error:
            raise reader.error(str(error), session.number) from None
        session = session.with_document(snapshot.document)
        archive = self._open_archive()
        if line.where == "live":
            return await self._import_live(session, snapshot, archive, dry_run)
        return await self._import_archived(session, snapshot, required(archive), dry_run)

    def _check_size(self, session_id: str, raw: bytes) -> None:
        if len(raw) > self._settings.max_document_bytes:
            raise TooLarge(f"{session_id} has {len(raw):,} bytes, which is more than AWI_MAX_DOCUMENT_BYTES")

    async def _import_live(
        self, session: ReadSession, snapshot: Snapshot, archive: Archive | None, dry_run: bool
    ) -> Imported:
        line = session.line
        if await self._is_live(session, snapshot):
            return _imported(session, ALREADY)
        await _in_archive(session, snapshot, archive)
        chunks = _chunks(session)
        if chunks and archive is None:
            snapshot, chunks = self._with_earlier(session, snapshot), []
        if dry_run:
            return _imported(session, WOULD)
        if archive is not None:
            await _save_chunks(archive, snapshot, chunks)
            if snapshot.unknown_gaps or snapshot.first_ordinal != first_ordinal(snapshot.document):
                await _save(archive, snapshot)  # its own numbers do not tell which actions it has
        agent, diff = line.keys.agent, line.keys.diff
        delta: tuple[bytes, int] | None = None
        if not isinstance(diff, UnsetType) and diff.ttl_ms is not None and diff.ttl_ms > 0:
            delta = dumps(diff.value), diff.ttl_ms
        mapped_id = await self._store.put(
            line.session,
            agent.agent_id if agent is not UNSET else None,
            snapshot.raw,
            self._ttl(line.keys.session.ttl_ms if line.keys.session is not UNSET else UNSET),
            delta,
        )
        return _imported(session, IMPORTED, mapped_id)

    def _ttl(self, ttl_ms: Any) -> int | None:
        """The TTL to set, in milliseconds: the usual one if none is known, or it has expired."""
        usual = self._settings.session_ttl_ms
        return usual if ttl_ms is UNSET or (ttl_ms is not None and ttl_ms < MIN_TTL_MS) else ttl_ms

    async def _is_live(self, session: ReadSession, snapshot: Snapshot) -> bool:
        """Whether a session is live with the same content. Raises Refused if it is with another one."""
        session_id, where = snapshot.session_id, self._store.where
        stored = await self._store.read(session_id)
        if stored is None:
            if await self._store.endings.taken(session_id):
                raise _taken(session, where, "is being ended there")
            return False
        if _is_same(stored.raw, snapshot):
            return True
        raise _taken(session, where, "is live there, and not the same")

    def _with_earlier(self, session: ReadSession, snapshot: Snapshot) -> Snapshot:
        """The session with its earlier actions in its document, since there is no archive. Raises Refused."""
        steps, line = [step for step, _ in session.steps], session.line
        ordinals = [step.ordinal for step in steps]
        first = ordinals[0]
        fits = len(steps) <= self._settings.max_actions and ordinals == list(range(first, first + len(steps)))
        if not fits or any(step.overwritten for step in steps) or first != min(t_of(steps[0].action) or 0, first):
            raise Refused(
                f"{line.session} has {line.archived:,} actions that belong into an archive, and none is configured: "
                "set MONGODB_URI or AWI_ARCHIVE_URL, or give --archive URL"
            )
        history = {name: value for name, value in line.document["history"].items() if name != "trimmed_actions"}
        history |= {"actions": [step.action for step in steps]} | ({"trimmed_actions": first} if first else {})
        raw = stored_string({**line.document, "history": history})
        self._check_size(line.session, raw)
        return Snapshot.parse(line.session, raw)

    async def _import_archived(
        self, session: ReadSession, snapshot: Snapshot, archive: Archive, dry_run: bool
    ) -> Imported:
        line = session.line
        if await self._is_live(session, snapshot):
            raise _taken(session, self._store.where, "is live there")
        archived = await _in_archive(session, snapshot, archive)
        state = ArchivedState(line.state)
        if not dry_run and archived is None:
            await _save_chunks(archive, snapshot, _chunks(session))
            await _save(archive, snapshot)
        present = archived.summary.state if archived is not None else None
        if not dry_run and state not in (present, ArchivedState.ENDED if snapshot.ended else ArchivedState.LIVE):
            version = _version(snapshot)
            await archive.mark_gone([GoneSession(version, state, parse_timestamp(line.ended_at))])
        return _imported(session, ALREADY if archived is not None else WOULD if dry_run else IMPORTED)


def _some(
    sessions: Iterator[ReadSession], reader: ExportReader, *, as_new: bool
) -> tuple[list[ReadSession], InvalidData | None]:
    """Read some sessions to be imported together, and why no more can be read; none at the end of the file."""
    found: list[ReadSession] = []
    start = reader.complete_bytes
    try:
        while len(found) < _AT_ONCE and reader.complete_bytes - start < _AT_ONCE_BYTES:
            session = next(sessions, None)
            if session is None:
                break
            found.append(_renamed(session) if as_new else session)
    except InvalidData as error:
        return found, error
    return found, None


async def _in_archive(session: ReadSession, snapshot: Snapshot, archive: Archive | None) -> Archived | None:
    """A session from the archive; None if it is not there. Raises Refused if it is there with another content."""
    archived = await archive.load(snapshot.session_id) if archive is not None else None
    if archive is not None and archived is not None and not _is_same(archived.raw, snapshot):
        raise _taken(session, archive.where, "is archived there, and not the same")
    return archived


def _taken(session: ReadSession, where: str, what: str) -> Refused:
    """The error for a session whose id is taken by another one, or by another version of it."""
    session_id = session.line.session
    advice = "--as-new imports it under a new id"
    if session_id != session.original_id:
        advice = f"it was imported before; `awictl session fork {session_id} --at T` copies it as it was"
    return Refused(f"{where}: {session_id} {what}; nothing was overwritten; {advice}")


def _is_same(raw: bytes | None, snapshot: Snapshot) -> bool:
    """Whether stored bytes have the content of a session."""
    try:
        return raw is not None and (raw == snapshot.raw or json_equal(decode(raw), snapshot.document))
    except InvalidData:
        return False


def _chunks(session: ReadSession) -> list[Chunk]:
    """The actions that only the archive has."""
    return chunks_of((place, step) for place, (step, is_archived) in enumerate(session.steps) if is_archived)


async def _save_chunks(archive: Archive, snapshot: Snapshot, chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        await archive.save_trimmed_actions(snapshot.session_id, snapshot.mapped_agent_id, chunk)


async def _save(archive: Archive, snapshot: Snapshot) -> None:
    error = (await archive.save([snapshot]))[snapshot.session_id]
    if error is not None:
        raise error


def _version(snapshot: Snapshot) -> ArchivedVersion:
    """The version of a session that was just saved."""
    return ArchivedVersion(
        snapshot.session_id,
        snapshot.digest,
        snapshot.revision,
        snapshot.agent_id,
        snapshot.started_at,
        ArchivedState.LIVE,
        None,
    )


def _renamed(session: ReadSession) -> ReadSession:
    """A session under a new id, which depends on its content: importing it again gives the same one.

    No agent is mapped to it: its next request would go on in the copy.
    """
    line = session.line
    digest = hashlib.sha256(dumps([line.document, line.first, line.archived])).hexdigest()
    last = session.steps[-1][0] if session.steps else None
    origin = {
        "session_id": line.session,
        "t": as_object(last.action).get("t") if last is not None else None,
        "ordinal": last.ordinal if last is not None else None,
    }
    new_id = f"sess_{digest[:32]}"
    line.keys.agent = UNSET
    document = {**line.document, FORKED_FROM: with_earlier_origin(origin, line.document)}
    if "session_id" in document:
        document["session_id"] = new_id
    history = document.pop("history")
    line.session, line.document = new_id, {**document, "history": history}
    return session


def _imported(session: ReadSession, outcome: str, agent_session: str | None = None) -> Imported:
    line = session.line
    return Imported(session.original_id, line.session, line.where, len(session.steps), outcome, agent_session)
