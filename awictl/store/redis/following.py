"""Writes to derived keys of a cluster, which follow the write that decides and which nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

from .script import Argument, Call, Script

log = logging.getLogger("awictl")

#: A call of a script with one key, or a command whose second word is its key. Both must be idempotent.
Write = tuple[Script, Call] | Sequence[Argument]

#: Seconds for which writes are collected, to be sent together: a later one to the same key replaces an earlier one.
COLLECT_SECONDS = 0.005
#: Maximum number of keys with collected writes; the oldest are dropped: only while they cannot be sent.
MAX_KEYS = 4_000
#: Maximum number of keys in one request.
BATCH = 500
#: Seconds for which `close` waits for them: Ctrl-C ends every command within a second.
CLOSE_SECONDS = 0.5


class Following:
    """Collects writes, and sends them in the background, in their order.

    If one fails, that is logged and nothing else: these keys can be repaired (`awictl doctor --fix`).
    """

    def __init__(self, send: Callable[[Sequence[tuple[Script, Call]], Sequence[Any]], Awaitable[list[Any]]]) -> None:
        """`send`: executes calls and commands, and returns their replies."""
        self._send = send
        #: By key, what has not been sent yet, and what is being sent.
        self._writes: dict[Any, dict[tuple[Any, ...], Write]] = {}
        self._sent: dict[Any, dict[tuple[Any, ...], Write]] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def start(self, writes: Iterable[Write]) -> None:
        """Add writes. Does not wait."""
        for write in writes:
            key, *rest = _identity(write)
            of_key = self._writes.setdefault(key, {})
            of_key.pop(tuple(rest), None)
            of_key[tuple(rest)] = write
        while len(self._writes) > MAX_KEYS:
            dropped = next(iter(self._writes))
            del self._writes[dropped]
            log.debug("%s: not written, since too many writes are waiting", dropped)
        if self._task is None and self._writes:
            self._task = asyncio.create_task(self._run())

    async def finished(self, keys: Iterable[Any]) -> None:
        """Wait until these keys have been written, so that this process reads what it wrote."""
        if self._task is None:
            return
        wanted = tuple(keys)
        while any(key in self._sent or key in self._writes for key in wanted):
            await self.flush()

    async def _run(self) -> None:
        """Send what has been added."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(COLLECT_SECONDS):
                    await self._hurry.wait()
            self._hurry.clear()
            self._sent = {key: self._writes.pop(key) for key in list(self._writes)[:BATCH]}
            batch = [write for of_key in self._sent.values() for write in of_key.values()]
            calls = [write for write in batch if isinstance(write[0], Script)]
            commands = [write for write in batch if not isinstance(write[0], Script)]
            try:
                replies = await self._send(calls, commands)  # type: ignore[arg-type]
                failures = [one for one in replies if isinstance(one, Exception)]
            except Exception as error:
                failures = [error]
            for failure in failures:
                log.debug("a derived key was not written: %s", failure)
        except asyncio.CancelledError:
            self._writes.clear()
            raise
        finally:
            self._sent = {}
            self._task = asyncio.create_task(self._run()) if self._writes else None

    @property
    def is_busy(self) -> bool:
        """Whether something has not been written yet."""
        return self._task is not None

    async def flush(self) -> None:
        """Send what was collected without delay, and wait for it."""
        if self._task is not None:
            self._hurry.set()
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Wait for all writes, but not longer than CLOSE_SECONDS."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self.is_busy:
                    await self.flush()
        except TimeoutError:
            log.debug("%d writes to derived keys were not finished in time", len(self._writes))
            self._writes.clear()
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])


def _identity(write: Write) -> tuple[Any, ...]:
    """The key, and what distinguishes writes to it that do not replace each other: the script, its first argument."""
    if isinstance(write[0], Script):
        names, arguments = cast("Call", write[1])
        return names[0], write[0].name, arguments[0]
    return (write[1],)
