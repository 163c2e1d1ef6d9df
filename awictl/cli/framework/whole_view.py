"""What to report on stderr of a session with its whole trajectory: where it is from, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...document.action_numbers import gap_row
from ...util.humanize import plural
from . import archived_view

if TYPE_CHECKING:
    from ...sessions.whole_session import WholeSession

#: Maximum number of gaps that are named in one line.
_MAX_GAPS = 5


def notices(whole: WholeSession) -> Iterator[str]:
    """What an operator should know when he reads the trajectory, one line each."""
    if whole.origin:
        yield whole.origin
    yield from whole.notices
    if whole.stored is None and whole.archived is not None:
        yield from archived_view.notices(whole.archived.summary)
        return
    gaps = [str(first) if first == last else f"{first} to {last}" for first, last in whole.timeline.gaps]
    gaps += [f"an unknown number before {ordinal}" for ordinal in sorted(whole.breaks)]
    if gaps:
        more = f", {len(gaps) - _MAX_GAPS:,} more gaps" if len(gaps) > _MAX_GAPS else ""
        yield f"actions of {whole.session_id} are missing: {', '.join(gaps[:_MAX_GAPS])}{more} (counted from 0)"
    if overwritten := sum(one.overwritten for one in whole.steps):
        verb = "was" if overwritten == 1 else "were"
        yield f"{plural(overwritten, 'action')} of {whole.session_id} {verb} overwritten by another writer"


def gap_rows(whole: WholeSession) -> list[dict[str, int | None]]:
    """The gaps as JSON values, as the archive has them: a gap of an unknown size ends at null."""
    known = [gap_row(first, last) for first, last in whole.timeline.gaps]
    return known + [gap_row(ordinal, None) for ordinal in sorted(whole.breaks)]
