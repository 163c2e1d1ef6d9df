"""Prefetch one item of an async generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")

#: Iterations of the event loop that a request needs to get from its task to the socket. A caller that never awaits
#: would otherwise delay it until its own work is done.
SEND_ITERATIONS = 4
#: Returned by `anext` after the last item.
_END: Any = object()


async def prefetch(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Yield the items of `items`, fetching the next one while the caller processes the current one.

    Server and client then work at the same time. Closing this generator closes `items` too.
    """
    async with aclosing(items):
        pending = asyncio.ensure_future(anext(items, _END))
        try:
            while (item := await pending) is not _END:
                pending = asyncio.ensure_future(anext(items, _END))
                for _ in range(SEND_ITERATIONS):
                    await asyncio.sleep(0)
                yield item
        finally:
            pending.cancel()
            # retrieves the error of an item that nobody takes any more; asyncio would report it
            await asyncio.gather(pending, return_exceptions=True)
