"""Verify sessions, live and archived: does the history explain the state, and is the archived copy equal?

Reads only. Sessions are read in batches, each session once: first its archived copy and its last delta, then itself, so
that it is at least as new as they are. One with differences is read again before they are reported: it may have been
ended or moved between the requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

from ..archive.pace import Pace
from ..document import keys
from ..document.action_numbers import first_ordinal, required_actions
from ..document.byte_layout import decode
from ..document.history.partial_state import ABSENT
from ..document.history.timeline import Step
from ..document.json_codec import loads
from ..document.schema import as_text
from ..document.verification.discrepancy import DamageKind, Discrepancy, Verification
from ..document.verification.verify import NO_DIFF, verify
from ..errors import AwiError, InvalidData, NotFound
from ..store.base import SessionStore, Stored
from ..store.errors import no_session
from ..util.batched import batched, batched_by_bytes
from ..util.fewer_collections import fewer_collections
from ..util.fingerprint_set import FingerprintSet
from ..util.prefetch import prefetch
from .find import OpenArchive, find

if TYPE_CHECKING:
    from ..archive.base import Archive, Archived

#: Maximum number and size in bytes of the sessions that are read at the same time.
BATCH_SESSIONS = 100
BATCH_BYTES = 4_194_304
#: Other tasks run after at most so many seconds of verifying.
PAUSE_SECONDS = 0.02
#: Size of the largest AWI:DIFF that is compared, in bytes.
_DIFF_BYTES = 32_768
#: Number of sessions whose sizes are read in one request.
_SIZES = 500


class Verified(NamedTuple):
    """A session that was verified."""

    session_id: str
    #: Where it is: live, archived, or both.
    where: str
    #: Number of actions in its trajectory.
    actions: int | None
    #: What is wrong with it.
    differences: Sequence[Discrepancy]
    #: What is remarkable, but as it should be.
    notes: Sequence[str]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.differences

    def row(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "session_id": self.session_id,
            "where": self.where,
            "actions": self.actions,
            "sound": self.is_sound,
            "differences": [one.row() for one in self.differences],
            "notes": list(self.notes),
        }


class _Read(NamedTuple):
    """What was read of a session."""

    stored: Stored | AwiError | None
    archived: Archived | AwiError | None
    diff: bytes | None = None
    #: The whole trajectory, if only the trimmed actions of the session are archived.
    steps: Sequence[Step] | None = None


class SessionVerifier:
    """Verifies sessions. Raises Unreachable if the store, or the archive, cannot be reached."""

    def __init__(self, store: SessionStore, open_archive: OpenArchive) -> None:
        self._store = store
        self._open_archive = open_archive
        self._pause_at = 0.0

    async def verify(self, session_id: str) -> Verified:
        """Verify a session. Raises NotFound if it is neither live nor archived."""
        [verified] = await self.verify_many([keys.check_session_id(session_id)])
        if isinstance(verified, AwiError):
            raise verified
        return verified

    async def verify_many(self, session_ids: Sequence[str]) -> list[Verified | AwiError]:
        """Verify sessions, at most some hundred; in place of one that does not exist, its NotFound."""
        found: list[Verified | AwiError] = []
        for some in batched(session_ids, _SIZES):
            async for batch in self._sized(some):
                for session_id, read in (await self._read(batch)).items():
                    found.append(await self._verified(session_id, read))
        return found

    async def verify_all(self, rate: float | None = None) -> AsyncGenerator[list[Verified], None]:
        """Verify all sessions, first the live ones, then those that only the archive has, in batches.

        rate: maximum number of sessions per second. Sessions that end meanwhile are verified once.
        """
        pace = Pace(rate)
        with fewer_collections():
            async with aclosing(prefetch(self._read_all(pace))) as batches:
                async for batch in batches:
                    found = [await self._verified(session_id, read) for session_id, read in batch.items()]
                    yield [one for one in found if isinstance(one, Verified)]

    # -- reading

    async def _read_all(self, pace: Pace) -> AsyncGenerator[dict[str, _Read], None]:
        from ..archive.base import ArchiveQuery
        from ..archive.bulk_load import id_batches

        seen = FingerprintSet()
        async with aclosing(self._store.scan()) as scanned:
            async for ids in scanned:
                for some in batched(seen.add_new(ids), _SIZES):
                    async for batch in self._sized(some, pace.batch_size):
                        await pace.wait(len(batch))
                        yield await self._read(batch)
        for some in batched(seen.add_new(await self._store.endings.ids()), pace.batch_size):
            yield await self._read(some)
        archive = await self._archive()
        if archive is None:
            return
        async with aclosing(id_batches(archive, ArchiveQuery())) as archived:
            async for ids in archived:
                for some in batched(seen.add_new(one for one in ids if keys.is_session_id(one)), pace.batch_size):
                    await pace.wait(len(some))
                    yield await self._read(some)

    async def _sized(self, ids: Sequence[str], most: int = BATCH_SESSIONS) -> AsyncGenerator[list[str], None]:
        """Batches of sessions that can be read at once."""
        sizes = {one.session_id: one.bytes for one in await self._store.lifetimes(ids)}
        for batch in batched_by_bytes(ids, lambda one: sizes.get(one, 0), BATCH_BYTES, most):
            yield batch

    async def _archive(self) -> Archive | None:
        """The archive; None if there is none yet."""
        archive = self._open_archive()
        if archive is None:
            return None
        try:
            await archive.check_exists()
        except NotFound:
            return None
        return archive

    async def _read(self, ids: Sequence[str]) -> dict[str, _Read]:
        archive = await self._archive()
        archived: dict[str, Archived | AwiError] = {}
        names = [keys.diff_key(one).encode() for one in ids]
        if archive is not None:
            archived, diffs = await asyncio.gather(
                archive.load_many(ids), self._store.keyspace.key_info(names, _DIFF_BYTES)
            )
        else:
            diffs = await self._store.keyspace.key_info(names, _DIFF_BYTES)
        stored = await self._store.read_many(ids)
        read = {}
        for session_id, info in zip(ids, diffs, strict=True):
            whole = info is not None and info.error is None and len(info.start) == info.length
            diff = info.start if info is not None and whole else None
            read[session_id] = one = _Read(stored.get(session_id), archived.get(session_id), diff)
            if archive is not None and one.archived is None and isinstance(one.stored, Stored):
                read[session_id] = one._replace(steps=await _trimmed_steps(archive, session_id, one.stored.raw))
        return read

    # -- verifying

    async def _verified(self, session_id: str, read: _Read) -> Verified | AwiError:
        """Verify a session that was read. One with differences is read again."""
        if (now := time.monotonic()) > self._pause_at:  # a batch may take long, and Ctrl-C should not wait for it
            self._pause_at = now + PAUSE_SECONDS
            await asyncio.sleep(0)
        verified = self._judged(session_id, read)
        if verified is not None and (verified.is_sound or read.stored is None):
            return verified
        again = self._judged(session_id, (await self._read([session_id]))[session_id])
        if again is not None:
            return again
        try:
            found = await find(session_id, self._store, self._open_archive)
        except NotFound as error:
            return error
        verified = self._judged(session_id, _Read(found.stored, found.archived))
        if verified is None:
            return no_session(session_id, self._store.where)
        return verified._replace(notes=[*verified.notes, "it is being ended"]) if found.stored is not None else verified

    def _judged(self, session_id: str, read: _Read) -> Verified | None:
        """Verify what was read of a session; None if there is nothing."""
        stored, archived = read.stored, read.archived
        if stored is None and archived is None:
            return None
        where = "archived" if stored is None else "live" if archived is None else "both"
        found, actions = Verification(), None
        try:
            if isinstance(archived, AwiError):
                found.add(DamageKind.UNREADABLE, "", ABSENT, ABSENT, f"The archived copy is unreadable: {archived}")
            if isinstance(stored, AwiError):
                raise stored
            if stored is not None:
                document = _document(stored.raw, archived)
                actions = len(required_actions(document))
                diff = _decoded(read.diff, found)
                if archived is None or isinstance(archived, AwiError):
                    one = verify(session_id, document, raw=stored.raw, diff=diff, steps=read.steps)
                else:
                    from .archived_copy import verify_with_copy

                    one = verify_with_copy(document, stored.raw, archived, diff=diff)
            elif archived is not None and not isinstance(archived, AwiError):
                from .archived_copy import verify_archived

                actions = len(required_actions(archived.document))
                one = verify_archived(archived)
            else:
                one = Verification()
            found.differences += one.differences
            found.notes += one.notes
        except AwiError as error:
            found.add(DamageKind.UNREADABLE, "", ABSENT, ABSENT, f"The session is unreadable: {error}")
        return Verified(session_id, where, actions, found.differences, found.notes)


def _document(raw: bytes, archived: Archived | AwiError | None) -> dict[str, Any]:
    """A live document; that of the archived copy, which is decoded already, if it has the same bytes."""
    if archived is not None and not isinstance(archived, AwiError):
        snapshot = archived.snapshot
        if snapshot is not None and snapshot.raw == raw:
            return snapshot.document
    return decode(raw)


async def _trimmed_steps(archive: Archive, session_id: str, raw: bytes) -> Sequence[Step] | None:
    """The whole trajectory of a session of which only the trimmed actions are archived; None if none were trimmed."""
    if b'"trimmed_actions":' not in raw:
        return None
    from ..archive.trajectory import arranged

    try:
        document = decode(raw)
        chunks = await archive.load_trimmed_actions(session_id, as_text(document.get("agent_id")))
        return arranged(required_actions(document), first_ordinal(document), chunks) if chunks else None
    except InvalidData:  # reported when it is verified
        return None


def _decoded(diff: bytes | None, found: Verification) -> Any:
    """The last delta, decoded."""
    if diff is None:
        return NO_DIFF
    try:
        return loads(diff)
    except InvalidData as error:
        found.add(DamageKind.DIFF, "", ABSENT, ABSENT, f"AWI:DIFF is unreadable: {error}")
        return NO_DIFF
