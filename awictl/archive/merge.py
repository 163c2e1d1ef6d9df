"""Merge a new snapshot of a session into what the archive has of it, so that no archived action is ever lost.

The app keeps the last 100 actions of a session, and writes without comparing: so a snapshot may lack actions that an
earlier one had. Those are put into chunks before the earlier snapshot is replaced. Every action has an *ordinal*, its
position in the whole trajectory from 0. The app's own number, `t`, sticks at 100. So the ordinals of a snapshot are
derived from its statistics, and corrected by comparing its actions with those that are archived already:

    archived snapshot     a0 a1 a2 a3 a4 a5
    new snapshot                a2 a3 a4 b5 b6    begins at ordinal 2
    chunks                a0 a1                   what was cut off
                                         a5       what another writer overwrote

An overwritten action stays in the trajectory, in front of the action that took its place. Ordinals that neither a
snapshot nor a chunk has are a gap. Nothing here does any I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..document.action_keys import digest_of_actions, keys_of
from ..document.action_numbers import actions_of, first_ordinal, gap_row
from ..document.schema import as_array
from .chunks import Chunk
from .trajectory import ActionCount, add_counts, count_actions
from .values import as_count

#: Maximum number of places that are tried to find where a new trajectory begins in an archived one.
_MAX_CANDIDATES = 200
#: The key of an action that is missing in the archive.
_MISSING: Hashable = object()
#: Maximum number of ordinals before a snapshot in which it is searched, too.
_MAX_TRIMMED = 1_000_000


class Gap(NamedTuple):
    """Actions of a session that no snapshot of it ever had: the app removed them before the session was archived."""

    #: Ordinal of the first missing action.
    first: int
    #: Ordinal of the last one; None if it is not known how many are missing.
    last: int | None

    @property
    def size(self) -> int | None:
        """Number of missing actions; None if it is unknown."""
        return self.last - self.first + 1 if self.last is not None else None

    def row(self) -> dict[str, int | None]:
        """Return the gap as JSON values."""
        return gap_row(self.first, self.last)


def gaps_of(stored: Any) -> tuple[Gap, ...]:
    """Return stored gaps, [first, last] each, without what is not one."""
    pairs = [one for one in as_array(stored) if isinstance(one, list) and len(one) == 2]
    gaps = [Gap(as_count(first), None if last is None else as_count(last)) for first, last in pairs]
    return tuple(one for one in gaps if one.last is None or one.first <= one.last)


@dataclass(frozen=True)
class Merge:
    """What has to be stored when a snapshot replaces an archived version, or is the first one."""

    #: Ordinal of the snapshot's first action.
    first: int
    #: Actions of the archived version that the snapshot lacks; to be written before it is replaced.
    chunks: Sequence[Chunk] = ()
    #: Actions that the archive did not have before.
    added: Sequence[Any] = ()
    #: Ordinals between the archived version and the snapshot: missing, unless chunks that were trimmed have them.
    between: range = range(0)
    #: Whether actions may be missing in front of `first`, of which the number is unknown.
    unknown_gap: bool = False
    #: Whether this is only right if the archive has no chunks; otherwise `merge` needs them.
    without_chunks: bool = False

    @property
    def overwritten(self) -> int:
        """Number of archived actions that another writer overwrote."""
        return sum(len(one.actions) for one in self.chunks if one.overwritten)

    def gaps(self, before: Iterable[Gap], count: int, trimmed: Iterable[Chunk]) -> tuple[Gap, ...]:
        """Return all gaps of the session afterwards.

        before: those of the archived version. count: number of actions in the snapshot. trimmed: chunks that the
        archive has; needed only if there are ordinals `between`.
        """
        filled = range(self.first, self.first + count)
        kept = [part for gap in before for part in without(gap, filled)]
        unknown = [Gap(self.first, None)] if self.unknown_gap else []
        found = missing(self.between, trimmed)
        for gap in kept:  # a snapshot that was saved late may come before a gap that is known already
            found = tuple(part for one in found for part in without(one, range(gap.first, (gap.last or gap.first) + 1)))
        return (*kept, *found, *unknown)

    def counts(self, before: Mapping[str, ActionCount], trimmed: Iterable[Chunk]) -> dict[str, ActionCount]:
        """Return how often each action was taken, by name. Arguments: as for `gaps`."""
        found = [
            action
            for chunk in trimmed
            for ordinal, action in enumerate(chunk.actions, chunk.first)
            if ordinal in self.between
        ]
        return add_counts(before, count_actions(found), count_actions(self.added))


def first_merge(document: dict[str, Any], first: int | None = None) -> Merge:
    """Return what to store for the first snapshot of a session. first: see `merge`; None: by its own numbers."""
    first = first_ordinal(document) if first is None else first
    return Merge(first, added=actions_of(document) or (), between=range(first))


def append_merge(new: Sequence[Any], expected: int, first: int, count: int, digest: str) -> Merge | None:
    """Return what to store if a trajectory begins with exactly the archived one; None if it does not.

    Then nothing archived has to be loaded. The archived trajectory is given as the ordinal of its `first` action, the
    `count` of its actions and their `digest`; expected: see `merge`.
    """
    if expected != first or len(new) < count or digest_of_actions(new[:count]) != digest:
        return None
    return Merge(first, added=new[count:])


def merge(new: Sequence[Any], expected: int, archived: Chunk, trimmed: Iterable[Chunk] | None = None) -> Merge:
    """Return what to store when a trajectory replaces an archived one.

    expected: the ordinal of its first action by the numbers of its document (`first_ordinal`). trimmed: chunks that the
    archive has. They are needed only if the result is `without_chunks`: the trajectory is, or may be, an old one, which
    begins before the archived one, as after a restart of Redis from an old dump.
    """
    new_keys, archived_keys = keys_of(new), keys_of(archived.actions)
    old_first, old = archived.first, archived_keys
    if trimmed is not None:
        old_first, old = _with_trimmed(archived_keys, archived.first, trimmed)
    first, known = _align(old, old_first, new_keys, expected)
    if trimmed is not None and not known and expected + len(new) <= archived.first:
        first, known = expected, True  # an older one that was saved late, by a process whose clock is ahead
    # the first ordinal that both have, and the first one with different actions
    start = max(first, old_first)
    differing = start + _common(old[start - old_first :], new_keys[start - first :])
    chunks = []
    if cut := archived.actions[: max(first - archived.first, 0)]:
        chunks.append(Chunk(archived.first, cut))
    overwritten_first = max(differing, archived.first)
    if overwritten := archived.actions[overwritten_first - archived.first :]:
        chunks.append(Chunk(overwritten_first, overwritten, overwritten=True))
    filled = [at for at in range(start, differing) if old[at - old_first] is _MISSING] if trimmed is not None else []
    added = [*new[: start - first], *(new[at - first] for at in filled), *new[differing - first :]]
    end = archived.first + len(archived.actions)
    between = range(end, first) if first > end else range(0)
    without_chunks = trimmed is None and (not known or first < archived.first)
    return Merge(first, tuple(chunks), added, between, not known, without_chunks)


def _with_trimmed(archived: list[Hashable], first: int, trimmed: Iterable[Chunk]) -> tuple[int, list[Hashable]]:
    """Return the first ordinal, and the archived keys with those of trimmed actions in front; _MISSING in gaps."""
    chunks = [one for one in trimmed if not one.overwritten and one.first < first]
    start = min((one.first for one in chunks), default=first)
    if first - start > _MAX_TRIMMED:
        return first, archived
    before: list[Hashable] = [_MISSING] * (first - start)
    for chunk in chunks:
        keys = keys_of(chunk.actions)[: first - chunk.first]
        before[chunk.first - start : chunk.first - start + len(keys)] = keys
    return start, before + archived


def _align(old: Sequence[Hashable], old_first: int, new: Sequence[Hashable], expected: int) -> tuple[int, bool]:
    """Return the ordinal of the first action of `new`, and whether it is known how many are missing before it."""
    end = old_first + len(old)
    if not new or not old:
        return max(expected, end), True

    def same_at(first: int) -> int:
        """How many actions are equal, from the first ordinal that both have, if `new` begins at `first`."""
        start = max(first, old_first)
        return _common(old[start - old_first :], new[start - first :])

    def shared_at(first: int) -> int:
        """How many ordinals both have, if `new` begins at `first`."""
        return max(min(first + len(new), end) - max(first, old_first), 0)

    if shared_at(expected) and same_at(expected) == shared_at(expected):
        return expected, True
    candidates = [old_first + place for place, key in enumerate(old) if key == new[0]]
    candidates += [old_first - place for place, key in enumerate(new) if place and key == old[0]]
    candidates = [one for one in candidates if one >= 0][:_MAX_CANDIDATES]
    # an action that each of them has once is better evidence than the numbers, which a delta may have overwritten
    unique = {key for key, count in Counter(old).items() if count == 1} & {
        key for key, count in Counter(new).items() if count == 1
    }
    sure = [one for one in candidates if old[max(one, old_first) - old_first] in unique]
    if sure:
        return max(sure, key=lambda one: (same_at(one), one == expected)), True
    if expected >= end:
        return expected, True
    if candidates:
        return max(candidates, key=lambda one: (same_at(one), one == expected)), True
    if expected >= max(old_first, 1):
        return expected, True  # another writer overwrote the archived actions from there on
    return end, False


def _common(old: Sequence[Hashable], new: Sequence[Hashable]) -> int:
    """Return how many actions at the beginning of both are the same. What `old` lacks may be anything."""
    count = min(len(old), len(new))
    if old[:count] == new[:count]:
        return count
    differing = (place for place in range(count) if old[place] != new[place] and old[place] is not _MISSING)
    return next(differing, count)


def gaps_without(gaps: Iterable[Gap], chunks: Iterable[Chunk]) -> tuple[Gap, ...]:
    """Return what is left of gaps after chunks were found."""
    left = tuple(gaps)
    for chunk in chunks:
        if not chunk.overwritten:
            filled = range(chunk.first, chunk.first + len(chunk.actions))
            left = tuple(part for gap in left for part in without(gap, filled))
    return left


def without(gap: Gap, filled: range) -> Iterator[Gap]:
    """Yield what is left of a gap after some ordinals were found."""
    if gap.last is None or gap.last < filled.start or filled.stop <= gap.first:
        yield gap
        return
    if gap.first < filled.start:
        yield Gap(gap.first, filled.start - 1)
    if filled.stop <= gap.last:
        yield Gap(filled.stop, gap.last)


def missing(wanted: range, chunks: Iterable[Chunk]) -> tuple[Gap, ...]:
    """Return the ordinals in `wanted` that no chunk has. Overwritten actions do not count: others took their place."""
    gaps = []
    start = wanted.start
    for chunk in sorted((one for one in chunks if not one.overwritten), key=lambda one: one.first):
        if chunk.first > start:
            gaps.append(Gap(start, min(chunk.first, wanted.stop) - 1))
        start = max(start, chunk.first + len(chunk.actions))
        if start >= wanted.stop:
            break
    if start < wanted.stop:
        gaps.append(Gap(start, wanted.stop - 1))
    return tuple(one for one in gaps if one.last is not None and one.first <= one.last)
