"""The lists of sessions that pages show at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ...errors import Unreachable
from .clock import ListClock
from .listing import SessionListing
from .source import SessionSource

#: Maximum number of different lists at the same time: each of them scans.
MOST_LISTINGS = 8
#: Seconds for which a list is kept that no page shows: the next page may want it, or the same one after a reload.
LINGER_SECONDS = 15.0


@dataclass
class _Shared:
    listing: SessionListing
    task: asyncio.Task[None]
    pages: int = 0
    #: Ends the list after a while without pages.
    leaving: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        self.task.cancel()
        if self.leaving is not None:
            self.leaving.cancel()


class Listings:
    """One list for each expression, which all pages share."""

    def __init__(self, source: SessionSource, clock: ListClock | None = None) -> None:
        self._source = source
        self._clock = clock or ListClock()
        self._entries: dict[tuple[str | None, bool], _Shared] = {}

    @asynccontextmanager
    async def use(self, where: str | None, *, archived: bool) -> AsyncIterator[SessionListing]:
        """The list of the sessions that match; read while it is used. Raises Unreachable if there are too many."""
        key = where, archived and self._source.has_archive
        entry = self._entries.get(key)
        if entry is not None and entry.task.done():  # it has failed
            self._entries.pop(key).cancel()
            entry = None
        if entry is None:
            self._make_room()
            listing = SessionListing(self._source, where, archived=key[1], clock=self._clock)
            entry = self._entries[key] = _Shared(listing, _in_background(listing))
        entry.pages += 1
        if entry.leaving is not None:
            entry.leaving.cancel()
            entry.leaving = None
        try:
            yield entry.listing
        finally:
            entry.pages -= 1
            if not entry.pages and self._entries.get(key) is entry:
                self._entries[key] = self._entries.pop(key)  # the last one to make room
                entry.leaving = asyncio.create_task(self._leave(key, entry))

    def _make_room(self) -> None:
        """End the list that has been unused for the longest time, if there are too many."""
        if len(self._entries) < MOST_LISTINGS:
            return
        unused = next((key for key, entry in self._entries.items() if not entry.pages), None)
        if unused is None:
            raise Unreachable(
                f"{MOST_LISTINGS} lists with different filters are open already; close one of their pages, or use the "
                "same filter"
            )
        self._entries.pop(unused).cancel()

    async def _leave(self, key: tuple[str | None, bool], entry: _Shared) -> None:
        await self._clock.sleep(LINGER_SECONDS)
        del self._entries[key]
        entry.task.cancel()

    async def close(self) -> None:
        """End all lists."""
        entries = [*self._entries.values()]
        self._entries.clear()
        for entry in entries:
            entry.cancel()
        await asyncio.gather(*(entry.task for entry in entries), return_exceptions=True)


def _in_background(listing: SessionListing) -> asyncio.Task[None]:
    """A task whose error the pages report."""
    task = asyncio.create_task(listing.run())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
