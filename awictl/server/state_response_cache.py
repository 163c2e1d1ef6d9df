"""Answers to `GET …/state`, printed anew only where the session has changed.

Agents ask for the state far more often than they change it, and of two answers about the same head only two values
differ: how long the session has lasted, and the time. So the answer is printed once with marks in their places, cut
there, and kept with the head that it is about; the next one is those three pieces with the two values in between. A
visit returns the same object for a head whose bytes have not changed (`store/visits.py`), which is how one is told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from ..document.json_codec import dumps
from ..document.splice import Base
from ..document.timestamps import timestamp
from ..sessions.get_or_create import Visit
from ..util.bounded_dict import BoundedDict
from . import response_bodies

#: Sessions whose answer is kept, and the largest of such answers, in bytes.
KEPT_ANSWERS = 1_024
KEPT_BYTES = 65_536

#: They stand for the two values; a session that has them in it is printed whole each time.
_DURATION_MARK = "\x00 the duration goes here"
_TIME_MARK = "\x00 the time goes here"
_MARKS = dumps(_DURATION_MARK), dumps(_TIME_MARK)


class _Answer(NamedTuple):
    base: Base
    started: datetime | None
    pieces: tuple[bytes, bytes, bytes]


class StateResponseCache:
    """Answers about the sessions that were asked for lately."""

    def __init__(self) -> None:
        self._kept: BoundedDict[str, _Answer] = BoundedDict(KEPT_ANSWERS)

    def answer(self, visit: Visit) -> bytes:
        """The answer about a session, now."""
        now = datetime.now(UTC)
        kept = self._kept.get(visit.session_id)
        if kept is None or kept.base is not visit.base:
            found = self._printed(visit)
            if found is None:
                return dumps(response_bodies.state_at(visit.session_id, visit.head, now))
            kept = found
        before, between, after = kept.pieces
        duration = response_bodies.duration_of(kept.started, now)
        shown = b"null" if duration is None else b"%d" % duration
        return b"".join((before, shown, between, b'"', timestamp(now).encode(), b'"', after))

    def _printed(self, visit: Visit) -> _Answer | None:
        """The answer in pieces, kept for the next time; None where it cannot be cut."""
        whole = dumps(response_bodies.state(visit.session_id, visit.head, _DURATION_MARK, _TIME_MARK))
        if any(whole.count(mark) != 1 for mark in _MARKS):
            return None
        before, _, rest = whole.partition(_MARKS[0])
        between, _, after = rest.partition(_MARKS[1])
        made = _Answer(visit.base, response_bodies.started_at(visit.head), (before, between, after))
        if len(whole) <= KEPT_BYTES:
            self._kept[visit.session_id] = made
        return made
