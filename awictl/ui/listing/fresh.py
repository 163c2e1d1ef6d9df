"""The sessions that are on pages, as they are now: they are looked at again between two scans."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import AwiError
from ...store.base import SessionVersion
from .rows import Columns, Row, RowState
from .slices import slices
from .source import SessionSource

#: Maximum number of sessions that are looked at in one tick.
MOST_REFRESHED = 1_000
#: Maximum number of rows that are kept because the last scan may have read them before they changed.
MOST_KEPT = 10_000


class FreshRows:
    """Rows that have changed since a scan read them."""

    def __init__(self, source: SessionSource) -> None:
        self._source = source
        #: The rows of sessions that are on pages and have changed, by id.
        self.rows: dict[str, Row] = {}
        #: Why the sessions cannot be read now; None if they can.
        self.error: AwiError | None = None
        self._versions: dict[str, SessionVersion] = {}
        #: All rows that have changed, also of sessions that are not on a page any more, and when they were read.
        self._kept: dict[str, tuple[Row, float]] = {}
        self._turn = 0

    async def refresh(self, shown: Mapping[str, Row], now: float) -> bool:
        """Look at the sessions that are on pages, with their rows by id; return whether one has changed.

        now: seconds on the clock of the list.
        """
        self.rows = {one: row for one, row in self.rows.items() if one in shown}
        self._versions = {one: version for one, version in self._versions.items() if one in shown}
        if not shown:
            return False
        rows = [self.rows.get(one, row) for one, row in shown.items()]
        if len(rows) > MOST_REFRESHED:  # in turns
            start = self._turn % len(rows)
            self._turn = start + MOST_REFRESHED
            rows = (rows[start:] + rows[:start])[:MOST_REFRESHED]
        try:
            changed = await self._source.changed(rows, self._versions)
        except AwiError as error:
            self.error = self.error or error
            return False
        self.error = None
        for row in changed:
            self.rows[row.session_id] = row
            if row.state != RowState.GONE.value:
                self._kept[row.session_id] = row, now
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return bool(changed)

    async def apply(self, columns: Columns, began: float) -> None:
        """Replace what a scan read before it changed. `began`: when the scan began, on the clock of the list."""
        self._kept = {one: kept for one, kept in self._kept.items() if kept[1] >= began}
        if not self._kept:
            return
        kept = {one: row for one, (row, _) in self._kept.items()}
        async for start, ids in slices(columns.ids, len(columns)):
            for at, one in enumerate(ids):
                if one in kept:
                    columns.replace(start + at, kept[one])
