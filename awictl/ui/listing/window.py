"""The part of a list that a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ...document.timestamps import timestamp
from .rows import Row
from .source import now_ms
from .table import RowOrder


@dataclass(frozen=True)
class WindowQuery:
    """Which part of a list a page shows."""

    order: RowOrder
    offset: int
    limit: int


class Window(NamedTuple):
    """What a page shows."""

    #: Number of rows of the whole list, and the place of the first one here.
    total: int
    offset: int
    rows: list[Row]
    #: Number of sessions that were read, and whether these are all. Before that, `keys` is how many keys there are.
    read: int
    complete: bool
    keys: int | None
    #: When the live sessions were scanned, in ISO 8601; None if that happens every few seconds.
    scanned: str | None
    #: What cannot be read, so that it is shown as it was; and why the list lacks some sessions.
    degraded: str | None
    problem: str | None

    def is_like(self, other: Window) -> bool:
        """Whether both are the same on the page."""
        return (
            self._replace(rows=[]) == other._replace(rows=[])
            and len(self.rows) == len(other.rows)
            and all(map(Row.is_like, self.rows, other.rows))
        )

    def value(self) -> dict[str, Any]:
        """The window as JSON values."""
        now = now_ms()
        return self._asdict() | {"rows": [row.value(now) for row in self.rows], "now": timestamp()}
