"""The list at one moment: live sessions, then those that only the archive has; and its orders."""

from __future__ import annotations

import asyncio
from array import array
from typing import Any, NamedTuple

from ...util.fingerprint_set import FingerprintSet
from .rows import SORTS, UNKNOWN, Columns, Row
from .slices import SLICE, slices, sorted_in_slices


class RowOrder(NamedTuple):
    """An order of the list. Sessions whose value is unknown are last in both directions."""

    #: A key of `SORTS`.
    sort: str
    descending: bool


class Table:
    """The rows of several columns as they are now, although these may grow. Rows are numbered through all of them."""

    def __init__(
        self, live: Columns, gone: Columns, archived: Columns, seen: FingerprintSet, *, complete: bool
    ) -> None:
        """`gone`: sessions that were live. `seen`: the ids of all live sessions, of which archived rows are left out.

        `complete`: whether all sessions were read; only then, equal sessions are in the order of their ids.
        """
        self._parts = [(one, len(one)) for one in (live, gone, archived)]
        self._archived_at = len(live) + len(gone)
        self._seen = seen
        self.complete = complete
        self._rows: list[int] | None = None
        self._orders: dict[RowOrder, array[int]] = {}
        self._lock = asyncio.Lock()

    def __getitem__(self, number: int) -> Row:
        for columns, count in self._parts:
            if number < count:
                return columns[number]
            number -= count
        raise IndexError

    async def order(self, order: RowOrder) -> array[int]:
        """The numbers of all rows in an order. Computed once, in slices, so that other tasks run meanwhile."""
        async with self._lock:
            if (found := self._orders.get(order)) is None:
                found = self._orders[order] = await self._sorted(order)
            return found

    async def _sorted(self, order: RowOrder) -> array[int]:
        rows = await self._by_id()
        if order == RowOrder("id", descending=False):
            return array("I", rows)
        keys = await self._keys(SORTS[order.sort])
        found = await sorted_in_slices(rows, keys.__getitem__, descending=order.descending)
        if not order.descending:  # what is unknown is less than everything: it is first
            unknown = next((at for at, row in enumerate(found) if keys[row] not in (UNKNOWN, "")), len(found))
            found = found[unknown:] + found[:unknown]
        return array("I", found)

    async def _by_id(self) -> list[int]:
        """The numbers of the rows by id; of an incomplete table in the order in which they were found."""
        if self._rows is None:
            rows = [*range(self._archived_at)]
            archived, count = self._parts[-1]
            async for start, ids in slices(archived.ids, count):
                only_archived = set(self._seen.missing(ids))
                rows += [self._archived_at + start + at for at, one in enumerate(ids) if one in only_archived]
            if self.complete:
                keys = await self._keys("id")
                rows = await sorted_in_slices(rows, keys.__getitem__, descending=False)
            self._rows = rows
        return self._rows

    async def _keys(self, field: str) -> list[Any]:
        keys: list[Any] = []
        for columns, count in self._parts:
            for start in range(0, count, SLICE):
                keys += columns.sort_keys(field, start, min(start + SLICE, count))
                await asyncio.sleep(0)
        return keys
