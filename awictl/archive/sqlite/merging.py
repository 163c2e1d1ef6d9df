"""What the SQLite archive stores about the whole trajectory of a session when a snapshot is archived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...document.action_numbers import actions_of
from ..chunks import Chunk
from ..decision import ArchivedVersion
from ..merge import Gap, Merge, append_merge, first_merge, merge
from ..snapshot import Snapshot
from ..trajectory import ActionCount


class MergedTrajectory(NamedTuple):
    """The trajectory of a session after a snapshot was merged into what is archived of it."""

    #: Ordinal of the snapshot's first action.
    first: int
    #: Where actions are missing, in order.
    gaps: tuple[Gap, ...]
    #: Number of archived actions that another writer overwrote in Redis.
    overwritten: int
    #: How often each action was taken, by name.
    counts: Mapping[str, ActionCount]
    #: Actions that have to be stored because the snapshot lacks them.
    chunks: Sequence[Chunk] = ()


def merged(
    snapshot: Snapshot,
    archived: ArchivedVersion | None,
    read_archived: Callable[[], Snapshot | None],
    load_chunks: Callable[[], Sequence[Chunk]],
) -> MergedTrajectory:
    """Merge a snapshot into the archived version of its session, if there is one.

    read_archived: returns the archived snapshot; None if it is damaged. load_chunks: returns the chunks of the session.
    Both are called only if they are needed.
    """
    found, before = _merge(snapshot, archived, read_archived, load_chunks)
    chunks = load_chunks() if found.between else ()
    count = len(actions_of(snapshot.document) or ())
    return MergedTrajectory(
        found.first,
        found.gaps(before.gaps if before is not None else (), count, chunks),
        found.overwritten + (before.overwritten_actions if before is not None else 0),
        found.counts(before.action_counts if before is not None else {}, chunks),
        found.chunks,
    )


def _merge(
    snapshot: Snapshot,
    archived: ArchivedVersion | None,
    read_archived: Callable[[], Snapshot | None],
    load_chunks: Callable[[], Sequence[Chunk]],
) -> tuple[Merge, ArchivedVersion | None]:
    """Return how a snapshot follows an archived version, and that version, unless it does not count."""
    if archived is None or archived.actions is None:  # None: of version 1, and damaged
        return first_merge(snapshot.document), None
    if archived.digest == snapshot.digest:
        return Merge(archived.first), archived
    actions = actions_of(snapshot.document) or []
    appended = append_merge(actions, snapshot.first_ordinal, archived.first, archived.actions, archived.trajectory)
    if appended is not None:
        return appended, archived
    if (old := read_archived()) is None:  # what only the damaged bytes had is lost
        return first_merge(snapshot.document), None
    before = Chunk(archived.first, actions_of(old.document) or [])
    found = merge(actions, snapshot.first_ordinal, before)
    if found.without_chunks:
        found = merge(actions, snapshot.first_ordinal, before, load_chunks())
    return found, archived
