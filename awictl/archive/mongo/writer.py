"""Write snapshots to `awi_sessions`, so that no action that is archived already gets lost.

Writes are confirmed by a majority and the journal, and read back from the primary. A document is replaced only if it
still has the digest that was compared with the snapshot, so any number of processes may write at once. Actions that
the new snapshot lacks are written to `awi_actions` first: a crash in between leaves them in both, which is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from ...document.action_numbers import actions_of
from ...errors import AwiError, Refused, as_awi_error
from ..base import MAX_SAVE_ATTEMPTS, concurrent_writers
from ..chunks import Chunk
from ..decision import ArchivedState, ArchivedVersion, Decision, decide
from ..merge import Merge, append_merge, first_merge, merge
from ..snapshot import Snapshot
from . import views
from .actions import ArchivedActions
from .collections import Collections
from .documents import STORED_FIELDS, VERSION_FIELDS, Whole, Write, document_of, extension, unchanged, version_of
from .errors import write_errors
from .migration import Migration
from .stored_bytes import stored_bytes


@dataclass
class _Plan:
    """What to do with a snapshot."""

    snapshot: Snapshot
    decision: Decision
    #: The version that this is based on.
    archived: ArchivedVersion | None
    #: How the snapshot follows that version.
    merge: Merge = field(default_factory=lambda: Merge(0))
    whole: Whole = field(default_factory=Whole)


class SnapshotWriter:
    """Writes snapshots. `where` names the archive in messages; max_bytes: of a session."""

    def __init__(
        self, collections: Collections, actions: ArchivedActions, migration: Migration, where: str, max_bytes: int
    ) -> None:
        self._collections = collections
        self._actions = actions
        self._migration = migration
        self._where = where
        self._max_bytes = max_bytes

    async def save(self, snapshots: Sequence[Snapshot]) -> dict[str, AwiError | None]:
        """Archive snapshots and read them back. See `Archive.save`."""
        results: dict[str, AwiError | None] = {}
        pending = {one.session_id: one for one in snapshots}
        damaged: set[str] = set()
        split: set[str] = set()  # those of which parts were written
        for _ in range(MAX_SAVE_ATTEMPTS):
            if not pending:
                return results
            archived = await self._versions(list(pending))
            # what cannot be moved is left where it is, and must not keep the session from being archived
            moved = await self._migration.adopt([one for one in pending if one not in archived])
            archived |= await self._versions(list(moved)) if moved else {}
            plans: dict[str, _Plan] = {}
            for session_id, snapshot in pending.items():
                version = archived.get(session_id)
                try:
                    plans[session_id] = self._plan(snapshot, version, session_id in damaged)
                except Refused as error:
                    results[session_id] = error
                    if session_id in split and version is not None:
                        await self._delete_parts(snapshot, version.digest)
            await self._merge(plans.values())
            results |= await self._write(plans.values(), split)
            for session_id, raw in (await self._read_back(list(plans))).items():
                plan = plans[session_id]
                if isinstance(raw, AwiError):
                    damaged.add(session_id)
                elif raw == plan.snapshot.raw:
                    results[session_id] = None
                    if plan.decision is Decision.REPLACE and plan.archived is not None and plan.archived.parts:
                        await self._delete_parts(plan.archived, plan.snapshot.digest)
            pending = {one: snapshot for one, snapshot in pending.items() if one not in results}
        return results | {session_id: concurrent_writers(session_id, self._where) for session_id in pending}

    def _plan(self, snapshot: Snapshot, archived: ArchivedVersion | None, damaged: bool) -> _Plan:
        """Decide what to do with a snapshot. Raises Refused."""
        decision = decide(snapshot, archived, self._where)
        if decision in (Decision.NOTHING, Decision.EXTEND) and damaged:
            decision = Decision.REPLACE
        return _Plan(snapshot, decision, archived)

    async def _merge(self, plans: Iterable[_Plan]) -> None:
        """Find out what the archive has of each session that the snapshot to be written lacks, and what nobody has."""
        wanted = [one for one in plans if one.decision in (Decision.INSERT, Decision.REPLACE)]
        unlike: list[tuple[_Plan, ArchivedVersion]] = []
        for plan in wanted:
            archived, snapshot = plan.archived, plan.snapshot
            actions = actions_of(snapshot.document) or []
            if archived is None:
                plan.merge = first_merge(snapshot.document)
            elif archived.digest == snapshot.digest:  # its bytes were damaged
                plan.merge = Merge(archived.first)
            else:
                count = archived.actions or 0
                expected = snapshot.first_ordinal
                appended = append_merge(actions, expected, archived.first, count, archived.trajectory)
                if appended is None:
                    unlike.append((plan, archived))
                else:
                    plan.merge = appended
        if unlike:
            before = await self._read_back([archived.session_id for _, archived in unlike])
            for plan, archived in unlike:
                plan.merge = _merged(plan.snapshot, archived, before.get(archived.session_id))
            older = [(plan, archived) for plan, archived in unlike if plan.merge.without_chunks]
            trimmed = await self._actions.load_many({one.session_id: plan.snapshot.agent_id for plan, one in older})
            for plan, archived in older:
                name = archived.session_id
                plan.merge = _merged(plan.snapshot, archived, before.get(name), trimmed[name])
        incomplete = [one.snapshot for one in wanted if one.merge.between]
        chunks = await self._actions.load_many({one.session_id: one.agent_id for one in incomplete})
        for plan in wanted:
            plan.whole = _whole(plan, chunks.get(plan.snapshot.session_id, ()))

    async def _write(self, plans: Iterable[_Plan], split: set[str]) -> dict[str, AwiError | None]:
        """Carry out plans. Returns errors by session id. Adds the sessions that are split into parts to `split`."""
        parts: list[Write] = []
        writes: list[Write] = []
        chunks: list[tuple[str, str | None, Chunk]] = []
        back: list[str] = []  # those that were gone from Redis
        errors: dict[str, AwiError | None] = {}
        now = datetime.now(UTC)
        for plan in plans:
            snapshot, archived = plan.snapshot, plan.archived
            if archived is not None and archived.state is not ArchivedState.LIVE:
                back.append(snapshot.session_id)
            if plan.decision is Decision.NOTHING:
                continue
            if plan.decision is Decision.EXTEND:
                writes.append(extension(snapshot, now))
                continue
            try:
                document, pieces = document_of(snapshot, plan.whole, now)
            except Exception as error:  # whatever it contains, it must not keep the others from being archived
                errors[snapshot.session_id] = as_awi_error(error)
                continue
            if pieces:
                parts += pieces
                split.add(snapshot.session_id)
            chunks += [(snapshot.session_id, snapshot.agent_id, one) for one in plan.merge.chunks]
            writes.append(InsertOne(document) if archived is None else ReplaceOne(unchanged(archived), document))
        await self._actions.save(chunks)
        if back:
            await views.withdraw(self._collections, back)
        if parts:
            await self._collections.parts.bulk_write(parts, ordered=False)
        if writes:
            try:
                await self._collections.sessions.bulk_write(writes, ordered=False)
            except BulkWriteError as error:
                return errors | write_errors(error, self._where)
        return errors

    async def _delete_parts(self, version: ArchivedVersion | Snapshot, archived_digest: str) -> None:
        """Delete the parts of a version that was replaced, or not archived, unless it is the archived one."""
        if version.digest != archived_digest:
            wanted = {"session": version.session_id, "digest": version.digest}
            await self._collections.parts.delete_many(wanted)

    async def _versions(self, session_ids: list[str]) -> dict[str, ArchivedVersion]:
        found = await self._collections.sessions.find({"_id": {"$in": session_ids}}, VERSION_FIELDS).to_list()
        return {one["_id"]: version_of(one) for one in found}

    async def _read_back(self, session_ids: list[str]) -> dict[str, bytes | AwiError]:
        """Return the archived bytes of each session, or the error if they are damaged."""
        if not session_ids:
            return {}
        found = await self._collections.sessions.find({"_id": {"$in": session_ids}}, STORED_FIELDS).to_list()
        parts = self._collections.parts
        return {one["_id"]: await stored_bytes(one["_id"], one, parts, self._where, self._max_bytes) for one in found}


def _merged(
    snapshot: Snapshot,
    archived: ArchivedVersion,
    before: bytes | AwiError | None,
    trimmed: Sequence[Chunk] | None = None,
) -> Merge:
    """Return how a snapshot follows an archived version, given with its bytes, or the error if those are damaged.

    trimmed: the chunks that the archive has; see `merge`.
    """
    first, expected = archived.first, snapshot.first_ordinal
    actions = actions_of(snapshot.document) or []
    if isinstance(before, bytes):
        try:
            document = Snapshot.parse(archived.session_id, before).document
            return merge(actions, expected, Chunk(first, actions_of(document) or []), trimmed)
        except AwiError:
            pass
    return Merge(expected, added=actions, between=range(first, expected))  # what only the damaged bytes had is lost


def _whole(plan: _Plan, chunks: Sequence[Chunk]) -> Whole:
    """Return what the archive knows of the whole trajectory once a plan was carried out. chunks: in the archive."""
    archived, made = plan.archived, plan.merge
    before = archived.action_counts if archived is not None else {}
    return Whole(
        made.first,
        made.gaps(archived.gaps if archived is not None else (), len(actions_of(plan.snapshot.document) or ()), chunks),
        made.overwritten + (archived.overwritten_actions if archived is not None else 0),
        made.counts(before, chunks),
    )
