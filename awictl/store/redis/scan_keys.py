"""One SCAN over the keys of a server, paced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from ..keyspace import StepCallback
from .scan_progress import ScanProgress
from .server import Argument, Server

#: COUNT of a SCAN that is not paced: about a millisecond of the server's time, so that round trips hardly count.
SCAN_COUNT = 2_000
#: Steps per second of a paced scan: many short ones, so that other clients hardly wait.
PACED_STEPS = 500
#: Number of keys that is assumed where DBSIZE is not available; servers support about as many.
_MAX_KEYS = 2**32


async def scan_keys(
    execute: Callable[..., Awaitable[list[Any]]],
    server: Server,
    pattern: str | None,
    rate: float | None,
    on_step: StepCallback,
) -> AsyncGenerator[list[bytes], None]:
    """The names of all keys of one server, or of those that match a pattern, in batches. A key may be returned twice.

    `execute`: sends commands to that server, and returns the replies. `rate`: maximum number of keys per second (None:
    not paced). `on_step`: called with the number of keys of each step. Raises InvalidData if the scan does not end.
    """
    count = SCAN_COUNT if rate is None else max(1, min(SCAN_COUNT, int(rate / PACED_STEPS)))
    matching: Sequence[Argument] = ("MATCH", pattern) if pattern is not None else ()
    cursor = b"0"
    progress = ScanProgress(server.where, count)
    while True:
        started = time.monotonic()
        [reply] = await execute(("SCAN", cursor, *matching, "COUNT", count))
        cursor, names = server.checked(reply, pattern or "*")
        if progress.step(cursor, len(names)):
            [size] = await execute(("DBSIZE",))
            progress.set_size(size if isinstance(size, int) else _MAX_KEYS)
        on_step(count)
        if names:
            yield names
        if cursor == b"0":
            return
        if rate is not None:
            await asyncio.sleep(max(0.0, count / rate - (time.monotonic() - started)))


class _Replaced(Exception):
    """Another server has become the primary."""


async def scan_primary(
    server: Server, pattern: str | None, rate: float | None, on_step: StepCallback
) -> AsyncGenerator[list[bytes], None]:
    """Like `scan_keys`, on the only server with keys.

    Starts again if another one takes its place, where a cursor of the first would skip keys.
    """
    while True:
        [primary] = await server.masters()

        async def execute(*commands: Sequence[Argument], primary: Any = primary) -> list[Any]:
            replies = await server.execute_idempotent(*commands)
            if (await server.masters())[0] is not primary:
                raise _Replaced
            return replies

        try:
            async with aclosing(scan_keys(execute, server, pattern, rate, on_step)) as batches:
                async for names in batches:
                    yield names
        except _Replaced:
            continue
        return
