"""Writes to derived keys of a cluster, which follow the write that decides and which nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

log = logging.getLogger("awictl")

#: Maximum number of keys with such writes; further ones wait for earlier ones.
MAX_KEYS = 1_000
#: Seconds for which `close` waits for them: Ctrl-C ends every command within a second.
CLOSE_SECONDS = 0.5


class Following:
    """Writes that were started and not awaited. Those to the same key are executed one after the other.

    If one fails, that is logged and nothing else: these keys can be repaired (`awictl doctor --fix`).
    """

    def __init__(self) -> None:
        #: The last one to each key.
        self._writes: dict[str | bytes, asyncio.Task[None]] = {}

    async def start(self, keys: Iterable[str | bytes], write: Callable[[], Awaitable[list[Any]]]) -> None:
        """Start a write to these keys. Waits only if there are too many others already."""
        while len(self._writes) >= MAX_KEYS:
            await asyncio.wait(set(self._writes.values()), return_when=asyncio.FIRST_COMPLETED)
        keys = tuple(keys)
        before = {self._writes[key] for key in keys if key in self._writes}
        task = asyncio.create_task(_write(keys, before, write))
        self._writes |= dict.fromkeys(keys, task)
        task.add_done_callback(lambda _: self._forget(keys, task))

    def _forget(self, keys: Iterable[str | bytes], task: asyncio.Task[None]) -> None:
        for key in keys:
            if self._writes.get(key) is task:
                del self._writes[key]

    async def finished(self, keys: Iterable[Any]) -> None:
        """Wait until these keys have been written, so that this process reads what it wrote."""
        if self._writes:
            tasks = {self._writes[key] for key in keys if key in self._writes}
            if tasks:
                await asyncio.wait(tasks)

    async def close(self) -> None:
        """Wait for all writes, but not longer than CLOSE_SECONDS."""
        tasks = set(self._writes.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            log.debug("%d writes to derived keys were not finished in time", len(late))
            await asyncio.wait(late)


async def _write(
    keys: Iterable[str | bytes], before: set[asyncio.Task[None]], write: Callable[[], Awaitable[list[Any]]]
) -> None:
    if before:
        await asyncio.wait(before)
    try:
        failures = [one for one in await write() if isinstance(one, Exception)]
    except Exception as error:
        failures = [error]
    for failure in failures:
        log.debug("%s: not written: %s", ", ".join(map(str, keys)), failure)
