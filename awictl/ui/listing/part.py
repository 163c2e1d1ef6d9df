"""The sessions of one place."""

from __future__ import annotations

from ...errors import AwiError
from ...sessions.where.fields import Place
from ...util.fingerprint_set import FingerprintSet
from .rows import Columns


class ListPart:
    """The sessions of one place: those that were read, and how reading them went."""

    def __init__(self, place: Place) -> None:
        self.columns, self.seen = Columns(place), FingerprintSet()
        self.place = place
        #: Number of sessions that were read; whether that was all.
        self.read = 0
        self.complete = False
        self.read_at: str | None = None
        #: Seconds until the next scan.
        self.pause = 0.0
        #: When the last complete scan began, in seconds of the clock.
        self.began = 0.0
        self.error: AwiError | None = None
        self.truncated = False

    def problem(self, what: str) -> str | None:
        """Why these sessions cannot be read; None if they can."""
        if self.error is None:
            return None
        as_of = f"as they were at {self.read_at}" if self.read_at is not None else "missing here"
        return f"{self.place.value} sessions are {as_of}, since {what} cannot be read: {self.error}"
