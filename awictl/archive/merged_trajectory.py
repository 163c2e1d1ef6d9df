"""What an archive records about the whole trajectory of a session when a snapshot of it is archived.

An archive loads as little as possible: usually a snapshot begins with exactly the archived actions, as their digest
shows. So it calls, in this order, `merge_unloaded`; `merge_loaded` if that needs the archived snapshot; and
`Merging.trajectory`, with the chunks of the session if it `needs_chunks`. Nothing here does any I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ..document.action_numbers import actions_of
from .chunks import Chunk
from .decision import ArchivedVersion
from .merge import Gap, Merge, append_merge, first_merge, merge
from .snapshot import Snapshot
from .trajectory import ActionCount


class MergedTrajectory(NamedTuple):
    """The trajectory of a session after a snapshot was merged into what is archived of it."""

    #: Ordinal of the snapshot's first action.
    first: int = 0
    #: Where actions are missing, in order.
    gaps: tuple[Gap, ...] = ()
    #: Number of archived actions that another writer overwrote in Redis.
    overwritten: int = 0
    #: How often each action was taken, by name.
    counts: Mapping[str, ActionCount] = MappingProxyType({})
    #: Actions that have to be stored because the snapshot lacks them.
    chunks: Sequence[Chunk] = ()


class Merging(NamedTuple):
    """How a snapshot follows the archived version of its session."""

    snapshot: Snapshot
    merge: Merge
    #: The archived version; None if there is none.
    archived: ArchivedVersion | None = None
    #: The actions of the archived version; None if they were not needed.
    actions: Sequence[Any] | None = None

    @property
    def needs_chunks(self) -> bool:
        """Whether the chunks of the session have to be loaded."""
        return bool(self.merge.between) or self.merge.without_chunks

    def trajectory(self, chunks: Sequence[Chunk]) -> MergedTrajectory:
        """Return the merged trajectory. chunks: those of the session if it `needs_chunks`; otherwise ignored."""
        found, archived, actions = self.merge, self.archived, actions_of(self.snapshot.document) or []
        if found.without_chunks and archived is not None and self.actions is not None:
            found = merge(actions, self.snapshot.first_ordinal, Chunk(archived.first, self.actions), chunks)
        gaps = found.gaps(archived.gaps if archived is not None else (), len(actions), chunks)
        overwritten = archived.overwritten_actions if archived is not None else self.snapshot.overwritten
        return MergedTrajectory(
            found.first,
            gaps + tuple(Gap(one, None) for one in self.snapshot.unknown_gaps if Gap(one, None) not in gaps),
            found.overwritten + overwritten,
            found.counts(archived.action_counts if archived is not None else {}, chunks),
            found.chunks,
        )


def merge_unloaded(snapshot: Snapshot, archived: ArchivedVersion | None) -> Merging | None:
    """Merge a snapshot into the archived version, if there is one; None if that has to be loaded for it."""
    if archived is None:
        return Merging(snapshot, first_merge(snapshot.document, snapshot.first_ordinal))
    if archived.digest == snapshot.digest:  # the archived bytes are damaged
        return Merging(snapshot, Merge(archived.first), archived)
    if archived.actions is None:
        return None
    actions = actions_of(snapshot.document) or []
    appended = append_merge(actions, snapshot.first_ordinal, archived.first, archived.actions, archived.trajectory)
    return Merging(snapshot, appended, archived) if appended is not None else None


def merge_loaded(snapshot: Snapshot, archived: ArchivedVersion | None, loaded: Snapshot | None) -> Merging:
    """Merge a snapshot into the archived version, which was `loaded`; None if it is damaged.

    What only damaged bytes had is lost; then gaps and counts are determined anew.
    """
    if loaded is None or archived is None:
        known = replace(archived, gaps=(), action_counts={}) if archived is not None else None
        return Merging(snapshot, first_merge(snapshot.document, snapshot.first_ordinal), known)
    old = actions_of(loaded.document) or []
    found = merge(actions_of(snapshot.document) or [], snapshot.first_ordinal, Chunk(archived.first, old))
    return Merging(snapshot, found, archived, old)
