"""A list of sessions that is read again and again as long as pages show it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import Any

from ...document.timestamps import timestamp
from ...errors import AwiError, NotFound, Unreachable
from ...sessions.where.fields import Place
from ...util.end_tasks import end_tasks
from ...util.fingerprint_set import FingerprintSet
from .clock import ListClock
from .fresh import FreshRows
from .part import ListPart
from .rows import Columns, Row
from .slices import slices
from .source import SessionSource, live_rows
from .table import RowOrder, Table
from .window import Window, WindowQuery

#: Seconds between two looks at the sessions that are on a page; also the least time between two windows of a page.
TICK = 0.2
#: Seconds until the first look: small lists are complete then.
FIRST_TICK = 0.05
#: Least time between two scans in seconds, and the time between them as a multiple of the duration of the last: a list
#: takes up at most 5 % of the time of the servers.
SCAN_PAUSE, SCAN_FACTOR = 0.25, 20.0
#: Seconds between two scans up to which a page does not say when the last one was.
FREQUENT = 5.0
#: The same factor as SCAN_FACTOR for scans whose rate is limited, which take the longer the less they cost.
PACED_FACTOR = 1.0
#: Most time between two scans in seconds: nobody waits longer for a list that is as it was.
MOST_PAUSE = 60.0
#: Time between two sorts, as a multiple of the duration of the last.
SORT_FACTOR = 9.0
#: Seconds until a scan that failed is repeated.
RETRY_PAUSE = 1.0
#: Maximum number of rows, of the live and of the archived sessions each.
MOST_ROWS = 1_000_000
#: Maximum number of sessions that are kept in the list between Redis and the archive.
MOST_GONE = 10_000


class SessionListing:
    """All sessions that match an expression. `run` reads them; `windows` shows a part of them."""

    def __init__(self, source: SessionSource, where: str | None, *, archived: bool, clock: ListClock) -> None:
        self._source, self._where, self._clock = source, where, clock
        self._live, self._archived = ListPart(Place.LIVE), ListPart(Place.ARCHIVED)
        self._archived.complete = not archived
        self._has_archived = archived
        #: Sessions that were live and may be in the archive, which is to be scanned, and when they were missed.
        self._gone: dict[str, tuple[Row, float]] = {}
        self._keys: int | None = None
        self._table = self._new_table()
        #: Whether the table lacks sessions that were read, and the earliest time to sort them.
        self._outdated = False
        self._sort_at = 0.0
        #: What is on pages: by page the order, and the live sessions as the table has them.
        self._shown: dict[Hashable, tuple[RowOrder, list[Row]]] = {}
        self._fresh = FreshRows(source)
        #: What pages say of the list as a whole; None before the first look.
        self._state: tuple[Any, ...] | None = None
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Read the sessions until cancelled."""
        work = [self._tick(), self._scan(self._live, self._live_batches, after=None)]
        if self._has_archived:
            work.append(self._scan(self._archived, self._archived_batches, after=self._live))
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # only an error ends it
                task.result()
        except Exception as error:
            self._failure = error
            self._notify()
            raise
        finally:
            await end_tasks(*tasks)
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- what pages show

    async def windows(self, query: WindowQuery) -> AsyncGenerator[Window, None]:
        """A part of the list, again whenever something in it has changed."""
        page, sent = object(), None
        if self._state is None:  # rather a list with sessions after a moment than an empty one now
            await self._changed.wait()
        try:
            while True:
                changed = self._changed
                if self._failure is not None:
                    raise self._failure
                window = await self._window(page, query)
                if sent is None or not window.is_like(sent):
                    yield window
                    sent = window
                await changed.wait()
        finally:
            self._shown.pop(page, None)

    async def _window(self, page: Hashable, query: WindowQuery) -> Window:
        table = self._table
        numbers = await table.order(query.order)
        rows = [table[number] for number in numbers[query.offset : query.offset + query.limit]]
        self._shown[page] = query.order, live_rows(rows)
        rows = [self._fresh.rows.get(one.session_id, one) if one.place == Place.LIVE.value else one for one in rows]
        return Window(
            len(numbers),
            query.offset,
            rows,
            self._live.read + self._archived.read,
            self._live.complete and self._archived.complete,
            self._keys,
            self._live.read_at if self._live.pause > FREQUENT else None,
            self._degraded(),
            self._problem(),
        )

    def _degraded(self) -> str | None:
        parts = [(self._live, self._source.name), (self._archived, "the archive")]
        found = [part.problem(what) for part, what in parts if isinstance(part.error, Unreachable)]
        if self._fresh.error is not None and self._live.error is None:
            found.insert(0, f"live sessions are as they were read last, since {self._fresh.error}")
        return "; ".join(filter(None, found)) or None

    def _problem(self) -> str | None:
        parts = [(self._live, self._source.name), (self._archived, "the archive")]
        found = [
            part.problem(what)
            for part, what in parts
            if part.error is not None and not isinstance(part.error, Unreachable | NotFound)
        ]
        found += [
            f"only the first {MOST_ROWS:,} {part.place.value} sessions are listed: use a filter"
            for part, _ in parts
            if part.truncated
        ]
        return "; ".join(filter(None, found)) or None

    # -- reading

    def _live_batches(self, seen: FingerprintSet) -> AsyncGenerator[tuple[int, list[Row]], None]:
        return self._source.live(self._where, seen)

    def _archived_batches(self, _: FingerprintSet) -> AsyncGenerator[tuple[int, list[Row]], None]:
        return self._source.archived(self._where)

    async def _scan(
        self,
        part: ListPart,
        batches: Callable[[FingerprintSet], AsyncGenerator[tuple[int, list[Row]], None]],
        after: ListPart | None,
    ) -> None:
        """Scan again and again. `after`: the part whose first scan, or attempt, has to be over."""
        while after is not None and not after.complete and after.error is None:
            await self._clock.sleep(TICK)
        while True:
            started = self._clock.now()
            try:
                if part.place is Place.LIVE and not part.complete:
                    self._keys = await self._source.keys()
                await self._scan_once(part, batches)
            except AwiError as error:
                # the first error stays as long as it lasts: a text that changes is read aloud again and again
                if part.error is None or type(part.error) is not type(error):
                    part.error = error
                # a file that does not exist yet has no sessions
                part.complete = part.complete or not isinstance(error, Unreachable)
                pause = RETRY_PAUSE
            else:
                part.error = None
                factor = PACED_FACTOR if self._source.is_paced and part is self._live else SCAN_FACTOR
                pause = max(SCAN_PAUSE, min(MOST_PAUSE, factor * (self._clock.now() - started)))
            self._outdated, part.pause = True, pause
            await self._clock.sleep(pause)

    async def _scan_once(
        self, part: ListPart, batches: Callable[[FingerprintSet], AsyncGenerator[tuple[int, list[Row]], None]]
    ) -> None:
        columns, seen, read, began = Columns(part.place), FingerprintSet(), 0, self._clock.now()
        at_once = not part.complete and not len(part.columns)  # the first rows appear as they are found
        if at_once:
            part.columns, part.seen = columns, seen
        part.truncated = False
        async with aclosing(batches(seen)) as found:
            async for count, rows in found:
                columns.extend(rows)
                read += count
                if at_once:
                    part.read, self._outdated = read, True
                if len(columns) >= MOST_ROWS:
                    part.truncated = True
                    break
        if part is self._live and self._has_archived:
            await self._miss(part.columns, seen)
        part.columns, part.seen, part.read, part.began = columns, seen, read, began
        part.complete, part.read_at = True, timestamp()

    async def _miss(self, before: Columns, seen: FingerprintSet) -> None:
        """Keep the rows of sessions that are not live any more until the archive was scanned."""
        now = self._clock.now()
        async for start, ids in slices(before.ids, len(before)):
            if gone := set(seen.missing(ids)):
                rows = [before[start + at].gone() for at, one in enumerate(ids) if one in gone]
                self._gone |= {row.session_id: (row, now) for row in rows[: MOST_GONE - len(self._gone)]}
        back = {*self._gone}.difference(seen.missing([*self._gone]))
        self._gone = {one: gone for one, gone in self._gone.items() if one not in back}

    # -- ticks

    async def _tick(self) -> None:
        """Keep the pages up to date. What takes longer than a tick goes on meanwhile."""
        refresh: asyncio.Task[bool] | None = None
        sort: asyncio.Task[None] | None = None
        await self._clock.sleep(FIRST_TICK)
        try:
            while True:
                refresh = refresh or asyncio.create_task(self._refresh())
                if sort is None and self._is_sort_due:
                    self._outdated = False
                    sort = asyncio.create_task(self._sort())
                running = {one for one in (refresh, sort) if one is not None}
                await asyncio.wait(running, timeout=TICK, return_when=asyncio.ALL_COMPLETED)
                changed = False
                if refresh.done():
                    changed, refresh = refresh.result(), None
                    self._outdated = self._outdated or changed
                if sort is not None and sort.done():
                    sort.result()
                    changed, sort = True, None
                before, self._state = self._state, self._current_state()
                if changed or self._state != before:
                    self._notify()
                await self._clock.sleep(TICK)
        finally:
            left = [one for one in (refresh, sort) if one is not None]
            await end_tasks(*left)
            await asyncio.gather(*left, return_exceptions=True)

    @property
    def _is_sort_due(self) -> bool:
        if self._is_complete > self._table.complete:
            return True
        return self._outdated and self._clock.now() >= self._sort_at

    def _current_state(self) -> tuple[Any, ...]:
        return self._live.read, self._archived.read, self._is_complete, self._degraded(), self._problem()

    @property
    def _is_complete(self) -> bool:
        return self._live.complete and self._archived.complete

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _new_table(self) -> Table:
        self._gone = {one: gone for one, gone in self._gone.items() if gone[1] >= self._archived.began}
        gone = Columns(Place.LIVE)
        gone.extend(row for row, _ in self._gone.values())
        columns = self._live.columns, gone, self._archived.columns
        return Table(*columns, self._live.seen, complete=self._is_complete)

    async def _sort(self) -> None:
        """Replace the table, sorted as the pages show it."""
        started = self._clock.now()
        await self._fresh.apply(self._live.columns, self._live.began)
        table = self._new_table()
        for order in {order for order, _ in self._shown.values()}:
            await table.order(order)
        self._table = table
        now = self._clock.now()
        self._sort_at = now + SORT_FACTOR * (now - started)

    async def _refresh(self) -> bool:
        shown = {row.session_id: row for _, rows in [*self._shown.values()] for row in rows}
        return await self._fresh.refresh(shown, self._clock.now())
