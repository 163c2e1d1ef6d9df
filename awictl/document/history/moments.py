"""Moments of a session, as users name them: the number of an action, a time of day, a time, or how long ago."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from operator import ge, le
from typing import Any

from ...errors import InvalidInput, NotFound
from ...util.durations import duration_ms
from ..timestamps import parse_timestamp
from .timeline import Step, Timeline, time_of

#: What a moment may be, for messages.
FORMS = (
    "the number of an action such as 17, a time of day (UTC) such as 12:05:30, a time such as 2026-11-23T12:05:30, "
    "or -5m for five minutes ago"
)

_CLOCK = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?", re.ASCII)
_MAX_AGO_MS = 366 * 100 * 86_400_000


@dataclass(frozen=True)
class Moment:
    """A moment in the life of a session. Exactly one field is set."""

    #: The ordinal of an action.
    ordinal: int | None = None
    #: A time.
    at: datetime | None = None
    #: A time of day, in UTC.
    clock: time | None = None
    #: So long before now.
    ago: timedelta | None = None

    def in_(self, timeline: Timeline, now: datetime) -> int:
        """The ordinal of the newest action until then. Raises NotFound if none is known.

        A time of day is on the day of the newest action, or on the day before if the session was there then, and is not
        later. `now`: what `ago` counts from.
        """
        return timeline.ordinal_at(self._time_in(timeline, now)) if self.ordinal is None else self.ordinal

    def place_in(self, timeline: Timeline, now: datetime) -> tuple[Callable[[Step], Any], Any]:
        """What to compare of actions to find those before and after this moment, and the value to compare it with."""
        return (time_of, self._time_in(timeline, now)) if self.ordinal is None else (_ordinal_of, self.ordinal)

    def _time_in(self, timeline: Timeline, now: datetime) -> datetime:
        return now - self.ago if self.ago is not None else self.at or self._on_the_day_of(timeline)

    def _on_the_day_of(self, timeline: Timeline) -> datetime:
        times = [moment for one in timeline.steps if (moment := time_of(one)) is not None]
        if not times or self.clock is None:
            raise NotFound("no action of the session has a time")
        last = max(times)
        found = datetime.combine(last.astimezone(UTC).date(), self.clock, UTC)
        # a time later than the newest action is one of the day before, if the session was there then
        earlier = found - timedelta(days=1)
        return earlier if found > last and earlier >= min(times) else found


def steps_between(timeline: Timeline, start: Moment | None, stop: Moment | None, now: datetime) -> Sequence[Step]:
    """The actions from one moment to another, both included, oldest first. None: no bound.

    If a bound is a time, actions without one are left out. Raises NotFound for a time of day if no action has a time.
    """
    found = timeline.steps
    for moment, fits in ((start, ge), (stop, le)):
        if moment is not None and found:
            value, bound = moment.place_in(timeline, now)
            found = [one for one in found if (own := value(one)) is not None and fits(own, bound)]
    return found


def _ordinal_of(step: Step) -> int:
    return step.ordinal


def parse_moment_of(text: str) -> Moment:
    """Parse a moment: see FORMS. A time without an offset is in UTC. Raises InvalidInput."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) < 16:
        return Moment(ordinal=int(text))
    if text.startswith("-") and (milliseconds := duration_ms(text[1:])) is not None and milliseconds < _MAX_AGO_MS:
        return Moment(ago=timedelta(milliseconds=milliseconds))
    if _CLOCK.fullmatch(text):
        with suppress(ValueError):
            return Moment(clock=time.fromisoformat(text.removesuffix("Z")))
    elif (moment := parse_timestamp(text)) is not None:
        return Moment(at=moment)
    raise InvalidInput(f"{text!a:.80} is not a moment of a session: pass {FORMS}")
