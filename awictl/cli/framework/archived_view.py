"""What the archive knows of a session beyond its document: its state, gaps and overwritten actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...document.timestamps import optional_timestamp
from ...util.humanize import plural
from .cells import moment

if TYPE_CHECKING:
    from ...archive.base import ArchivedSummary
    from ...archive.merge import Gap

#: Maximum number of gaps that are named in one line.
_MAX_GAPS = 5


def is_incomplete(summary: ArchivedSummary) -> bool:
    """Whether there is something to report: gaps, overwritten actions, or that the session vanished."""
    return bool(summary.gaps or summary.overwritten_actions or summary.vanished)


def notices(summary: ArchivedSummary) -> Iterator[str]:
    """What an operator should know when he reads the session, one line each."""
    session_id, missing = summary.session_id, summary.missing_actions
    if summary.vanished:
        yield (
            f"{session_id} vanished from Redis: it has not ended, and was deleted before its TTL was over; last seen "
            f"{_seen(summary)}"
        )
    if summary.gaps:
        number = f"{plural(missing, 'action')} of" if missing else "actions of"
        verb = "is" if missing == 1 else "are" if missing else "may be"
        why = "gone from Redis before they were archived"
        yield f"{number} {session_id} {verb} missing ({_places(summary.gaps)}, counted from 0): {why}"
    if overwritten := summary.overwritten_actions:
        verb = "was" if overwritten == 1 else "were"
        where = "the archive has them in front of what took their place"
        yield f"{plural(overwritten, 'action')} of {session_id} {verb} overwritten by another writer; {where}"


def facts(summary: ArchivedSummary) -> Iterator[tuple[str, str]]:
    """The same as labels and values, for a table."""
    yield "state", f"{summary.state.value}, last seen {_seen(summary)}" if summary.vanished else summary.state.value
    if summary.gaps:
        missing = summary.missing_actions
        yield (
            "missing",
            f"{plural(missing, 'action') if missing else 'unknown'}: {_places(summary.gaps)} (counted from 0)",
        )
    if summary.overwritten_actions:
        yield "overwritten", plural(summary.overwritten_actions, "action")


def _seen(summary: ArchivedSummary) -> str:
    return moment(optional_timestamp(summary.last_seen_at), "seconds")


def _places(gaps: Sequence[Gap]) -> str:
    """The ordinals of missing actions."""
    named = [_place(gap) for gap in gaps[:_MAX_GAPS]]
    more = [f"{len(gaps) - _MAX_GAPS:,} more gaps"] if len(gaps) > _MAX_GAPS else []
    return ", ".join(named + more)


def _place(gap: Gap) -> str:
    if gap.last is None:
        return f"an unknown number before {gap.first}"
    return str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
