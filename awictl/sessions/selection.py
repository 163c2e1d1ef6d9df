"""Select sessions, live and archived, by an expression: for lists, and for commands that do something to each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

from ..archive.base import BATCH_BYTES, BATCH_SESSIONS, Archive, Archived, ArchivedSummary, ArchiveQuery
from ..archive.connect import required
from ..document.action_numbers import required_actions
from ..document.splice import base_from_string
from ..document.timestamps import optional_timestamp
from ..errors import AwiError, InvalidData, Unreachable
from ..store.base import Listed, SessionStore, Stored
from ..store.endings import SEPARATOR
from ..store.session_fields import fields_of
from ..util.fingerprint_set import FingerprintSet
from .find import OpenArchive
from .summaries import SessionState, Summary, idle_since, summaries
from .where.fields import Kind, Place, SessionValues
from .where.grammar import WhereExpression
from .where.operands import Operand

if TYPE_CHECKING:
    from .end import Ended, SessionEndings

#: Size that is assumed of a document of the app, whose size the archive does not know, in bytes.
_APP_BYTES = 262_144


class SelectedSession(NamedTuple):
    """A session that was selected."""

    summary: Summary
    #: The value of a field that was asked for.
    value: Any = None


class SelectedBatch(NamedTuple):
    """Some of the sessions that were selected."""

    sessions: Sequence[SelectedSession]
    #: How many were read to find them, and which of those are unreadable.
    read: int
    unreadable: Sequence[str]
    place: Place = Place.LIVE
    #: Why Redis cannot be asked: then these sessions, and all that follow, are what the archive has.
    degraded: Unreachable | None = None


class SessionSelection:
    """Selects sessions of a store and an archive. `endings` and `check_writable`: only to end what was selected."""

    def __init__(
        self,
        store: SessionStore,
        open_archive: OpenArchive,
        endings: Callable[[], SessionEndings],
        check_writable: Callable[[], None],
    ) -> None:
        self._store = store
        self._open_archive = open_archive
        self._endings = endings
        self._check_writable = check_writable

    async def find(
        self,
        where: WhereExpression | None = None,
        *,
        archived: bool = False,
        value: Operand | None = None,
        rate: float | None = None,
    ) -> AsyncGenerator[SelectedBatch, None]:
        """Iterate over the live sessions that match, then with `archived` over those that only the archive has.

        where: None matches all. value: a field whose value is wanted of each. rate: maximum number of keys to scan per
        second. Each session is found once. If Redis is unreachable, the archive's sessions are found all the same.
        Raises Refused without an archive, NotFound if its file does not exist, and Unreachable.
        """
        chosen = _Choice(where, value)
        archive = await self._existing_archive() if archived else None
        seen = FingerprintSet()
        degraded: Unreachable | None = None
        try:
            async with aclosing(self._live(chosen, seen if archived else None, rate)) as batches:
                async for batch in batches:
                    yield batch
        except Unreachable as error:
            if archive is None:
                raise
            degraded = error
        if archive is None:
            return
        # between their keys and the archive: they may be archived after its listing began
        ending = await self._store.endings.ids() if degraded is None else []
        if degraded is not None:  # so that this is known even if the archive has nothing
            yield SelectedBatch([], 0, [], Place.ARCHIVED, degraded)
        try:
            async with aclosing(_archived(archive, chosen, seen)) as batches:
                async for batch in batches:
                    yield batch._replace(place=Place.ARCHIVED, degraded=degraded)
            for session_id in seen.add_new(ending):
                yield await self._ending(archive, chosen, session_id)
        except Unreachable as error:
            if degraded is None or str(error) == str(degraded):
                raise
            raise Unreachable(f"{degraded}; and {error}") from error

    async def find_live(
        self,
        where: WhereExpression | None = None,
        *,
        value: Operand | None = None,
        rate: float | None = None,
        seen: FingerprintSet,
    ) -> AsyncGenerator[SelectedBatch, None]:
        """Iterate over the live sessions that match, then over those that are being ended; otherwise like `find`.

        seen: receives the ids of all of them, whether they match or not. Raises Unreachable.
        """
        chosen = _Choice(where, value)
        async with aclosing(self._live(chosen, seen, rate)) as batches:
            async for batch in batches:
                yield batch
        for session_id in seen.add_new(await self._store.endings.ids()):
            yield await self._ending(None, chosen, session_id)

    async def find_archived(
        self, where: WhereExpression | None = None, *, value: Operand | None = None
    ) -> AsyncGenerator[SelectedBatch, None]:
        """Iterate over the sessions of the archive that match, also over those that are live; otherwise like `find`.

        Raises Refused without an archive, NotFound if its file does not exist, and Unreachable.
        """
        archive = await self._existing_archive()
        async with aclosing(_archived(archive, _Choice(where, value), FingerprintSet())) as batches:
            async for batch in batches:
                yield batch._replace(place=Place.ARCHIVED)

    async def _existing_archive(self) -> Archive:
        archive = required(self._open_archive())
        await archive.check_exists()
        return archive

    async def _live(
        self, chosen: _Choice, seen: FingerprintSet | None, rate: float | None
    ) -> AsyncGenerator[SelectedBatch, None]:
        """The live sessions that match. `seen`: receives the ids of all, whether they match or not."""

        def convert(listed: Listed) -> tuple[Summary, SelectedSession | None]:
            session = values_of(listed)
            return session.summary, chosen.selected(session)

        if chosen.needs_head:
            async with aclosing(self._store.list_all(convert, rate)) as found:
                async for pairs in found:
                    yield _batch(pairs, seen)
            return
        async with aclosing(self._store.list_fields(rate)) as listed:
            async for batch in listed:
                sessions = [
                    SessionValues(summary, total=fields.total_actions)
                    for summary, fields in zip(summaries(batch), batch, strict=True)
                ]
                yield _batch([(one.summary, chosen.selected(one)) for one in sessions], seen)

    async def _ending(self, archive: Archive | None, chosen: _Choice, session_id: str) -> SelectedBatch:
        """A session that was being ended: what was taken of it, or what became of that meanwhile."""
        taken = await self._store.endings.taken(session_id)
        if archive is not None and not taken:
            archived = (await archive.load_many([session_id])).get(session_id)
            if isinstance(archived, Archived):
                return (await _archived_batch(archive, chosen, [archived.summary]))._replace(place=Place.ARCHIVED)
        stored = Stored(taken.split(SEPARATOR)[-1], None) if taken else await self._store.read(session_id)
        if stored is None:
            return SelectedBatch([], 0, [])
        session = _live_values(session_id, stored)
        return _batch([(session.summary, chosen.selected(session))])

    async def end(self, session_id: str, where: WhereExpression) -> Ended | None:
        """End a session if it still matches; None if not. What ends is the version that was looked at."""
        self._check_writable()
        return await self._endings().end_if(session_id, lambda stored: matches(session_id, stored, where))

    async def discard(self, session_id: str, where: WhereExpression) -> Ended | None:
        """Delete a session without archiving it if it still matches; None if not."""
        self._check_writable()
        return await self._endings().discard_if(session_id, lambda stored: matches(session_id, stored, where))


class _Choice(NamedTuple):
    """Which sessions are wanted, and what of them."""

    where: WhereExpression | None
    value: Operand | None

    @property
    def needs_head(self) -> bool:
        """Whether a live session has to be decoded in full."""
        field = self.value.field if self.value is not None else None
        where = self.where is not None and self.where.condition.needs_head
        return where or self.needs_document or (field is not None and field.needs_head)

    @property
    def needs_document(self) -> bool:
        """Whether the document of an archived session has to be loaded."""
        where = self.where is not None and self.where.condition.needs_document
        return where or (self.value is not None and self.value.kind is Kind.ANY)

    def selected(self, session: SessionValues) -> SelectedSession | None:
        """The session, if it is wanted."""
        if self.where is not None and not self.where.matches(session):
            return None
        found = self.value.values(session) if self.value is not None else ()
        return SelectedSession(session.summary, found[0] if found else None)


def values_of(listed: Listed) -> SessionValues:
    """A live session that was listed with its head."""
    fields = fields_of(*listed)
    return SessionValues(summaries([fields])[0], Place.LIVE, listed.head or None, fields.total_actions)


def matches(session_id: str, stored: Stored, where: WhereExpression) -> bool:
    """Whether the stored string of a live session matches."""
    return where.matches(_live_values(session_id, stored))


def _live_values(session_id: str, stored: Stored) -> SessionValues:
    try:
        base = base_from_string(stored.raw)
        count = len(required_actions(base.document))
        listed = Listed(session_id, base.head, count, stored.ttl_ms, len(stored.raw))
    except InvalidData as error:
        listed = Listed(session_id, {}, None, stored.ttl_ms, len(stored.raw), str(error))
    return values_of(listed)


def _batch(
    pairs: Sequence[tuple[Summary, SelectedSession | None]], seen: FingerprintSet | None = None
) -> SelectedBatch:
    if seen is not None:
        seen.add_new(summary.session_id for summary, _ in pairs)
    unreadable = [summary.session_id for summary, _ in pairs if summary.error is not None]
    return SelectedBatch([one for _, one in pairs if one is not None], len(pairs), unreadable)


async def _archived(archive: Archive, chosen: _Choice, seen: FingerprintSet) -> AsyncGenerator[SelectedBatch, None]:
    """The sessions that only the archive has and that match. `seen`: the ids of those that are live."""
    batch: list[ArchivedSummary] = []
    size = 0
    async with aclosing(archive.find(ArchiveQuery())) as found:
        async for one in found:
            if not seen.add_new([one.session_id]):
                continue
            bytes_of_one = one.bytes if one.bytes is not None else _APP_BYTES
            if batch and (
                len(batch) == BATCH_SESSIONS or (chosen.needs_document and size + bytes_of_one > BATCH_BYTES)
            ):
                yield await _archived_batch(archive, chosen, batch)
                batch, size = [], 0
            batch.append(one)
            size += bytes_of_one
    if batch:
        yield await _archived_batch(archive, chosen, batch)


async def _archived_batch(archive: Archive, chosen: _Choice, batch: Sequence[ArchivedSummary]) -> SelectedBatch:
    loaded: dict[str, Archived | AwiError] = {}
    if chosen.needs_document:
        loaded = await archive.load_many([one.session_id for one in batch])
    sessions = [_archived_values(one, loaded.get(one.session_id)) for one in batch]
    return _batch([(one.summary, chosen.selected(one)) for one in sessions])


def _archived_values(archived: ArchivedSummary, loaded: Archived | AwiError | None) -> SessionValues:
    last_activity = optional_timestamp(archived.last_activity_at)
    error = str(loaded) if isinstance(loaded, AwiError) else None
    summary = Summary(
        archived.session_id,
        archived.agent_id,
        archived.agent_name,
        archived.route,
        archived.total_actions,
        last_activity,
        idle_since(last_activity),
        None,
        archived.bytes,
        archived.failed_actions,
        SessionState(archived.state.value) if error is None else SessionState.UNREADABLE,
        error,
    )
    head = None
    if isinstance(loaded, Archived):
        history = {name: value for name, value in loaded.document["history"].items() if name != "actions"}
        head = {**loaded.document, "history": history}
    return SessionValues(summary, Place.ARCHIVED, head, archived.total_actions, archived.started_at)
