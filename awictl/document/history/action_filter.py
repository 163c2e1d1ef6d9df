"""Which actions of a trajectory to show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..json_codec import dumps
from ..schema import as_object, as_text
from ..timestamps import parse_timestamp

#: The fields of an action that a text is searched in.
SEARCHED_FIELDS = ("input", "delta", "observation")


class ActionFilter(NamedTuple):
    """A filter for actions. The defaults match every action."""

    #: Shell patterns, one of which the name must match.
    names: Sequence[str] = ()
    #: Only actions that failed.
    failed: bool = False
    #: Earliest time, inclusive; and latest, exclusive. An action without a time is in no range.
    since: datetime | None = None
    until: datetime | None = None
    #: A text that must be in the compact JSON of SEARCHED_FIELDS, as it is or as JSON escapes it.
    text: str = ""
    ignore_case: bool = False

    @property
    def matches_all(self) -> bool:
        """Whether every action matches."""
        return not (self.names or self.failed or self.since or self.until or self.text)

    def matches(self, action: Any) -> bool:
        """Whether an action matches. A value of another type than expected fulfils no condition."""
        record = as_object(action)
        return (
            (not self.names or self._is_named(as_text(record.get("action"))))
            and (not self.failed or record.get("success") is False)
            and ((self.since is None and self.until is None) or self._is_in_time(record.get("timestamp")))
            and (not self.text or self._has_text(record))
        )

    def _is_named(self, name: str | None) -> bool:
        return name is not None and any(fnmatchcase(name, pattern) for pattern in self.names)

    def _is_in_time(self, stored: Any) -> bool:
        at = parse_timestamp(stored)
        return at is not None and (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def _has_text(self, record: dict[str, Any]) -> bool:
        wanted = {self.text, dumps(self.text).decode()[1:-1]}
        found = [dumps(record[name]).decode() for name in SEARCHED_FIELDS if name in record]
        if self.ignore_case:
            wanted, found = {one.casefold() for one in wanted}, [one.casefold() for one in found]
        return any(one in text for text in found for one in wanted)
