"""The list at one moment: archived sessions, live ones, and those that were live; and its orders."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...util.fingerprint_set import FingerprintSet
from .rows import SORTS, UNKNOWN, Columns, Row
from .slices import SLICE, slices, sorted_in_slices

#: How many times as many rows of the archive there have to be for the others to be inserted into their order.
_FEW = 4
#: Number of rows that are inserted before other tasks run.
_INSERTED = 64


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
        """`gone`: sessions that were live. `seen`: the ids of all live sessions. Archived rows of both are left out.

        `complete`: whether all sessions were read; only then, equal sessions are in the order of their ids.
        """
        self._parts = [(one, len(one)) for one in (archived, live, gone)]
        self._archived = len(archived)
        self._others = len(live) + len(gone)
        self._seen = seen
        self.complete = complete
        #: The rows of the archive that are left out, and the others by id.
        self._hidden: list[int] | None = None
        self._rows: list[int] | None = None
        self._orders: dict[RowOrder, array[int]] = {}
        self._lock = asyncio.Lock()

    def __getitem__(self, number: int) -> Row:
        columns, at = self._place(number)
        return columns[at]

    def _place(self, number: int) -> tuple[Columns, int]:
        for columns, count in self._parts:
            if number < count:
                return columns, number
            number -= count
        raise IndexError

    async def order(self, order: RowOrder) -> array[int]:
        """The numbers of all rows in an order. Computed once, in slices, so that other tasks run meanwhile."""
        async with self._lock:
            if (found := self._orders.get(order)) is None:
                few = self.complete and self._others * _FEW <= self._archived
                found = self._orders[order] = await (self._inserted(order) if few else self._sorted(order))
            return found

    async def _sorted(self, order: RowOrder) -> array[int]:
        if self._rows is None:
            hidden = set(await self._hidden_rows())
            self._rows = [one for one in range(self._archived + self._others) if one not in hidden]
            if self.complete:
                self._rows = await self._by(RowOrder("id", descending=False), self._rows)
        return array("I", await self._by(order, self._rows))

    async def _inserted(self, order: RowOrder) -> array[int]:
        """The same, without sorting the rows of the archive again: a live session changes more often than they do."""
        orders = self._parts[0][0].orders
        if (base := orders.get(order)) is None:
            alone = Table(Columns.none(), Columns.none(), self._parts[0][0], FingerprintSet(), complete=True)
            base = orders[order] = await alone._sorted(order)
        first, changes = self._archived, []
        by_id = await self._by(RowOrder("id", descending=False), range(first, first + self._others), first)
        for number in await self._by(order, by_id, first):
            changes.append((self._position(base, number, order), 0, number))
            if len(changes) % _INSERTED == 0:
                await asyncio.sleep(0)
        for number in await self._hidden_rows():
            changes.append((self._position(base, number, order), 1, number))
            if len(changes) % _INSERTED == 0:
                await asyncio.sleep(0)
        found, start = array("I"), 0
        # a stable sort: rows that are inserted at one place stay in their order, and before the one that is left out
        for position, left_out, number in sorted(changes, key=lambda change: change[:2]):
            found.extend(base[start:position])
            start = position + left_out
            if not left_out:
                found.append(number)
        found.extend(base[start:])
        return found

    def _position(self, base: Sequence[int], number: int, order: RowOrder) -> int:
        """How many of the rows of an order are before a row."""
        wanted = self._key(number, order)
        low, high = 0, len(base)
        while low < high:
            middle = (low + high) // 2
            if _is_before(self._key(base[middle], order), wanted, descending=order.descending):
                low = middle + 1
            else:
                high = middle
        return low

    def _key(self, number: int, order: RowOrder) -> tuple[Any, str]:
        columns, at = self._place(number)
        return columns.sort_keys(SORTS[order.sort], at, at + 1)[0], columns.ids[at]

    async def _by(self, order: RowOrder, rows: Sequence[int], first: int = 0) -> list[int]:
        """Rows in an order; equal ones stay in their order. `first`: 0, or the first row that is not of the archive."""
        keys: list[Any] = []
        for columns, count in self._parts[1 if first else 0 :]:
            for start in range(0, count, SLICE):
                keys += columns.sort_keys(SORTS[order.sort], start, min(start + SLICE, count))
                await asyncio.sleep(0)

        def key(number: int) -> Any:
            return keys[number - first]

        found = await sorted_in_slices(rows, key if first else keys.__getitem__, descending=order.descending)
        if not order.descending and found:  # what is unknown is less than everything: it is first
            lowest = "" if isinstance(keys[0], str) else UNKNOWN
            unknown = bisect_right(found, lowest, key=key)
            found = found[unknown:] + found[:unknown]
        return found

    async def _hidden_rows(self) -> list[int]:
        """The rows of the archive whose sessions are live, or were when they were read last."""
        if self._hidden is None:
            self._hidden = []
            archived, count = self._parts[0]
            gone = set(self._parts[2][0].ids)
            async for start, ids in slices(archived.ids, count):
                known = set(self._seen.missing(ids)) - gone
                if len(known) < len(ids):
                    self._hidden += [start + at for at, one in enumerate(ids) if one not in known]
        return self._hidden


def _is_before(one: tuple[Any, str], other: tuple[Any, str], *, descending: bool) -> bool:
    """Whether a row is before another one, by the value that is sorted by and the id."""
    if one[0] == other[0]:
        return one[1] < other[1]
    if one[0] in (UNKNOWN, "") or other[0] in (UNKNOWN, ""):
        return other[0] in (UNKNOWN, "")
    return bool(one[0] > other[0] if descending else one[0] < other[0])
