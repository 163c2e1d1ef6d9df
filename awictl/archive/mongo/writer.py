"""Write snapshots to `awi_sessions`, so that no action that is archived already gets lost.

Writes are confirmed by a majority and the journal, and read back from the primary. A document is replaced only if it
still has the digest that was compared with the snapshot, so any number of processes may write at once. Actions that
the new snapshot lacks are written to `awi_actions` first: a crash in between leaves them in both, which is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from ...errors import AwiError, Refused, as_awi_error
from ...store.mongo.connection import Document
from ...store.mongo.errors import write_errors
from ..base import MAX_SAVE_ATTEMPTS, concurrent_writers
from ..chunks import Chunk
from ..compression import digest_of
from ..decision import ArchivedState, ArchivedVersion, Decision, decide
from ..merged_trajectory import MergedTrajectory, Merging, merge_loaded, merge_unloaded
from ..snapshot import Snapshot
from . import views
from .actions import ArchivedActions
from .collections import Collections
from .documents import STORED_FIELDS, VERSION_FIELDS, Write, document_of, extension, unchanged, version_of
from .migration import Migration
from .stored_bytes import stored_bytes


@dataclass
class _Plan:
    """What to do with a snapshot."""

    snapshot: Snapshot
    decision: Decision
    #: The version that this is based on.
    archived: ArchivedVersion | None
    trajectory: MergedTrajectory = field(default_factory=MergedTrajectory)
    #: What `STORED_FIELDS` select in the document that was written; None if its bytes are elsewhere, or it was not.
    stored: Document | None = None


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
            for session_id in await self._merge(plans.values()):
                del plans[session_id]
            results |= await self._write(plans.values(), split)
            for session_id, raw in (await self._read_back(list(plans), plans)).items():
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

    async def _merge(self, plans: Iterable[_Plan]) -> list[str]:
        """Find out what the archive has of each session that the snapshot to be written lacks, and what nobody has.

        Returns the sessions that another process has archived since their versions were read: decide on them again.
        """
        wanted = [one for one in plans if one.decision in (Decision.INSERT, Decision.REPLACE)]
        found = {one.snapshot.session_id: merge_unloaded(one.snapshot, one.archived) for one in wanted}
        before = await self._read_back([session_id for session_id, merging in found.items() if merging is None])
        mergings: list[tuple[_Plan, Merging]] = []
        changed = []
        for plan in wanted:
            name = plan.snapshot.session_id
            raw, archived = before.get(name), plan.archived
            if isinstance(raw, bytes) and archived is not None and digest_of(raw) != archived.digest:
                changed.append(name)  # the ordinals of one version do not fit the actions of another
                continue
            merging = found[name] or merge_loaded(plan.snapshot, archived, Snapshot.parse_archived(name, raw))
            mergings.append((plan, merging))
        incomplete = [plan.snapshot for plan, merging in mergings if merging.needs_chunks]
        chunks = await self._actions.load_many({one.session_id: one.agent_id for one in incomplete})
        for plan, merging in mergings:
            plan.trajectory = merging.trajectory(chunks.get(plan.snapshot.session_id, ()))
        return changed

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
                document, pieces = document_of(snapshot, plan.trajectory, now)
            except Exception as error:  # whatever it contains, it must not keep the others from being archived
                errors[snapshot.session_id] = as_awi_error(error)
                continue
            if pieces:
                parts += pieces
                split.add(snapshot.session_id)
            else:
                plan.stored = {name: document[name] for name in ("_id", *STORED_FIELDS) if name in document}
            chunks += [(snapshot.session_id, snapshot.agent_id, one) for one in plan.trajectory.chunks]
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

    async def _read_back(
        self, session_ids: list[str], plans: Mapping[str, _Plan] = MappingProxyType({})
    ) -> dict[str, bytes | AwiError]:
        """Return the archived bytes of each session, or the error if they are damaged.

        Fields that are exactly those which one of the plans has written are not unpacked to be compared.
        """
        if not session_ids:
            return {}
        found = await self._collections.sessions.find({"_id": {"$in": session_ids}}, STORED_FIELDS).to_list()
        parts = self._collections.parts
        archived: dict[str, bytes | AwiError] = {}
        for one in found:
            session_id, plan = one["_id"], plans.get(one["_id"])
            if plan is not None and one == plan.stored:
                archived[session_id] = plan.snapshot.raw
            else:
                archived[session_id] = await stored_bytes(session_id, one, parts, self._where, self._max_bytes)
        return archived
