"""A fair lock for readers and writers of one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class FairLock:
    """Either one writer has it, or any number of readers. Phases of readers and writers alternate, so that none starve.

    A reader waits for at most one writer, a writer for the readers before it and the writers before it.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._writing = False
        self._waiting_readers: deque[asyncio.Future[None]] = deque()
        self._waiting_writers: deque[asyncio.Future[None]] = deque()

    async def acquire_read(self) -> None:
        """Wait until no writer has the lock."""
        if not self._writing and not self._waiting_writers:
            self._readers += 1
        else:
            await self._wait(self._waiting_readers, self.release_read)

    async def acquire_write(self) -> None:
        """Wait until nobody has the lock."""
        if not self._writing and not self._readers:
            self._writing = True
        else:
            await self._wait(self._waiting_writers, self.release_write)

    def release_read(self) -> None:
        """Release the lock of a reader."""
        self._readers -= 1
        self._grant_write()

    def release_write(self) -> None:
        """Release the lock of the writer."""
        self._writing = False
        self._grant_read()
        self._grant_write()

    def _grant_read(self) -> None:
        while self._waiting_readers:
            turn = self._waiting_readers.popleft()
            if not turn.done():
                self._readers += 1
                turn.set_result(None)

    def _grant_write(self) -> None:
        while self._waiting_writers and not self._readers and not self._writing:
            turn = self._waiting_writers.popleft()
            if not turn.done():
                self._writing = True
                turn.set_result(None)
        if not self._waiting_writers and not self._writing:
            self._grant_read()

    async def _wait(self, waiting: deque[asyncio.Future[None]], release: Callable[[], None]) -> None:
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                release()
            elif turn in waiting:
                waiting.remove(turn)
                self._grant_write()
            raise
